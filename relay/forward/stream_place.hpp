// Where a stream is, as parents tell by unicast. What comes by IP multicast, where anybody may play a recording, is
// taken no further behind that than a history. Must not know what lies there.
#pragma once

#include <algorithm>

#include "relay/base/types.hpp"

namespace tiercast::forward {

class StreamPlace {
 public:
  /// A parent has said that this one exists, or sent it.
  void told(Sequence sequence) { newest_ = std::max(newest_, sequence); }
  void forget() { newest_ = {}; }
  /// `reach`: of how many frames a history is. False as long as nobody has told anything.
  bool near(Sequence sequence, std::uint64_t reach) const {
    return newest_.value != 0 && sequence.value + reach >= newest_.value;
  }

 private:
  Sequence newest_;
};

}  // namespace tiercast::forward
