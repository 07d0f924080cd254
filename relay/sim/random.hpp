// Randomness of which one seed gives one sequence: SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number
// generators, OOPSLA 2014). Nothing for keys that anybody should not guess.
#pragma once

#include "relay/base/random.hpp"

namespace tiercast::sim {

class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}

  void fill(MutableBytes out) override {
    while (!out.empty()) {
      std::uint64_t word = next();
      const std::size_t count = out.size() < sizeof word ? out.size() : sizeof word;
      for (std::size_t i = 0; i < count; ++i, word >>= 8) out[i] = static_cast<std::uint8_t>(word);
      out = out.subspan(count);
    }
  }
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// Uniform in [0, 1).
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  /// A probability of 0 takes nothing from the sequence, so that what never happens moves nothing else.
  bool happens(double probability) { return probability > 0 && unit() < probability; }
  /// Uniform in [0, most].
  Duration up_to(Duration most) {
    return most.count() <= 0 ? Duration{}
                             : Duration{static_cast<Duration::rep>(unit() * static_cast<double>(most.count()))};
  }
  /// A sequence of its own for one of many that draw from the same seed.
  static SeededRandom of(std::uint64_t seed, std::uint64_t stream) {
    SeededRandom mixed{seed ^ (stream + 1) * 0xd1342543de82ef95};
    return SeededRandom{mixed.next()};
  }

 private:
  std::uint64_t state_;
};

}  // namespace tiercast::sim
