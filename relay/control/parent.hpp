// One parent's life as its child sees it: join, lease, silence, rejoin. The old lease is kept while a new one is
// sought: what still comes by it is welcome. Used by relays and listeners alike. Knows no socket and no group.
#pragma once

#include <optional>
#include <utility>

#include "relay/control/elsewhere.hpp"
#include "relay/control/uplink_lease.hpp"

namespace tiercast::control {

/// What its child wants of a parent (control/parents.hpp decides).
enum class Duty : std::uint8_t {
  cold,  // nothing: no lease
  warm,  // a lease without a stream (delivery none): taking it up costs one packet
  live,  // frames
};
/// What a parent is good for just now.
enum class Health : std::uint8_t {
  gone,     // no lease
  failed,   // a lease, but it is silent, unreachable, or brings what nobody attests
  starved,  // it lives, and has said for a while that nothing comes to it
  coming,   // wanted live a moment ago, and its first frame is not overdue
  good,
};

struct ParentConfig {
  crypto::PublicKey key{};
  const crypto::PrivateKey* own_key = nullptr;  // a relay's; null: a listener
  NodeId own_id;                                // a relay's: never below itself
  Duty duty = Duty::live;                       // at first
  wire::JoinRequest request;
  Bytes ticket;
  Duration silence = wire::kSilenceFloor;  // max(3 intervals, 60 ms); see set_silence()
};

struct ParentCounters {
  Counter joins, rejoins, silences, unreachable, denied, unattested, taken_up, loops;
  template <class F>
  void each(F&& f) const {
    f("parent_join", joins);
    f("parent_rejoin", rejoins);
    f("parent_silence", silences);
    f("parent_unreachable", unreachable);
    f("parent_denied", denied);
    f("parent_unattested", unattested);
    f("parent_taken_up", taken_up);  // from standby, by one packet
    f("parent_loop", loops);         // left, for its way leads through this node or is too long
  }
};

class Parent {
 public:
  enum class Came : std::uint8_t { nothing, joined, records };
  struct Input {
    Came came = Came::nothing;
    Bytes records;  // came == records: an opened CONTROL payload
  };

  Parent(const ParentConfig& config, Random& random, Time now);

  /// RETRY, ACCEPT or CONTROL from the parent's address. After `joined`, take_grant() once. A denial is in denial().
  Input on_datagram(Bytes datagram, MutableBytes records, Time now);
  /// An authentic FRAME, ATTEST or IDLE came from it.
  enum class Stream : std::uint8_t { frame, attestation, idle, seeking };  // seeking: an IDLE that says so
  void on_stream(Stream kind, Time now);
  /// The same by IP multicast, a FRAME only if it is newer than all before it that way: of the stream it tells as much,
  /// of the parent itself nothing, for anybody may have passed it on. `counts`: for take_loss().
  void on_multicast(Stream kind, bool counts, Time now);
  /// ICMP says that nobody is there.
  void on_unreachable(Time now);
  /// It said goodbye: seek it (or its successor) anew after a while. For a drain, its lease is kept: see leave().
  void on_go_away(wire::LeaveReason reason, std::uint16_t retry_after_s, Time now);
  /// It said that it will stop, and serves until then. Whoever has another parent is to leave() it.
  bool drains() const { return lease_ && drains_; }
  /// The edges that its last denial named; once.
  EdgeIndices take_elsewhere() { return std::exchange(elsewhere_, {}); }
  /// It has said no, and not only for now.
  bool refused() const {
    return denial_ && denial_->reason != wire::DenyReason::full && denial_->reason != wire::DenyReason::draining;
  }
  /// As refused(), or it speaks no version of the protocol that this program does, or asks for too much work.
  bool barred() const {
    return refused() ||
           (joining_ && (joining_->state() == JoinState::version || joining_->state() == JoinState::refused));
  }
  /// It is needed now, however long it asked to be left alone when it drained itself.
  void hurry(Time now);
  /// It drains, and there is no other: once it is gone it is sought at once.
  void stay(Time now);
  /// Ends the lease, and says so until it is heard. The parent is sought anew when it allowed that, if it is wanted.
  void leave(Time now);
  /// From now on. A lease that it has stays, unless it is left `cold`; none is sought, unless it is.
  void set_duty(Duty duty, Time now);
  Duty duty() const { return config_.duty; }
  Health health(Time now) const;
  void on_timer(Time now);
  Time next_deadline() const;

  /// Datagrams to send now: call until empty. `contents` is for a keepalive that may be due.
  Bytes take_datagram(KeepaliveContents contents, MutableBytes out, Time now);
  /// True once: the keepalive that is due should bring along what was missed (KeepaliveContents::resume).
  bool take_resume() { return std::exchange(resume_, false); }
  /// Seals records under the lease. Only while leased().
  Bytes seal(Bytes records, MutableBytes out) { return lease_->seal(records, out); }
  JoinGrant take_grant();
  /// A keepalive waits for its acknowledgement.
  bool owes_answer() const { return lease_ && lease_->unanswered_since(); }
  /// Ask for an acknowledgement now (unknown epoch).
  void hasten(Time now) {
    if (lease_) lease_->hasten(now);
  }
  /// It runs, as is known otherwise: another try to join it is not to wait for its turn.
  void on_there(Time now);
  /// Frames are expected from it (subscribed, delivery unicast): their absence is silence.
  void expect_stream(bool expected, Time now);
  /// Who learns the frame length from its parent only.
  void set_silence(Duration silence) { config_.silence = silence; }
  /// What the next join asks for. 0: no group.
  void set_group(GroupId group) { config_.request.group = group; }

  /// Share (of 65535) of the frames due since the last call that it did not bring, at `frame` a frame.
  std::uint16_t take_loss(Duration frame, Time now);
  /// For loss(): of the frames since the last call `came` by themselves, and `missed` of those between did not. To be
  /// called also while it stands by.
  void note_way(std::uint64_t came, std::uint64_t missed, Time now);

  bool leased() const { return lease_.has_value(); }
  /// It answers NACKs: not a standby.
  bool may_be_asked() const { return leased() && config_.duty == Duty::live; }
  /// It says that nothing comes to it from above.
  bool seeking() const { return lease_ && seeking_; }
  /// Of the frames that it sent, over some ten seconds; of a standby what it was, slowly forgotten. 0 to 1. What is
  /// resent counts as lost: it was. An outage does not: it is a failure.
  double loss() const { return loss_; }
  /// Leased, and heard within the silence limit: good for asking. IDLE alone counts for a while (kIdleDelaysFailover),
  /// and for as long as it says that it seeks.
  bool live(Time now) const;
  const UplinkLease* lease() const { return lease_ ? &*lease_ : nullptr; }
  const JoinInitiator* joining() const { return joining_ ? &*joining_ : nullptr; }
  /// Not leased: it was heard, but has not accepted so far.
  bool answers() const { return joining_ && joining_->joins_sent() > 0; }
  /// Under way with a cookie, which is good for the address that asked for it: who has one must keep its socket.
  bool holds_cookie() const { return joining_ && joining_->state() != JoinState::hello_sent; }
  const std::optional<wire::Denied>& denial() const { return denial_; }
  std::optional<Time> last_stream() const { return last_stream_; }
  Duration round_trip() const { return lease_ ? lease_->round_trip() : Duration{100ms}; }
  Duration distance() const { return lease_ ? lease_->distance() : Duration{100ms}; }
  const ParentCounters& counters() const { return counters_; }
  const ParentConfig& config() const { return config_; }

 private:
  void seek(Time at);
  bool loops(const InlineVector<NodeId, wire::kMaxPath>& path) const;
  bool take_hurry(Time now);
  void leave_loop(Time now);
  void say_leave();
  bool expects() const { return expects_stream_ && config_.duty == Duty::live; }
  void forget_stream();
  void expect_from(Time since);
  void note_seeking(bool seeking, Time now);
  bool note_stream(Stream kind, bool counts, Time now);
  bool under_way() const;
  Time silent_from() const;
  Time quiet_from() const;
  bool relay() const { return config_.own_key != nullptr; }
  Duration patience() const;
  Duration probe() const;
  Duration spread() const;
  ParentConfig config_;
  Random* random_;
  std::optional<UplinkLease> lease_;
  std::optional<UplinkLease> leaving_;  // replaced by a newer lease, or left
  bool says_leave_ = false;             // by that one
  std::optional<JoinInitiator> joining_;
  std::optional<JoinGrant> grant_;
  std::optional<wire::Denied> denial_;
  EdgeIndices elsewhere_;
  std::optional<Time> last_stream_, last_input_, last_frame_;  // anything; all but IDLE; FRAME
  std::optional<Time> unattested_since_;  // frames have come from it since then, but no attestation
  bool expects_stream_ = false;
  Time stream_expected_since_;
  std::uint32_t frames_ = 0;  // since loss_since_
  Time loss_since_;
  bool drains_ = false;  // the lease's parent will stop
  double loss_ = 0;
  bool silent_ = false;       // what was due has not come: noted once, until it speaks again
  bool unattested_ = false;   // likewise its frames
  bool unreachable_ = false;  // ICMP said so, and no acknowledgement otherwise
  bool seeking_ = false;      // by its own word, in IDLE or an acknowledgement
  Time way_since_;
  bool outage_ = false;  // nothing came for a while since then
  std::optional<Time> hurried_at_;
  Time settled_at_{};         // what is lost before then is the outage's that was
  Time starved_at_ = kNever;  // if it goes on saying so
  bool starved_ = false;
  std::uint64_t acknowledged_ = 0;  // of the lease's acknowledgements that word was taken from
  bool resume_ = false;
  unsigned takes_ = 0;        // how often it was told that it is wanted
  Time take_again_ = kNever;  // unless it has answered
  Duration idle_patience_;    // how long IDLE alone is good enough; not the same for all children
  Time seek_at_ = kNever;     // when to start joining anew
  Time not_before_{};         // it said no: whatever happens, it is not asked before
  ParentCounters counters_;
};

/// Another one than `parent` brings frames.
bool another_brings(std::span<const Parent> parents, std::size_t parent, Time now);

}  // namespace tiercast::control
