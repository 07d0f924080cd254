// Reproducible randomness for tests: one seed, one history.
#pragma once

#include <random>

#include "relay/base/random.hpp"

namespace tiercast::test {

class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed = 1) : engine_(seed) {}
  void fill(MutableBytes out) override {
    for (auto& b : out) b = static_cast<std::uint8_t>(engine_());
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace tiercast::test
