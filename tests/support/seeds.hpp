// How many seeds a test with chance in it tries.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace tiercast::test {

/// As many as TIERCAST_SEEDS in the environment says: `make unit` takes few, whoever changed what is tested many.
inline std::uint64_t seeds(std::uint64_t few) {
  const char* wanted = std::getenv("TIERCAST_SEEDS");
  const std::uint64_t many = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 0;
  return many > 0 ? many : few;
}

/// A test of so many hours of virtual time has one where there is one seed only.
inline int hours(int many) { return seeds(2) == 1 ? 1 : many; }

}  // namespace tiercast::test
