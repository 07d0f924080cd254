// How much faster or slower than the local clock the sender's runs: a line through the times at which its fastest
// packets came. Knows no packet and no clock.
#pragma once

#include <array>
#include <optional>

#include "relay/base/types.hpp"

namespace tiercast::receive {

/// A point every kEvery, least squares over the last kPoints of them. The points are PlayoutClock's: the least delay of
/// the last 5 to 10 s, so that what is left of the network's jitter is a fraction of a millisecond: some 10 ppm of
/// error after half a minute, below 1 ppm after five. Another way through the network (a step of kStep) starts it anew,
/// from what was known.
class Drift {
 public:
  static constexpr Duration kEvery = 5s;
  static constexpr std::size_t kPoints = 60;
  static constexpr std::size_t kEnough = 7;  // half a minute
  static constexpr Duration kStep = 8ms;

  /// `expected` at `now`: when that tick of the sender's clock (in time since any fixed one) comes if nothing delays
  /// it.
  void on_expected(Duration media, Time expected, Time now);
  /// Millionths; positive: the sender's clock is the faster one. nullopt: not known yet.
  std::optional<double> ppm() const { return ppm_; }
  void restart();

 private:
  struct Point {
    double at, offset;  // seconds since the first one
  };
  void fit();

  std::array<Point, kPoints> points_{};
  std::size_t count_ = 0;  // all so far; the last kPoints are kept
  Time first_at_, next_at_;
  Duration first_offset_{0};
  std::optional<double> ppm_;
};

}  // namespace tiercast::receive
