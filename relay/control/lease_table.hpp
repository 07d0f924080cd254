// A worker's leases: who receives, at which address, until when. O(1) per event. The feed reserves slots and writes
// their secrets; from install() on a lease is the worker's. Knows no socket and no frame.
#pragma once

#include <memory>
#include <optional>

#include "crypto/cookie.hpp"
#include "crypto/noise.hpp"
#include "crypto/secret.hpp"
#include "relay/base/counter.hpp"
#include "relay/control/expiry_wheel.hpp"
#include "relay/control/replay_window.hpp"
#include "relay/wire/records.hpp"

namespace tiercast::control {

using LeaseSlot = Strong<struct LeaseSlotTag, std::uint32_t>;  // u24
inline constexpr LeaseSlot kNoSlot{0xffffffff};

/// id = boot tag u16 ‖ slot u24 ‖ random u24.
constexpr LeaseSlot slot_of(LeaseId id) { return LeaseSlot{static_cast<std::uint32_t>(id.value >> 24 & 0xffffff)}; }
constexpr std::uint16_t boot_tag_of(LeaseId id) { return static_cast<std::uint16_t>(id.value >> 48); }
constexpr LeaseId make_lease_id(std::uint16_t boot_tag, LeaseSlot slot, std::uint32_t random24) {
  return LeaseId{std::uint64_t{boot_tag} << 48 | std::uint64_t{slot.value} << 24 | (random24 & 0xffffff)};
}

/// 64 B a slot of guarded memory: downstream's key (opens what comes) ‖ upstream's key (seals what goes). A slot
/// belongs to the feed while free or reserved, to the worker from install() to its release.
class LeaseSecrets {
 public:
  explicit LeaseSecrets(std::uint32_t slots);
  void store(LeaseSlot slot, const crypto::TransportKeys& keys);
  void wipe(LeaseSlot slot);
  std::span<const std::uint8_t, 32> opens(LeaseSlot slot) const;
  std::span<const std::uint8_t, 32> seals(LeaseSlot slot) const;

 private:
  crypto::SecretMemory memory_;
};

struct Lease {
  LeaseId id;  // 0: the slot is free
  Endpoint peer;
  LocalAddress local;  // what it gets leaves from there
  wire::Role role = wire::Role::listener;
  wire::Delivery delivery = wire::Delivery::unicast;
  bool confirmed = false;           // has echoed its first token
  bool stays = false;               // told to go elsewhere, its holder said that it cannot
  std::uint8_t loss_class = 0;      // the worker's: where it counts this lease by its loss
  std::uint16_t reported_loss = 0;  // of 65535
  std::uint32_t round_trip_us = 0;
  std::uint32_t first_membership = 0xffffffff;  // the worker's list of its groups
  Time expires;                                 // a whole multiple of kTokenUnit, as tokens' issue times are
  Time last_moved_token;
  std::uint64_t send_counter = 0;
  ReplayWindow replay;
  // token bucket before the AEAD: units of 1/16 datagram
  Time bucket_at;
  std::uint32_t bucket = 0;
  ExpiryWheel::Links wheel;
};
static_assert(sizeof(Lease) <= 160, "the memory that 100,000 leases take is a promise");

/// CONTROL datagrams of one lease before the AEAD. A listener that repairs hard sends a NACK every round trip + 10 ms
/// while a loss lasts and a keepalive every 500 ms: 50/s is that at a round trip of 10 ms, the burst is four rounds for
/// each of 25 groups. A relay asks for every group it carries (≤ kMaxGroups); its key is known, so it may have more.
inline constexpr std::uint32_t kControlRate = 50;  // datagrams a second
inline constexpr std::uint32_t kControlBurst = 100;
inline constexpr std::uint32_t kRelayControlRate = 500;
inline constexpr std::uint32_t kRelayControlBurst = 1024;

/// Every datagram is one of: control_received or a drop. (One from an unproven address is both received, since it was
/// authentic, and drop_unproven_address; one with a bad record likewise.)
struct LeaseCounters {
  Counter installed, expired, unconfirmed, left, moved, control_received, control_sent, moved_tokens;
  Counter drop_malformed, drop_unknown_lease, drop_rate, drop_replayed, drop_forged, drop_unproven_address, drop_record;
  template <class F>
  void each(F&& f) const {
    f("lease_installed", installed);
    f("lease_expired", expired);
    f("lease_never_confirmed", unconfirmed);
    f("lease_left", left);
    f("lease_moved", moved);
    f("lease_control_received", control_received);
    f("lease_control_sent", control_sent);
    f("lease_moved_token", moved_tokens);
    f("lease_drop_malformed", drop_malformed);
    f("lease_drop_unknown", drop_unknown_lease);
    f("lease_drop_rate", drop_rate);
    f("lease_drop_replayed", drop_replayed);
    f("lease_drop_forged", drop_forged);
    f("lease_drop_unproven_address", drop_unproven_address);
    f("lease_drop_record", drop_record);
  }
};

/// What came of one CONTROL datagram.
struct ControlResult {
  LeaseSlot slot = kNoSlot;  // kNoSlot: dropped, counted
  Bytes records;             // opened payload, empty when dropped or when only `reply` matters
  /// Present: build an acknowledgement (see write_acknowledgement()). Its `delivery` is what the caller brings
  /// Lease::delivery to; in a keepalive that was overtaken by a newer datagram it is what the lease has already.
  std::optional<wire::Keepalive> keepalive;
  bool overtaken = false;  // by a newer datagram of this lease
  bool confirms = false;   // the first echo of a token: its holder is there
  bool moved = false;      // its address, or this node's towards it, is another since now: destination tables change
  Bytes reply;             // to send to the datagram's address at once (a token for an unproven one)
};

class LeaseTable {
 public:
  /// `secrets` outlives the table; `token_key` is copied. Storage for `max_leases` grows in blocks, never shrinks.
  LeaseTable(std::uint32_t max_leases, std::uint16_t boot_tag, LeaseSecrets& secrets, const crypto::MacKey& token_key);
  ~LeaseTable();

  /// A lease that the feed admitted, its secrets stored, its slot (< max_leases) free here. Provisional: ends after
  /// kProvisionalLease (rounded up to kTokenUnit) unless a token is echoed.
  void install(LeaseId id, const Endpoint& peer, const LocalAddress& local, wire::Role role, wire::Delivery delivery,
               Time now);

  /// One datagram. Order of trust: form, lease, token bucket, replay (asked), AEAD, replay (marked), address.
  /// A valid token from a new address moves the lease there; without one nothing is acted on and the only answer is a
  /// token, no longer than `datagram`, one every kMovedTokenEvery. A valid token that came to another address of this
  /// node (`local`) moves the lease to that one. `records` and `reply` hold ≥ kMaxDatagram each.
  ControlResult on_control(Bytes datagram, const Endpoint& from, const LocalAddress& local, MutableBytes records,
                           MutableBytes reply, Time now);
  /// Writes the acknowledgement record for a keepalive that on_control() gave, with a fresh token for the lease's
  /// (proven) address.
  void write_acknowledgement(Writer& records, LeaseSlot slot, const wire::Keepalive& keepalive, bool seeking,
                             const InlineVector<NodeId, wire::kMaxPath>& path, Time now);
  /// Seals records for the lease's holder; the datagram in `out`. Empty: it would not fit.
  Bytes seal(LeaseSlot slot, Bytes records, MutableBytes out);

  /// Ends a lease now (leave, go-away, loss). The slot's secrets are wiped; the caller counts why (LeaseCounters::left)
  /// and gives the slot back to the feed.
  void release(LeaseSlot slot);
  /// The next lease whose time has come, released already except for its memberships: call until nullopt. The caller
  /// ends its memberships (from the returned copy) and gives the slot back to the feed.
  std::optional<Lease> expire_one(Time now);
  Time next_deadline() const;

  /// Null: no such lease (any more).
  Lease* find(LeaseId id);
  Lease& at(LeaseSlot slot);
  /// A link MAC key for a relay lease: derived from the upstream direction's key.
  void derive_link_key(LeaseSlot slot, std::span<std::uint8_t, 32> out) const;
  std::uint32_t active() const;
  /// The first slot at or above `from` that has a lease; kNoSlot: none. To tell all of them something.
  LeaseSlot next_active(LeaseSlot from) const;
  std::size_t bytes_reserved() const;
  LeaseCounters& counters();
  /// List operations of the timer wheel so far: what O(1) is tested by.
  std::uint64_t wheel_steps() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tiercast::control
