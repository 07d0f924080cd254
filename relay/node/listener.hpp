// A listener as plain code: it joins one or several parents, asks for what is missing, and plays in order. The shell
// around it (listen_session) owns sockets, files and the terminal.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "relay/control/drain.hpp"
#include "relay/control/epoch_question.hpp"
#include "relay/control/parents.hpp"
#include "relay/forward/attestation_gaps.hpp"
#include "relay/forward/gaps.hpp"
#include "relay/forward/parity.hpp"
#include "relay/forward/stream_place.hpp"
#include "relay/node/ask.hpp"
#include "relay/node/known_edges.hpp"
#include "relay/node/multicast_uplink.hpp"
#include "relay/node/outlet.hpp"
#include "relay/node/parent_setup.hpp"
#include "relay/receive/playout.hpp"
#include "relay/receive/recent_frames.hpp"
#include "relay/receive/statistics.hpp"

namespace tiercast::node {

struct ListenerCounters {
  Counter drop_other, drop_unleased, drop_frame_length, drop_unplaced, drop_unsigned, drop_copy, drop_signature,
      drop_distrusted, proofs, drop_proof;
  template <class F>
  void each(F&& f) const {
    f("listener_drop_other", drop_other);
    f("listener_drop_unleased", drop_unleased);
    f("listener_drop_frame_length", drop_frame_length);
    f("listener_proof", proofs);           // strict: frames that their own signatures vouch for
    f("listener_drop_proof", drop_proof);  // of what is not here, or no source's
    // By multicast, where anybody could send in the edge's name:
    f("listener_drop_unplaced", drop_unplaced);  // before any edge told where the stream is, or far behind that
    f("listener_drop_unsigned", drop_unsigned);
    f("listener_drop_copy", drop_copy);  // of what is here or over: not looked at
    f("listener_drop_signature", drop_signature);
    f("listener_drop_distrusted", drop_distrusted);  // unread: too many bad signatures came that way
  }
};

/// Why nothing is heard, for a person. `code`: the process's exit status if that is how it ends.
struct Diagnosis {
  enum class Stage : std::uint8_t {
    fine,
    joining,
    no_answer,
    no_accept,
    version,
    denied,
    puzzle,
    no_frames,
    unknown_source,
    no_key,
    unattested
  };
  Stage stage = Stage::fine;
  std::string text;
  int exit_code = 0;
};

class Listener {
 public:
  struct Setup {
    GroupId group;
    std::vector<receive::SourceKey> sources;
    bool strict = false;
    std::optional<Duration> playout;
    std::vector<ParentSetup> parents;  // those to be preferred first
    std::size_t live_parents = 2;      // so many at once, the others stand by
    EdgeKeys edges;                    // where a parent may send it
    Random* random = nullptr;
    UplinkOutlet* uplinks = nullptr;
  };
  Listener(Setup setup, Moment now);

  void on_datagram(std::size_t parent, Bytes datagram, Moment now);
  /// By the parent's IP multicast.
  void on_multicast(std::size_t parent, Bytes datagram, Moment now);
  void on_unreachable(std::size_t parent, Moment now);
  void on_timer(Moment now);
  Time next_deadline() const;
  /// The next tick to be heard, in order. After every on_…() until false.
  bool next(receive::Played& played, Moment now);
  /// receive::Playout::each_ahead().
  template <class F>
  void each_ahead(F&& f) const {
    if (stream_) stream_->playout.each_ahead(f);
  }
  /// Leaves all parents.
  void leave();
  /// That parent has ended the group's subscription since the last call, because of this.
  std::optional<wire::DenyReason> take_removal(std::size_t parent) {
    return std::exchange(uplinks_[parent].removed, std::nullopt);
  }

  bool joined() const { return stream_ != nullptr; }
  std::optional<std::chrono::milliseconds> frame() const {
    return stream_ ? std::optional{stream_->frame} : std::nullopt;
  }
  bool ended() const { return stream_ && stream_->playout.ended(); }
  /// The first frame of all; from the start, of which the JOIN's ACCEPT was `joined_at`.
  std::optional<Time> first_frame_at() const { return first_frame_at_; }
  std::optional<Time> joined_at() const { return joined_at_; }
  /// `names`: of the parents, for the text.
  Diagnosis diagnose(const std::vector<std::string>& names) const;
  receive::Summary summary() const;
  /// Which way what was missing has come. Null: not joined.
  const forward::GapCounters* repairs() const { return stream_ ? &stream_->gaps.counters() : nullptr; }
  /// What is missing. Null: not joined.
  const forward::Gaps* gaps() const { return stream_ ? &stream_->gaps : nullptr; }
  std::size_t live_parents(Time now) const;
  /// Every parent has said no, and not only for now. One that nobody has asked has not.
  bool barred() const;
  std::span<const control::Parent> parents() const { return parents_; }
  const control::Parents& choice() const { return choice_; }
  /// Null: that parent has none.
  const MulticastUplink* multicast(std::size_t parent) const {
    return uplinks_[parent].multicast ? &*uplinks_[parent].multicast : nullptr;
  }

  template <class F>
  void each_counter(F&& f) const {
    counters_.each(f);
    choice_.counters().each(f);
    edges_.counters().each(f);
    if (!stream_) return;
    stream_->playout.counters().each(f);
    stream_->gaps.counters().each(f);
    stream_->attestation_gaps.each(f);
    stream_->parity.counters().each(f);
  }

 private:
  struct Stream {
    Stream(const Setup& setup, std::chrono::milliseconds of);
    std::chrono::milliseconds frame;
    receive::Playout playout;
    control::EpochQuestion epoch_question;
    forward::Gaps gaps;
    forward::GroupAttestationGaps attestation_gaps;
    forward::ParityDecoder parity;
    receive::Statistics statistics;
    Sequence noted;                  // the highest frame that gaps know of
    std::optional<Time> last_fresh;  // when a frame came that was not known, or is beyond all others
    bool flows(Time now) const { return last_fresh && now <= *last_fresh + wire::silence(frame); }
    std::uint64_t horizon() const { return static_cast<std::uint64_t>(wire::kHistory / frame); }
    forward::StreamPlace place;
    receive::RecentFrames recent;  // strict: a PROOF of them may come
    forward::Distrust proofs;
    std::optional<Sequence> jump;  // a frame far ahead that says so, until it is attested
  };
  struct Uplink {
    std::optional<MulticastUplink> multicast;
    control::Bringing frames;
    forward::Brought brought;
    bool told_counted = true;                 // what a node takes a listener for
    std::optional<wire::DenyReason> removed;  // it gave the group up, and why
  };
  void on_joined(std::size_t parent, Time now);
  void on_records(std::size_t parent, Bytes records, Time now);
  void on_epoch(const wire::EpochRecord& epoch);
  void on_info(std::size_t parent, const wire::GroupInfo& info, Time now);
  /// `multicast`: by which it came; null: by unicast.
  void on_stream(std::size_t parent, Bytes datagram, MulticastUplink* multicast, Time now);
  bool take_frame(const wire::Header& header, Bytes datagram, const forward::Way& way, Time now);
  void take_rebuilt(Time now);
  std::size_t index_of(SourceId source) const;  // of setup_.sources; their number: it is none of them
  Bytes proven(Bytes signed_form, const wire::Header& header, MulticastUplink& multicast, Time now);
  void on_proof(const wire::Proof& proof, Time now);
  void send_records(std::size_t parent, Bytes records);
  void pump(std::size_t parent, Time now);
  void on_go_away(std::size_t parent, const wire::GoAway& away, Time now);
  void leave_who_drains(Time now);
  bool choose_parents(Time now);
  void add_parent(const ParentSetup& parent, Time now);
  void learn(const control::EdgeIndices& told, Time now);
  Bytes resume(MutableBytes buffer) const;
  void ask_for_missing(Time now);
  void count_at_one_parent(Time now);
  void note_frame(SourceId source, Sequence sequence, bool jumps, const forward::Way& way, Time now);

  Setup setup_;
  std::vector<control::Parent> parents_;
  control::Parents choice_;  // of them
  KnownEdges edges_;
  std::vector<Uplink> uplinks_;  // one a parent
  Time next_count_repeat_;
  std::unique_ptr<Stream> stream_;
  Asking asking_;
  bool said_ended_ = false;  // by a parent, which proves nothing: for diagnose() only
  std::optional<Time> joined_at_, first_frame_at_;
  Time next_count_;
  Time next_leave_ = kNever;  // a parent drains: is there another that brings frames?
  ListenerCounters counters_;
};

}  // namespace tiercast::node
