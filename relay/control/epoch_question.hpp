// When a node asks for an epoch that frames come in and that it has no value for. The answer may still be on its way to
// who is asked: so again soon, but ever more seldom, for such frames may be anybody's.
#pragma once

#include <algorithm>

#include "relay/wire/limits.hpp"

namespace tiercast::control {

class EpochQuestion {
 public:
  /// True: ask now. Called with each frame of an unknown epoch whose sender owes no answer.
  bool due(Time now) {
    if (now < next_) return false;
    if (now >= next_ + wire::kEpochAskCalm) wait_ = wire::kEpochAskFirst;
    next_ = now + wait_;
    wait_ = std::min(2 * wait_, wire::kEpochAskEvery);
    return true;
  }
  /// An epoch has been learned, by its source's word.
  void answered() { *this = {}; }

 private:
  Time next_;
  Duration wait_ = wire::kEpochAskFirst;
};

}  // namespace tiercast::control
