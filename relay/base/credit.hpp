// A token bucket counted in time: what may happen, at a sustained rate and at once. Must not know what it limits.
#pragma once

#include <algorithm>

#include "relay/base/types.hpp"

namespace tiercast {

class Credit {
 public:
  /// Full at the start. Every second adds a second and `extra_sixteenths` sixteenths of one, up to `limit`.
  Credit(Duration limit, int extra_sixteenths, Time now)
      : limit_(limit), extra_sixteenths_(extra_sixteenths), credit_(limit), at_(now) {}

  bool has(Duration cost, Time now) {
    refill(now);
    return cost <= credit_;
  }
  /// False, and nothing taken, when `cost` is not there.
  bool take(Duration cost, Time now) {
    if (!has(cost, now)) return false;
    credit_ -= cost;
    return true;
  }
  /// For what happens in any case.
  void spend(Duration cost, Time now) {
    refill(now);
    credit_ -= std::min(cost, credit_);
  }

 private:
  void refill(Time now) {
    const Duration elapsed = std::clamp(now - at_, Duration{0}, limit_);
    at_ = std::max(at_, now);
    credit_ = std::min(limit_, credit_ + elapsed + elapsed * extra_sixteenths_ / 16);
  }
  Duration limit_;
  int extra_sixteenths_;
  Duration credit_;
  Time at_;
};

}  // namespace tiercast
