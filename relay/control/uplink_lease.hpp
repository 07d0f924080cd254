// A lease as its holder (a downstream) sees it: keepalives, tokens, round trip, CONTROL in both directions.
// Used by relays towards their parents and by listeners. Knows no socket.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "relay/base/counter.hpp"
#include "relay/base/random.hpp"
#include "relay/control/join_initiator.hpp"
#include "relay/control/replay_window.hpp"

namespace tiercast::control {

struct UplinkCounters {
  Counter control_received, keepalives_sent, keepalives_acknowledged, moved_tokens;
  Counter drop_malformed, drop_lease, drop_replayed, drop_forged, drop_record;
  template <class F>
  void each(F&& f) const {
    f("uplink_control_received", control_received);
    f("uplink_keepalive_sent", keepalives_sent);
    f("uplink_keepalive_acknowledged", keepalives_acknowledged);
    f("uplink_moved_token", moved_tokens);
    f("uplink_drop_malformed", drop_malformed);
    f("uplink_drop_lease", drop_lease);
    f("uplink_drop_replayed", drop_replayed);
    f("uplink_drop_forged", drop_forged);
    f("uplink_drop_record", drop_record);
  }
};

/// What a keepalive says beside its token; asked for when one is built.
struct KeepaliveContents {
  std::uint16_t loss = 0;
  wire::Delivery delivery = wire::Delivery::unicast;
  wire::EpochsHeld held;
  Bytes resume;  // records that a first keepalive for a stream brings along: what was missed before it
};

class UplinkLease {
 public:
  /// The first keepalive is due at once: it echoes ACCEPT's token and so confirms the lease.
  UplinkLease(const JoinGrant& grant, Random& random, Time now);

  /// Opens a CONTROL datagram from upstream into `records` (≥ kMaxDatagram): its payload, or nullopt (counted).
  /// Tokens and acknowledgements in it are taken here too; the caller walks the records for the rest (no error in
  /// them).
  std::optional<Bytes> on_control(Bytes datagram, MutableBytes records, Time now);

  /// Seals records for upstream into `out`; the datagram. Empty: it would not fit.
  Bytes seal(Bytes records, MutableBytes out);

  /// A keepalive to send now, if one is due (every kKeepalive at a random phase; resent every kKeepaliveResend until
  /// acknowledged, each with a number of its own): fill `contents` first. Empty: none due.
  Bytes keepalive_if_due(const KeepaliveContents& contents, MutableBytes out, Time now);
  bool keepalive_due(Time now) const { return now >= next_keepalive_; }
  /// Something happened (silence, an unknown epoch, a token for a moved address): ask now. Not more often than every
  /// 50 ms.
  void hasten(Time now);
  /// Without that bound: what the keepalive says is new.
  void keepalive_now(Time now) { next_keepalive_ = now; }
  Time next_deadline() const { return next_keepalive_; }

  LeaseId id() const { return id_; }
  Lane lane() const { return lane_; }
  Duration round_trip() const { return round_trip_; }  // smoothed (RFC 6298 §2)
  /// The least of the last few: how far it is, whatever it had to do meanwhile.
  Duration distance() const { return *std::min_element(trips_.begin(), trips_.end()); }
  Time last_heard() const { return last_heard_; }  // last authentic CONTROL
  /// Since when a keepalive waits for its acknowledgement; nullopt: none does.
  std::optional<Time> unanswered_since() const { return unanswered_since_; }
  bool seeking() const { return seeking_; }  // the parent says that its own upstreams are dead
  const InlineVector<NodeId, wire::kMaxPath>& path() const { return path_; }
  bool expired(Time now) const;        // the newest token came longer than kLeaseLife ago: upstream has ended it
  bool handshake_old(Time now) const;  // kHandshakeLife is near: join anew
  std::span<const std::uint8_t, 32> link_key() const { return link_key_->view(); }  // checks what comes from upstream
  const UplinkCounters& counters() const { return counters_; }

 private:
  struct Sent {
    std::uint32_t number = 0;  // 0: none
    Time at;
  };
  void take_token(const wire::Token& token, std::uint64_t counter, Time now);
  void on_acknowledgement(const wire::Acknowledgement& acknowledgement, std::uint64_t counter, Time now);

  LeaseId id_;
  Lane lane_;
  std::unique_ptr<crypto::Secret<64>> keys_;      // send ‖ receive
  std::unique_ptr<crypto::Secret<32>> link_key_;  // of the upstream's direction
  std::uint64_t send_counter_ = 0;
  ReplayWindow replay_;

  wire::Token token_;
  Time token_at_;
  ReplayWindow token_order_;  // tokens are taken in the order in which they were sealed
  ReplayWindow state_order_;  // path and seeking likewise

  std::uint32_t keepalive_number_ = 0;
  std::array<Sent, 8> sent_{};  // 4 s of resending: acknowledgements that took longer tell no round trip
  Time joined_, next_keepalive_, last_heard_;
  Time phase_;              // when the next regular keepalive is due
  Time hastened_ = kNever;  // one is asked for by then, since the last one was sent
  std::optional<Time> last_sent_, unanswered_since_;
  Duration round_trip_;
  std::array<Duration, 4> trips_;  // the last ones
  std::size_t next_trip_ = 0;
  bool seeking_ = false;
  InlineVector<NodeId, wire::kMaxPath> path_;
  UplinkCounters counters_;
};

}  // namespace tiercast::control
