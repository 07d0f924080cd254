// A crowd that is sent away spreads over all edges that its node may name.
#include "relay/control/elsewhere.hpp"

#include <doctest/doctest.h>

#include <numeric>
#include <set>
#include <vector>

namespace tiercast::control::elsewhere_test {
namespace {

std::vector<std::uint16_t> numbers(std::size_t n) {
  std::vector<std::uint16_t> out(n);
  std::iota(out.begin(), out.end(), std::uint16_t{10});
  return out;
}

std::vector<std::uint16_t> all(const EdgeIndices& indices) {
  std::vector<std::uint16_t> out;
  for (std::size_t i = 0; i < indices.size(); ++i) out.push_back(indices[i]);
  return out;
}

TEST_CASE("indices go into a record and out of it, and no more than eight") {
  EdgeIndices some;
  CHECK(some.bytes().empty());
  for (std::uint16_t i = 0; i < EdgeIndices::kMost; ++i) CHECK(some.push_back(static_cast<std::uint16_t>(0x0102 + i)));
  CHECK_FALSE(some.push_back(1));
  CHECK(some.bytes().size() == 16);
  CHECK(some.bytes()[0] == 1);
  CHECK(some.bytes()[1] == 2);
  CHECK(all(EdgeIndices{some.bytes()}) == all(some));
  const std::vector<std::uint8_t> nine(18, 7);
  CHECK(all(EdgeIndices{nine}) == std::vector<std::uint16_t>(8, 0x0707));
  CHECK(all(EdgeIndices{Bytes{nine}.first(3)}) == std::vector<std::uint16_t>(1, 0x0707));
}

TEST_CASE("as many are named as there are, up to four, and none twice") {
  CHECK(some_of({}, 1).size() == 0);
  for (const std::size_t n : {1U, 2U, 3U, 4U, 5U, 64U, 4096U}) {
    const auto from = numbers(n);
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
      const auto named = all(some_of(from, seed));
      const std::set<std::uint16_t> different{named.begin(), named.end()};
      CHECK(named.size() == std::min<std::size_t>(n, kElsewhereTold));
      CHECK(different.size() == named.size());
      CHECK(*different.begin() >= 10);
      CHECK(*different.rbegin() < 10 + n);
    }
  }
}

TEST_CASE("the same lease is told the same again") {
  const auto from = numbers(100);
  CHECK(all(some_of(from, 12345)) == all(some_of(from, 12345)));
  CHECK(all(some_of(from, 12345)) != all(some_of(from, 12346)));
}

TEST_CASE("each edge is named first, and at all, to as many as any other") {
  const auto from = numbers(10);
  std::vector<int> first(10), any(10);
  constexpr int kCrowd = 20000;
  for (std::uint64_t lease = 0; lease < kCrowd; ++lease) {  // slots that follow on one another
    const auto named = all(some_of(from, 0x1234'000000'000000 + (lease << 24)));
    ++first[named[0] - 10U];
    for (const auto one : named) ++any[one - 10U];
  }
  for (std::size_t i = 0; i < 10; ++i) {
    CHECK(first[i] > kCrowd / 10 * 0.9);  // 5 standard deviations
    CHECK(first[i] < kCrowd / 10 * 1.1);
    CHECK(any[i] > kCrowd * 4 / 10 * 0.95);
    CHECK(any[i] < kCrowd * 4 / 10 * 1.05);
  }
}

}  // namespace
}  // namespace tiercast::control::elsewhere_test
