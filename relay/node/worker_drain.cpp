// A node that is about to stop tells everybody to go elsewhere: relays first, then listeners, not all in one burst;
// again every second, until each has left or said that it cannot.
#include <algorithm>

#include "relay/control/drain.hpp"
#include "relay/control/elsewhere.hpp"
#include "relay/node/worker.hpp"

namespace tiercast::node {
namespace {
constexpr unsigned kToldPerTurn = 64;     // so that no frame waits for longer than these take
constexpr Duration kTellEvery = 20ms;     // so many, or oftener where they are so many that half the time would not do
constexpr Duration kTellAgainAfter = 1s;  // the word may have been lost, or the answer
}  // namespace

void Worker::begin_drain(const Drain& drain, Time now) {
  if (telling_ || stopping_) return;
  telling_.emplace().over = drain.over;
  telling_->elsewhere = drain.elsewhere;
  begin_telling(now);
  tell_to_go(now);
}

void Worker::begin_telling(Time now) {
  telling_->began = telling_->next = now;
  telling_->relay = 0;
  telling_->slot = 0;
}

/// A lease's slot; kNone: all have been told.
std::uint32_t Worker::next_to_tell() {
  if (telling_->relay < relay_leases_.size()) return relay_leases_[telling_->relay++].value;
  while (true) {
    const control::LeaseSlot slot = leases_.next_active(control::LeaseSlot{telling_->slot});
    if (slot == control::kNoSlot) return kNone;
    telling_->slot = slot.value + 1;
    if (leases_.at(slot).role != wire::Role::relay) return slot.value;
  }
}

void Worker::tell_to_go(Time now) {
  if (!telling_ || stopping_ || now < telling_->next) return;
  for (unsigned told = 0; told < kToldPerTurn;) {
    const std::uint32_t slot = next_to_tell();
    if (slot == kNone) {
      begin_telling(now);
      telling_->next = now + kTellAgainAfter;
      return;
    }
    const control::Lease& lease = leases_.at(control::LeaseSlot{slot});
    if (lease.stays) continue;
    const std::uint16_t retry =
        lease.role == wire::Role::relay ? control::kRelayDrainRetry : control::kListenerDrainRetry;
    std::array<std::uint8_t, 32> buffer;
    Writer records{buffer};
    // A lease's id is as good as chance, and tells it the same each time.
    const control::EdgeIndices where_else = control::some_of(*telling_->elsewhere, lease.id.value);
    wire::write_record(records, wire::GoAway{wire::LeaveReason::drain, retry, where_else.bytes()});
    send_records(control::LeaseSlot{slot}, records.written());
    counters_.go_aways.add();
    ++told;
  }
  const auto parts = static_cast<std::int64_t>(leases_.active() / kToldPerTurn + 1);
  telling_->next = now + std::min<Duration>(kTellEvery, telling_->over / 2 / parts);
}

// Where the feed's ring is full it is told again by the answer to the next word.
void Worker::on_stays(control::Lease& lease) {
  if (!telling_ || lease.stays) return;
  lease.stays = report(LeaseStays{});
}

}  // namespace tiercast::node
