// How long a group's frames take from the origin to this node, by the two machines' clocks. Knows no clock.
#pragma once

#include <array>
#include <chrono>
#include <optional>

#include "relay/wire/records.hpp"

namespace tiercast::node {

/// Only the very frame that the origin has stamped tells: its neighbours were sealed when their audio came, and a
/// sender's bursts are no part of the way. A statement comes up to a second a hop after its frame, so as many arrivals
/// are remembered as a tree of the greatest depth takes. Allocates nothing.
class Latency {
 public:
  void on_frame(Sequence sequence, WallTime now) { arrivals_[sequence.value % arrivals_.size()] = {sequence, now}; }
  void on_statement(const wire::GroupInfo& info) {
    const Arrival& arrival = arrivals_[info.stamped.value % arrivals_.size()];
    if (arrival.sequence != info.stamped || info.stamped == told_) return;
    told_ = info.stamped;
    // Both are 64 bits from elsewhere or a clock: the difference wraps, and a nonsense statement makes nonsense only.
    const auto arrived_us = static_cast<std::uint64_t>(arrival.at.time_since_epoch().count());
    last_ = std::chrono::microseconds{static_cast<std::int64_t>(arrived_us - info.stamped_unix_us)};
  }
  /// Negative: the clocks disagree by more than that. None: no stamped frame has come.
  std::optional<std::chrono::microseconds> last() const { return last_; }

 private:
  struct Arrival {
    Sequence sequence;
    WallTime at;
  };
  std::array<Arrival, 512> arrivals_{};
  Sequence told_;
  std::optional<std::chrono::microseconds> last_;
};

}  // namespace tiercast::node
