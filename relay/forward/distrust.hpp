// What a parent's bad signatures may cost. Must not know what was signed.
#pragma once

#include "relay/base/credit.hpp"

namespace tiercast::forward {

/// Verifying one takes 48 µs of the thread that serves all parents. One of these per parent; beyond 50 failures a
/// second what it brings unproven is dropped unread, and another parent's copy has to do.
class Distrust {
 public:
  bool exhausted(Time now) { return !failures_.has(kFailure, now); }
  void failed(Time now) { failures_.spend(kFailure, now); }

 private:
  static constexpr Duration kFailure = 20ms;  // of a second's credit: 50 at once, 50 a second
  Credit failures_{1s, 0, Time{}};
};

}  // namespace tiercast::forward
