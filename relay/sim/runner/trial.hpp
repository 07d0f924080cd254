// One scenario, carried out under every invariant.
#pragma once

#include "relay/sim/runner/scenario.hpp"

namespace tiercast::sim {

struct Outcome {
  std::string violation;  // empty: none
  Duration at{};          // of it, after the beginning
  Duration ran{};         // virtual
  std::size_t processes = 0;
  std::uint64_t datagrams = 0, frames = 0, lost = 0, owed = 0;
  std::array<std::uint8_t, 16> history{};
};

struct RunOptions {
  bool digest = false;         // of all that happened, for who compares two runs
  std::optional<Host> traced;  // what it sends, gets and plays is printed
};
Outcome run(const Scenario& scenario, const RunOptions& options = {});

}  // namespace tiercast::sim
