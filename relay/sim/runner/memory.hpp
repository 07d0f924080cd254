// What the nodes' own code holds of memory beyond what it took when it started: bounded, whatever comes from the
// network. The runner's operator new and delete tell (memory.cpp).
#pragma once

#include "relay/sim/agents.hpp"

namespace tiercast::sim {

/// One at a time.
class Memory final : public Meter {
 public:
  Memory();
  void enter() override;
  void leave() override;
  /// Of `parts` groups of nodes together; throws Violation.
  void check(std::size_t parts);
  /// Bytes.
  static std::int64_t live();
  static constexpr std::int64_t kEach = 1024 * 1024;
};

}  // namespace tiercast::sim
