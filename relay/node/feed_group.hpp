// A group on the feed's side: where its frames come from (parents' intake, or an origin here), what is missing, who
// wants it. Plain data put together; the feed moves it.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "relay/forward/attestation_gaps.hpp"
#include "relay/forward/gaps.hpp"
#include "relay/node/group.hpp"
#include "relay/node/latency.hpp"
#include "relay/node/origin.hpp"
#include "relay/node/recorder.hpp"
#include "relay/store/recording.hpp"

namespace tiercast::node {

struct FeedGroup {
  FeedGroup(Group& of, Random& random, std::size_t workers)
      : group(of),
        intake(of.id, of.sources, of.history, of.silence()),
        gaps(forward::Gaps::Config{.frame = of.frame}, random),
        attestation_gaps(of.frame),
        wanted_by(workers, false),
        below(workers) {}

  Group& group;
  bool pinned = false;             // wanted without anybody asking
  std::unique_ptr<Origin> origin;  // its source is here
  std::unique_ptr<Recorder> recorder;
  const store::RecordingCounters* recording = nullptr;  // of the recorder's file

  forward::Intake intake;
  forward::Gaps gaps;
  forward::AttestationGaps attestation_gaps;
  KnownEpochs epochs;
  std::optional<wire::GroupInfo> info;  // the origin's newest statement
  std::optional<Time> last_frame;
  std::uint64_t audio_bytes = 0;  // of Opus, from parents
  Latency latency;                // from the origin's sealing to here
  Time next_idle = kNever;
  Time next_epoch_question;
  bool ended = false;

  // Asked for at each parent until it says that it heard.
  struct Subscription {
    bool confirmed = false;
    Time ask_at;
  };
  std::vector<Subscription> subscriptions;  // one a parent
  Time next_unsubscribe;                    // a parent that did not hear that is told again
  bool starts_anew = false;                 // nobody wanted it for a while: what was missed then is not missing

  std::vector<bool> wanted_by;         // workers
  std::optional<Time> unwanted_since;  // subscribed, but nobody asks any more
  bool subscribed = false;
  struct Below {
    std::uint32_t listeners = 0, relays = 0;
  };
  std::vector<Below> below;  // workers' tallies
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
