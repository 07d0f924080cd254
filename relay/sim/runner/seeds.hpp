// Many seeds, on all processors.
#pragma once

#include <cstdint>
#include <optional>

#include "relay/sim/addresses.hpp"

namespace tiercast::sim {

/// Runs seeds `first` … `first` + `count` - 1 in `jobs` processes; prints each that fails and a summary. The exit
/// status.
int run_seeds(std::uint64_t first, std::uint64_t count, unsigned jobs);
/// One seed, told at length; twice, since it must be the same both times. With all that a listener sends, gets and
/// plays.
int run_seed(std::uint64_t seed, std::optional<Host> traced);

}  // namespace tiercast::sim
