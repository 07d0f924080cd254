// One worker as the feed sees it: the rings to and from it, its lease slots, its bell.
#pragma once

#include <functional>
#include <vector>

#include "relay/base/spsc_ring.hpp"
#include "relay/control/lease_table.hpp"
#include "relay/node/messages.hpp"

namespace tiercast::node {

/// Lease slots that nobody uses. A slot that was never used is taken only when none was given back.
class FreeSlots {
 public:
  explicit FreeSlots(std::uint32_t slots) : slots_(slots) {}
  std::optional<control::LeaseSlot> take() {
    if (!freed_.empty()) {
      const control::LeaseSlot slot = freed_.back();
      freed_.pop_back();
      ++taken_;
      return slot;
    }
    if (unused_ == slots_) return std::nullopt;
    ++taken_;
    return control::LeaseSlot{unused_++};
  }
  void give_back(control::LeaseSlot slot) {
    freed_.push_back(slot);
    --taken_;
  }
  std::uint32_t taken() const { return taken_; }
  std::uint32_t left() const { return slots_ - taken_; }

 private:
  std::uint32_t slots_;
  std::uint32_t unused_ = 0;
  std::uint32_t taken_ = 0;
  std::vector<control::LeaseSlot> freed_;
};

struct WorkerLink {
  Lane lane;
  std::uint16_t boot_tag = 0;
  SpscRing<Command>* commands = nullptr;
  SpscRing<Report>* reports = nullptr;
  control::LeaseSecrets* secrets = nullptr;
  FreeSlots free;
  LoadJudge load;
  std::function<void()> wake;  // after commands were pushed
  bool rung = false;           // commands were pushed since the last wake
  bool told_to_stop = false, stopped = false;
  bool told_to_drain = false;
  std::uint32_t staying = 0;  // leases whose holders cannot go elsewhere
  std::uint64_t untold = 0;   // commands that its full ring did not take

  /// It has let commands wait for so long that it must have stopped: nobody should be given to it.
  bool stands_still(Time now) {
    watch(now);
    return now - since > kStandsStill;
  }
  /// Before each push, too: so that a command is never taken for one that waits since the last look.
  void watch(Time now) {
    const std::size_t taken = commands->taken();
    if (taken == seen && !commands->all_taken()) return;
    seen = taken;
    since = now;
  }

  static constexpr Duration kStandsStill = 1s;  // no frame takes so long to be sent
  std::size_t seen = 0;                         // commands that it had taken
  Time since{};                                 // and no more since then, though there were
};

}  // namespace tiercast::node
