// How long after the fastest packets a player has to wait so that nearly all are there: a quantile of what was seen,
// which forgets. Knows no packet's bytes and no clock.
#pragma once

#include <array>

#include "relay/base/types.hpp"

namespace tiercast::receive {

/// The lateness of a packet is its arrival less the time at which the fastest of the last seconds would have been here
/// (PlayoutClock). The target lets all but one of 1000 through, as a histogram of them says whose weights halve every
/// kHalfLife; and since a broadcast would rather be late than broken, one that came too late to be played raises it at
/// once, for kHold, from where it sinks slowly to what the histogram says. Who is later than `most` counts for nothing:
/// nobody waits so long.
class DelayTarget {
 public:
  static constexpr Duration kHalfLife = 30s;
  static constexpr Duration kHold = 30s;
  static constexpr double kSinks = 0.004;    // of the time that passes: 4 ms a second
  static constexpr Duration kMargin = 10ms;  // a turn of a busy machine's scheduler
  static constexpr double kQuantile = 0.999;

  DelayTarget(Duration least, Duration most);

  /// `late`: it was missing when it was to be played.
  void on_packet(Duration lateness, bool late, Time now);
  /// The fastest packets' way has become longer by so much: what was late by it is not any more.
  void shift(Duration by);
  /// From `least` to `most`.
  Duration target(Time now) const;

 private:
  static constexpr std::size_t kBuckets = 512;
  Duration peak(Time now) const;
  void find_quantile();

  const Duration least_, most_;
  const Duration bucket_;
  std::array<double, kBuckets> weights_{};
  double all_ = 0;
  double next_weight_ = 1;  // that grows instead of the others shrinking
  Time last_ = Time::min();
  Duration quantile_{0};
  Duration peak_{0};
  Time peak_at_ = Time::min();
};

}  // namespace tiercast::receive
