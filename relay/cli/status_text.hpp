// A node's status for people: what is wrong first, then whom it hears, whom it serves, and what is dropped now.
#pragma once

#include <vector>

#include "relay/cli/status_snapshot.hpp"
#include "relay/cli/styled_text.hpp"

namespace tiercast::cli {

inline constexpr std::size_t kStatusColumns = 100;

/// Each line at most kStatusColumns wide, whatever the node says. Rates are over the interval; without one they are
/// "-".
std::vector<Line> status_lines(const Interval& status);

}  // namespace tiercast::cli
