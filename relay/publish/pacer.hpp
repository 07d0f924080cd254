// When each packet of a file or a pipe may leave, so that they leave in real time. Must not know clocks: `now` is told.
#pragma once

#include <algorithm>
#include <optional>

#include "relay/base/types.hpp"

namespace tiercast::publish {

/// What is there too early waits for its turn; what comes late leaves at once, and those after it count from there: a
/// stall is followed by no burst, and a slow writer's clock is followed.
class Pacer {
 public:
  enum class Source : std::uint8_t {
    file,  // all of it is there: exactly real time
    pipe,  // somebody writes, perhaps by a sound card's clock: while there is more than is due, a little faster, so
           // that the pipe of a writer whose clock is faster than ours does not fill up
  };
  static constexpr std::int64_t kHurry = 5000;  // a 5,000th: 200 ppm, more than two crystals differ by

  Pacer(Duration frame, Source source)
      : frame_(frame), hurried_(source == Source::pipe ? frame - frame / kHurry : frame) {}

  /// When the packet may leave that came to hand at `now`, after `silence` frame lengths without one. Once a packet, in
  /// order.
  Time leaves(Time now, std::uint64_t silence) {
    if (!next_) next_ = now;
    const Time due = *next_ + static_cast<Duration::rep>(silence) * frame_;
    const Time at = std::max(due, now);
    next_ = at + (now < due ? hurried_ : frame_);
    return at;
  }

 private:
  const Duration frame_;
  const Duration hurried_;
  std::optional<Time> next_;
};

}  // namespace tiercast::publish
