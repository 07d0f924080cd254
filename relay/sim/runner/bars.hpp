// Named scenarios, each with a figure that must be met.
#pragma once

#include <cstdint>
#include <string>

namespace tiercast::sim {

/// Runs it with so many seeds (0: its usual number) and prints its figures and PASS or FAIL. The exit status; 64: there
/// is none of that name. "all": one after the other.
int run_bar(const std::string& name, std::uint64_t seeds);
/// Their names and what each asks, a line each.
std::string list_bars();

}  // namespace tiercast::sim
