// A process's own clocks in simulated time: they start anywhere, and their crystal is a little fast or slow.
#pragma once

#include <algorithm>

#include "relay/base/types.hpp"

namespace tiercast::sim {

inline constexpr Time kBegin{1h};  // simulated time's start
inline constexpr WallTime kBeginWall{std::chrono::seconds{1'700'000'000}};

struct Clock {
  Duration offset{};           // of the monotonic clock
  Duration wall_offset{};      // of the wall clock
  std::int64_t drift_ppm = 0;  // both run faster by so much

  Moment at(Time world) const {
    const Duration ran = world - kBegin;
    const Duration own = ran + drift(ran);
    return {kBegin + offset + own,
            kBeginWall + std::chrono::duration_cast<std::chrono::microseconds>(wall_offset + own)};
  }
  Time mono(Time world) const {
    const Duration ran = world - kBegin;
    return kBegin + offset + ran + drift(ran);
  }
  /// The first moment of simulated time at which this clock shows `own`, or more.
  Time when(Time own) const {
    if (own == kNever) return kNever;
    const std::int64_t own_per_million = 1'000'000 + drift_ppm;
    Time world = kBegin + (own - kBegin - offset) / own_per_million * 1'000'000;
    for (Duration left = own - mono(world); left.count() > 0; left = own - mono(world))
      world += std::max<Duration>(left * 1'000'000 / own_per_million, Duration{1});
    return world;
  }

 private:
  Duration drift(Duration ran) const { return ran / 1'000'000 * drift_ppm + ran % 1'000'000 * drift_ppm / 1'000'000; }
};

}  // namespace tiercast::sim
