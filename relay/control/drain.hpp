// What a node's stopping takes, so that those below it go elsewhere before.
#pragma once

#include <optional>

#include "relay/base/types.hpp"

namespace tiercast::control {

/// GoAway's and Denied's retry_after_s from a node that drains: by then it may be back. Relays are few, and wanted back
/// soon; listeners have another parent meanwhile.
inline constexpr std::uint16_t kListenerDrainRetry = 10;
inline constexpr std::uint16_t kRelayDrainRetry = 1;

/// Whether frames come by a parent, and for how long without a pause.
class Bringing {
 public:
  void on_frame(Time now) {
    if (!brings(now)) since_ = now;
    last_ = now;
  }
  bool brings(Time now) const { return last_ && now <= *last_ + kPause; }
  /// Long enough that nothing is missing from before: what was lost then can be asked for no more.
  bool may_replace_another(Time now) const { return brings(now) && now >= since_ + kOverlap; }

 private:
  static constexpr Duration kPause = std::chrono::milliseconds{240};    // four of the longest frames
  static constexpr Duration kOverlap = std::chrono::milliseconds{400};  // longer than wire::kPlayout
  std::optional<Time> last_;
  Time since_;
};

}  // namespace tiercast::control
