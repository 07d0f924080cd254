#include "relay/base/histogram.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/support/seeded_random.hpp"

namespace tiercast::histogram_test {

using tiercast::Histogram;

TEST_CASE("histogram: nothing recorded gives zeros") {
  Histogram<> h;
  CHECK(h.count() == 0);
  CHECK(h.quantile(0.5) == 0);
  CHECK(h.highest() == 0);
}

TEST_CASE("histogram: small values are exact") {
  Histogram<6, 20> h;
  for (std::uint64_t v = 0; v < 128; ++v) h.record(v);
  CHECK(h.quantile(0) == 0);
  CHECK(h.quantile(0.5) == 63);
  CHECK(h.quantile(0.99) == 126);
  CHECK(h.quantile(1) == 127);
}

TEST_CASE("histogram: every quantile is that of the sorted values, at most the precision above") {
  tiercast::test::SeededRandom random{7};
  for (int round = 0; round < 20; ++round) {
    Histogram<> h;
    std::vector<std::uint64_t> values;
    for (int i = 0; i < 1000; ++i) {
      const std::uint64_t v = random.u64() >> (24 + random.below(40));
      values.push_back(v);
      h.record(v);
    }
    std::sort(values.begin(), values.end());
    CHECK(h.lowest() == values.front());
    CHECK(h.highest() == values.back());
    for (double q : {0.001, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0}) {
      const auto rank = static_cast<std::size_t>(std::max(1.0, std::ceil(q * 1000)));
      const std::uint64_t exact = values[rank - 1];
      CHECK(h.quantile(q) >= exact);
      CHECK(static_cast<double>(h.quantile(q)) <= static_cast<double>(exact) * (1 + 1.0 / 64) + 1);
    }
  }
}

TEST_CASE("histogram: what is beyond its range is counted in the last bucket and reported as the highest") {
  Histogram<4, 10> h;
  h.record(5);
  h.record(1'000'000);
  CHECK(h.count() == 2);
  CHECK(h.quantile(0.5) == 5);
  CHECK(h.quantile(1) == 1'000'000);
  h.clear();
  CHECK(h.count() == 0);
  CHECK(h.highest() == 0);
}

}  // namespace tiercast::histogram_test
