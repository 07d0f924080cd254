// What is wrong with a node, by what it says of itself: plain code over one snapshot, or two for what is rising.
#pragma once

#include <string>
#include <vector>

#include "relay/cli/status_snapshot.hpp"

namespace tiercast::cli {

/// The worst first: what stops everybody, then what will, then what costs some, then what is only worth knowing.
enum class Wrong : std::uint8_t {
  worker_stalled,
  drains,
  no_parent_live,
  input_refused,  // and nothing else comes
  input_silent,
  parents_seeking,
  group_silent,
  epoch_unknown,
  parent_missing,  // one of several
  not_aligned,     // with the other origin: nobody would take over unheard
  multicast_fails,
  frames_dropped,
  kernel_drops,
  recording_fails,
  full,
  resend_refused,
  nearly_full,
  input_partly_refused,
  clocks_disagree,
};

struct Complaint {
  Wrong wrong;
  std::string text;    // what, where: one clause
  std::string advice;  // what to do, or where to look
};

/// All that is wrong, the worst first, in each kind as the node lists them. Empty: nothing.
std::vector<Complaint> judge(const Interval& status);

// Where something begins to be wrong.
inline constexpr double kWorkerStalledMs = 3000;  // it turns once a second at least, and is looked at twice
inline constexpr double kInputSilentMs = 3000;    // as the node's own log
inline constexpr double kGroupSilentMs = 3000;
inline constexpr double kNearlyFull = 0.9;
inline constexpr double kClockMs = 5;       // what clocks kept by NTP may differ by
inline constexpr double kLatencyMs = 5000;  // no path takes so long that is not broken

}  // namespace tiercast::cli
