// A group on the feed's side: where its frames come from (parents' intake, or an origin here), what is missing, who
// wants it. Plain data put together; the feed moves it.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "relay/control/drain.hpp"
#include "relay/control/epoch_question.hpp"
#include "relay/forward/attestation_gaps.hpp"
#include "relay/forward/gaps.hpp"
#include "relay/forward/parity.hpp"
#include "relay/forward/stream_place.hpp"
#include "relay/node/align_link.hpp"
#include "relay/node/group.hpp"
#include "relay/node/latency.hpp"
#include "relay/node/origin.hpp"
#include "relay/node/recorder.hpp"
#include "relay/node/worker_group.hpp"

namespace tiercast::node {

struct FeedGroup {
  FeedGroup(std::unique_ptr<Group> of, Random& random)
      : shared(std::move(of)),
        group(*shared),
        intake(group.id, group.sources, group.history, group.frame, group.silence()),
        gaps(forward::Gaps::Config{.frame = group.frame, .patience = wire::kNackPatience, .silence = group.silence()},
             random),
        attestation_gaps(group.frame) {}

  const std::unique_ptr<Group> shared;  // until every worker has let go of it
  Group& group;
  bool pinned = false;               // wanted without anybody asking
  std::unique_ptr<Origin> origin;    // its source is here
  std::unique_ptr<AlignLink> align;  // to the origin of the other source
  std::unique_ptr<Recorder> recorder;

  std::unique_ptr<forward::ParityEncoder> parity;  // for listeners here
  forward::ParityShape parity_shape() const { return parity ? parity->shape() : forward::ParityShape{}; }
  void set_parity(forward::ParityShape shape) {
    parity = shape.on() ? std::make_unique<forward::ParityEncoder>(shape) : nullptr;
  }

  forward::Intake intake;
  forward::Gaps gaps;
  forward::GroupAttestationGaps attestation_gaps;
  KnownEpochs epochs;
  std::optional<wire::GroupInfo> info;  // the origin's newest statement
  std::optional<Time> last_frame;       // that was new here, and not stale
  bool flows(Time now) const { return last_frame && now <= *last_frame + group.silence(); }
  std::array<bool, wire::kMaxSources> unproven{};  // of each source: frames whose attestation may never come
  std::uint64_t audio_bytes = 0;                   // of Opus, from parents
  Latency latency;                                 // from the origin's sealing to here
  Time next_idle = kNever;
  control::EpochQuestion epoch_question;
  bool ended = false;

  // Asked for at each parent until it says that it heard.
  struct Subscription {
    bool confirmed = false;
    Time ask_at;
    Time told_at{};  // confirmed: when it last said anything of the group
    control::Bringing frames{};
    forward::Brought brought{};
  };
  std::vector<Subscription> subscriptions;  // one a parent
  Time next_unsubscribe;                    // a parent that did not hear that is told again
  forward::StreamPlace place;               // since it was subscribed
  bool starts_anew = false;                 // nobody wanted it for a while: what was missed then is not missing

  struct AtWorker {
    enum class State : std::uint8_t { untold, carried, told_to_let_go, gone };
    State state = State::untold;
    std::unique_ptr<WorkerGroup> group;  // while `carried` or `told_to_let_go`, the worker's to touch
  };
  std::vector<AtWorker> workers;  // what follows, too, is one a worker, from the feed's add_group() on
  std::vector<bool> wanted_by;
  std::optional<Time> unwanted_since;  // subscribed, but nobody asks any more
  bool subscribed = false;
  struct Below {
    std::uint32_t listeners = 0, relays = 0;
  };
  std::vector<Below> below;  // their tallies
  std::optional<std::size_t> told_primary;
  Time next_tally_repeat;

  bool wanted() const {
    if (pinned || origin || recorder) return true;
    for (const bool by : wanted_by)
      if (by) return true;
    return false;
  }
};

}  // namespace tiercast::node
