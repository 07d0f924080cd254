// What the core draws from randomness stays within what it asked for.
#include "relay/base/random.hpp"

#include <doctest/doctest.h>

#include "tests/support/seeded_random.hpp"

namespace tiercast::random_test {
namespace {

/// Gives one byte for ever: the ends of every range.
class OneByte final : public Random {
 public:
  explicit OneByte(std::uint8_t byte) : byte_(byte) {}
  void fill(MutableBytes out) override { std::fill(out.begin(), out.end(), byte_); }

 private:
  std::uint8_t byte_;
};

TEST_CASE("jitter reaches its bounds and never passes them") {
  OneByte lowest{0x00};
  OneByte highest{0xff};
  CHECK(lowest.jitter(200ms, 0.25) == 150ms);
  const Duration most = highest.jitter(200ms, 0.25);
  CHECK(most <= 250ms);
  CHECK(most > 249999us);
  CHECK(lowest.jitter(200ms, 0.0) == 200ms);
  CHECK(highest.jitter(200ms, 0.0) == 200ms);
  CHECK(lowest.jitter(200ms, 1.0) == 0ms);
  CHECK(highest.jitter(0ms, 0.25) == 0ms);
}

TEST_CASE("jitter spreads over its whole range") {
  test::SeededRandom random;
  int low = 0;
  int high = 0;
  for (int i = 0; i < 1000; ++i) {
    const Duration d = random.jitter(1s, 0.25);
    REQUIRE(d >= 750ms);
    REQUIRE(d <= 1250ms);
    low += d < 875ms ? 1 : 0;
    high += d > 1125ms ? 1 : 0;
  }
  CHECK(low > 150);
  CHECK(high > 150);
}

TEST_CASE("below() stays below, and 1 leaves only 0") {
  test::SeededRandom random;
  std::array<int, 7> seen{};
  for (int i = 0; i < 700; ++i) ++seen.at(random.below(7));
  for (const int n : seen) CHECK(n > 0);
  CHECK(random.below(1) == 0);
}

TEST_CASE("u64() is what fill() gave, big-endian") {
  class Counting final : public Random {
    void fill(MutableBytes out) override {
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint8_t>(i + 1);
    }
  } random;
  CHECK(static_cast<Random&>(random).u64() == 0x0102030405060708);
}

}  // namespace
}  // namespace tiercast::random_test
