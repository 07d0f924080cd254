// A private key for tests: the same in every run.
#pragma once

#include <array>
#include <span>

#include "crypto/keys.hpp"

namespace tiercast::test {

inline crypto::PrivateKey seed_key() {
  std::array<std::uint8_t, 32> seed{};
  seed.fill(9);
  return crypto::PrivateKey{std::span<const std::uint8_t, 32>{seed}};
}

}  // namespace tiercast::test
