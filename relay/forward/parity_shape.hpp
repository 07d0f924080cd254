// How much parity a group has: of each block.
#pragma once

#include <cstdint>

namespace tiercast::forward {

struct ParityShape {
  std::uint8_t data = 0;    // FRAMEs, ≤ wire::kMaxParityData; 0: no parity
  std::uint8_t repair = 0;  // PARITYs, ≤ data and wire::kMaxParityRepair
  constexpr bool on() const { return data != 0; }
  bool operator==(const ParityShape&) const = default;
};

}  // namespace tiercast::forward
