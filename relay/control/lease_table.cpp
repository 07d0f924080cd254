#include "relay/control/lease_table.hpp"

#include <algorithm>
#include <cassert>
#include <vector>

#include "crypto/control.hpp"

namespace tiercast::control {
namespace {

constexpr std::uint32_t kBlock = 1024;     // leases that storage grows by: 150 kB
constexpr std::uint32_t kBucketUnit = 16;  // Lease::bucket counts sixteenths of a datagram

/// A CONTROL with nothing but a token.
constexpr std::size_t kTokenControl = wire::kMinControl + 3 + wire::kToken;

struct Rate {
  std::uint32_t per_second, burst;
};
constexpr Rate rate_of(wire::Role role) {
  return role == wire::Role::relay ? Rate{kRelayControlRate, kRelayControlBurst} : Rate{kControlRate, kControlBurst};
}

bool take_from_bucket(Lease& lease, Time now) {
  const Rate rate = rate_of(lease.role);
  const std::uint32_t full = rate.burst * kBucketUnit;
  const Duration per_unit = Duration{1s} / (rate.per_second * kBucketUnit);
  const auto refill = now > lease.bucket_at ? (now - lease.bucket_at) / per_unit : 0;
  if (refill >= full - lease.bucket) {
    lease.bucket = full;
    lease.bucket_at = now;
  } else {
    lease.bucket += static_cast<std::uint32_t>(refill);
    lease.bucket_at += refill * per_unit;  // what is short of a unit is not lost
  }
  if (lease.bucket < kBucketUnit) return false;
  lease.bucket -= kBucketUnit;
  return true;
}

/// Every record is looked at before any is acted on. False: one does not parse, or there are two keepalives.
bool look_through(Bytes payload, std::optional<wire::Keepalive>& keepalive) {
  wire::RecordReader records{payload};
  while (auto record = records.next()) {
    if (const auto* k = std::get_if<wire::Keepalive>(&*record)) {
      if (keepalive) return false;
      keepalive = *k;
    }
  }
  return !records.error();
}

}  // namespace

LeaseSecrets::LeaseSecrets(std::uint32_t slots) : memory_(std::size_t{slots} * 2 * crypto::kControlKeyBytes) {}

void LeaseSecrets::store(LeaseSlot slot, const crypto::TransportKeys& keys) {
  const auto opening = keys.initiator_to_responder.view(), sealing = keys.responder_to_initiator.view();
  const MutableBytes at =
      memory_.bytes().subspan(std::size_t{slot.value} * 2 * crypto::kControlKeyBytes, 2 * crypto::kControlKeyBytes);
  std::copy(opening.begin(), opening.end(), at.begin());
  std::copy(sealing.begin(), sealing.end(), at.begin() + crypto::kControlKeyBytes);
}

void LeaseSecrets::wipe(LeaseSlot slot) {
  crypto::wipe(
      memory_.bytes().subspan(std::size_t{slot.value} * 2 * crypto::kControlKeyBytes, 2 * crypto::kControlKeyBytes));
}

std::span<const std::uint8_t, 32> LeaseSecrets::opens(LeaseSlot slot) const {
  return memory_.view()
      .subspan(std::size_t{slot.value} * 2 * crypto::kControlKeyBytes)
      .first<crypto::kControlKeyBytes>();
}

std::span<const std::uint8_t, 32> LeaseSecrets::seals(LeaseSlot slot) const {
  return memory_.view()
      .subspan(std::size_t{slot.value} * 2 * crypto::kControlKeyBytes + crypto::kControlKeyBytes)
      .first<crypto::kControlKeyBytes>();
}

struct LeaseTable::State {
  State(std::uint32_t max, std::uint16_t tag, LeaseSecrets& keys, const crypto::MacKey& tokens)
      : max_leases(max), boot_tag(tag), secrets(keys), token_key(tokens.view()), blocks((max + kBlock - 1) / kBlock) {}

  Lease* place(LeaseSlot slot) {
    if (slot.value >= max_leases || !blocks[slot.value / kBlock]) return nullptr;
    return &blocks[slot.value / kBlock][slot.value % kBlock];
  }
  Lease& at(LeaseSlot slot) {
    Lease* lease = place(slot);
    assert(lease != nullptr && lease->id != LeaseId{});
    return *lease;
  }
  Lease* find(LeaseId id) {
    if (boot_tag_of(id) != boot_tag) return nullptr;
    Lease* lease = place(slot_of(id));
    return lease != nullptr && lease->id == id ? lease : nullptr;
  }
  auto links() {
    return [this](std::uint32_t slot) -> ExpiryWheel::Links& { return place(LeaseSlot{slot})->wheel; };
  }

  void end(Lease& lease) {
    const LeaseSlot slot = slot_of(lease.id);
    wheel.leave(slot.value, links());
    secrets.wipe(slot);
    lease.id = LeaseId{};
    --active;
  }

  /// A token was echoed from the address that it was made for: the lease lives a life from its issue, never less long
  /// than it did before.
  void echoed(Lease& lease, Time issued, Time now) {
    lease.confirmed = true;
    const std::uint64_t until = ExpiryWheel::unit_at_or_after(issued + wire::kLeaseLife);
    const Time expires = ExpiryWheel::time_of(until);
    if (expires <= lease.expires) return;
    lease.expires = expires;
    const std::uint32_t slot = slot_of(lease.id).value;
    wheel.leave(slot, links());
    wheel.enter(slot, until, links(), now);
  }

  Bytes seal(Lease& lease, Bytes records, MutableBytes out) {
    const std::size_t length =
        crypto::seal_control(secrets.seals(slot_of(lease.id)), Lane{0}, lease.id, lease.send_counter, records, out);
    if (length == 0) return {};
    ++lease.send_counter;
    counters.control_sent.add();
    return out.first(length);
  }

  Bytes token_for(Lease& lease, const Endpoint& from, std::size_t caused_by, MutableBytes reply, Time now) {
    if (caused_by < kTokenControl || now < lease.last_moved_token + wire::kMovedTokenEvery) return {};
    std::array<std::uint8_t, kTokenControl> buffer;
    Writer records{buffer};
    wire::write_record(records, wire::TokenOnly{crypto::make_token(token_key, lease.id, from, now)});
    const Bytes sealed = seal(lease, records.written(), reply);
    if (!sealed.empty()) {
      lease.last_moved_token = now;
      counters.moved_tokens.add();
    }
    return sealed;
  }

  const std::uint32_t max_leases;
  const std::uint16_t boot_tag;
  LeaseSecrets& secrets;
  const crypto::MacKey token_key;
  std::vector<std::unique_ptr<Lease[]>> blocks;
  std::uint32_t blocks_taken = 0;
  std::uint32_t active = 0;
  ExpiryWheel wheel;
  LeaseCounters counters;
};

LeaseTable::LeaseTable(std::uint32_t max_leases, std::uint16_t boot_tag, LeaseSecrets& secrets,
                       const crypto::MacKey& token_key)
    : state_(std::make_unique<State>(max_leases, boot_tag, secrets, token_key)) {
  assert(max_leases <= 1u << 24);
}

LeaseTable::~LeaseTable() = default;

void LeaseTable::install(LeaseId id, const Endpoint& peer, const LocalAddress& local, wire::Role role,
                         wire::Delivery delivery, Time now) {
  State& s = *state_;
  const LeaseSlot slot = slot_of(id);
  assert(slot.value < s.max_leases && boot_tag_of(id) == s.boot_tag && id != LeaseId{});
  auto& block = s.blocks[slot.value / kBlock];
  if (!block) {
    block = std::make_unique<Lease[]>(kBlock);
    ++s.blocks_taken;
  }
  Lease& lease = block[slot.value % kBlock];
  assert(lease.id == LeaseId{});
  lease = Lease{};
  lease.id = id;
  lease.peer = peer;
  lease.local = local;
  lease.role = role;
  lease.delivery = delivery;
  lease.last_moved_token = now - wire::kMovedTokenEvery;
  lease.bucket = rate_of(role).burst * kBucketUnit;
  lease.bucket_at = now;
  const std::uint64_t until = ExpiryWheel::unit_at_or_after(now + wire::kProvisionalLease);
  lease.expires = ExpiryWheel::time_of(until);
  s.wheel.enter(slot.value, until, s.links(), now);
  ++s.active;
  s.counters.installed.add();
}

ControlResult LeaseTable::on_control(Bytes datagram, const Endpoint& from, const LocalAddress& local,
                                     MutableBytes records, MutableBytes reply, Time now) {
  State& s = *state_;
  const auto drop = [](Counter& why) {
    why.add();
    return ControlResult{};
  };
  const auto control = wire::parse_control(datagram);
  if (!control) return drop(s.counters.drop_malformed);
  Lease* const lease = s.find(control->lease);
  if (lease == nullptr || now >= lease->expires) return drop(s.counters.drop_unknown_lease);
  if (!take_from_bucket(*lease, now)) return drop(s.counters.drop_rate);
  if (!lease->replay.fresh(control->counter)) return drop(s.counters.drop_replayed);
  const LeaseSlot slot = slot_of(lease->id);
  const auto length = crypto::open_control(s.secrets.opens(slot), *control, records);
  if (!length) return drop(s.counters.drop_forged);
  const bool newest = lease->replay.newest(control->counter);
  lease->replay.mark(control->counter);
  s.counters.control_received.add();

  ControlResult result;
  result.slot = slot;
  result.overtaken = !newest;
  result.records = records.first(*length);
  if (!look_through(result.records, result.keepalive)) return drop(s.counters.drop_record);
  std::optional<Time> issued;
  if (result.keepalive)
    issued = crypto::verify_token(s.token_key, lease->id, from, result.keepalive->token, now, wire::kLeaseLife);

  if (from != lease->peer) {
    // As in RFC 9000 §9.3, only the newest datagram moves: one that was late would move the lease back to where its
    // holder no longer is.
    if (!issued || !newest) {
      ControlResult unproven = drop(s.counters.drop_unproven_address);
      unproven.reply = s.token_for(*lease, from, datagram.size(), reply, now);
      if (!unproven.reply.empty()) unproven.slot = slot;
      return unproven;
    }
    lease->peer = from;
    lease->local = local;
    result.moved = true;
    s.counters.moved.add();
  } else if (issued && newest && !local.same_way(lease->local)) {
    // Its holder speaks to another of this node's addresses now, and hears only that one.
    lease->local = local;
    result.moved = true;
    s.counters.moved.add();
  }
  result.confirms = issued && !lease->confirmed;
  if (issued) s.echoed(*lease, *issued, now);
  if (result.keepalive && newest) {
    lease->reported_loss = result.keepalive->loss;
    lease->round_trip_us = result.keepalive->round_trip_us;
  } else if (result.keepalive) {
    result.keepalive->delivery = lease->delivery;  // late: it must not undo what a newer one has asked for
  }
  return result;
}

void LeaseTable::write_acknowledgement(Writer& records, LeaseSlot slot, const wire::Keepalive& keepalive, bool seeking,
                                       const InlineVector<NodeId, wire::kMaxPath>& path, Time now) {
  const Lease& lease = state_->at(slot);
  wire::write_record(records, wire::Acknowledgement{
                                  .number = keepalive.number,
                                  .token = crypto::make_token(state_->token_key, lease.id, lease.peer, now),
                                  .seeking = seeking,
                                  .path = path,
                              });
}

Bytes LeaseTable::seal(LeaseSlot slot, Bytes records, MutableBytes out) {
  return state_->seal(state_->at(slot), records, out);
}

void LeaseTable::release(LeaseSlot slot) { state_->end(state_->at(slot)); }

std::optional<Lease> LeaseTable::expire_one(Time now) {
  State& s = *state_;
  while (const auto slot = s.wheel.come(now)) {
    Lease& lease = s.at(LeaseSlot{*slot});
    if (now < lease.expires) {
      s.wheel.leave(*slot, s.links());
      s.wheel.enter(*slot, ExpiryWheel::unit_of(lease.expires), s.links(), now);
      continue;
    }
    const Lease ended = lease;
    s.end(lease);
    (ended.confirmed ? s.counters.expired : s.counters.unconfirmed).add();
    return ended;
  }
  return std::nullopt;
}

Time LeaseTable::next_deadline() const { return state_->wheel.next_deadline(); }
Lease* LeaseTable::find(LeaseId id) { return state_->find(id); }
Lease& LeaseTable::at(LeaseSlot slot) { return state_->at(slot); }
std::uint32_t LeaseTable::active() const { return state_->active; }
LeaseCounters& LeaseTable::counters() { return state_->counters; }
std::uint64_t LeaseTable::wheel_steps() const { return state_->wheel.steps(); }

LeaseSlot LeaseTable::next_active(LeaseSlot from) const {
  const State& s = *state_;
  for (std::uint32_t slot = from.value; slot < s.max_leases; ++slot) {
    const auto& block = s.blocks[slot / kBlock];
    if (!block) {
      slot |= kBlock - 1;
    } else if (block[slot % kBlock].id != LeaseId{}) {
      return LeaseSlot{slot};
    }
  }
  return kNoSlot;
}

void LeaseTable::derive_link_key(LeaseSlot slot, std::span<std::uint8_t, 32> out) const {
  crypto::derive_link_key(state_->secrets.seals(slot), out);
}

std::size_t LeaseTable::bytes_reserved() const {
  return sizeof(State) + state_->blocks.capacity() * sizeof(state_->blocks[0]) +
         std::size_t{state_->blocks_taken} * kBlock * sizeof(Lease);
}

}  // namespace tiercast::control
