// Randomness is an argument of the core, like `now`. crypto/random.hpp has the real one.
#pragma once

#include <array>

#include "relay/base/bytes.hpp"

namespace tiercast {

class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(MutableBytes out) = 0;

  std::uint64_t u64() {
    std::array<std::uint8_t, 8> b{};
    fill(b);
    return load_be<8>(b.data());
  }
  /// Uniform in [0, bound) up to a bias of 2^-32 for bounds below 2^32. bound > 0.
  std::uint64_t below(std::uint64_t bound) { return u64() % bound; }
  /// `d` times a factor uniform in [1 - fraction, 1 + fraction].
  Duration jitter(Duration d, double fraction) {
    double unit = static_cast<double>(u64() >> 11) * 0x1.0p-53;
    return Duration{
        static_cast<Duration::rep>(static_cast<double>(d.count()) * (1.0 - fraction + 2.0 * fraction * unit))};
  }
};

}  // namespace tiercast
