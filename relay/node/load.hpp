// How much of a worker's time its leases take, and how many more it could serve: what a join is denied by, long before
// those who are admitted suffer. Plain arithmetic over what the worker has measured.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>

#include "relay/base/types.hpp"
#include "relay/forward/parity_shape.hpp"

namespace tiercast::node {

/// Listeners are admitted while sending takes less of a worker's time. Relays still are above it: one of them is many
/// listeners.
inline constexpr double kFullShare = 0.8;
/// Nor while it would take more than this, were all taken up that stand by here: each costs then what a live one does.
/// When a neighbour dies its listeners come all at once, and nobody is asked any more.
inline constexpr double kTakenUpShare = 0.95;
/// What a lease is sent beside frames: two attestations a second.
constexpr double datagrams_per_second(Duration frame) { return 1e9 / static_cast<double>(frame.count()) + 2; }

/// A listener's mean time between two FRAMEs or PARITYs.
constexpr Duration with_parity(Duration frame, const forward::ParityShape& parity) {
  return parity.on() ? frame * parity.data / (parity.data + parity.repair) : frame;
}

/// What a worker says of itself, some times a second.
struct WorkerLoad {
  double share = 0;               // of its time that sending to those here takes
  double listener_ns = 0;         // a datagram to one more listener; 0: too few have come to tell
  std::uint32_t installed = 0;    // leases so far, wrapping; those that came since are not in `share` yet
  std::uint32_t standing_by = 0;  // of those here, counted in each of their groups: nothing is sent to them yet
  double standing_by_share = 0;   // what sending to them, too, would take
};

class LoadJudge {
 public:
  void told(const WorkerLoad& load) { load_ = load; }
  void installed() { ++installed_; }

  double share(Duration frame) const { return load_.share + fresh() * listener_share(frame); }
  /// With all that stand by.
  double share_taken_up(Duration frame) const { return share(frame) + load_.standing_by_share; }
  std::uint32_t standing_by() const { return load_.standing_by; }
  bool has_room(Duration frame) const { return left(frame) > 0; }
  /// Listeners of a group of such frames that could come; nullopt: not measured yet.
  std::optional<std::uint32_t> room(Duration frame) const {
    if (load_.listener_ns <= 0) return std::nullopt;
    const double room = left(frame) / listener_share(frame);
    return static_cast<std::uint32_t>(
        std::clamp(room, 0.0, static_cast<double>(std::numeric_limits<std::uint32_t>::max())));
  }

 private:
  double left(Duration frame) const {
    return std::min(kFullShare - share(frame), kTakenUpShare - share_taken_up(frame));
  }
  std::uint32_t fresh() const { return installed_ - load_.installed; }
  double listener_share(Duration frame) const { return load_.listener_ns * 1e-9 * datagrams_per_second(frame); }
  WorkerLoad load_;
  std::uint32_t installed_ = 0;
};

}  // namespace tiercast::node
