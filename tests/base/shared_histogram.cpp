#include "relay/base/shared_histogram.hpp"

#include <doctest/doctest.h>

#include <map>
#include <thread>

#include "tests/support/seeded_random.hpp"

namespace tiercast::shared_histogram_test {

TEST_CASE("shared histograms summed say what one histogram of all their values says") {
  test::SeededRandom random{3};
  SharedHistogram<> parts[3];
  SharedHistogram<>::Sum whole, sum;
  for (int i = 0; i < 3000; ++i) {
    const std::uint64_t value = random.u64() >> (30 + random.below(34));
    parts[i % 3].record(value);
    whole.record(value);
  }
  for (const auto& part : parts) part.add_to(sum);
  CHECK(sum.count() == 3000);
  CHECK(sum.highest() == whole.highest());
  CHECK(sum.lowest() <= whole.lowest());
  for (const double q : {0.001, 0.1, 0.5, 0.99, 0.999, 1.0}) CHECK(sum.quantile(q) == whole.quantile(q));
}

TEST_CASE(
    "a shared histogram of nothing adds nothing, and one read between a value and its highest is still in order") {
  SharedHistogram<> none;
  SharedHistogram<>::Sum sum;
  none.add_to(sum);
  CHECK(sum.count() == 0);
  CHECK(sum.quantile(0.99) == 0);
  sum.add(SharedHistogram<>::Sum::index_of(1000), 1, 0);  // the reader's view then
  CHECK(sum.lowest() <= sum.highest());
  CHECK(sum.quantile(0.5) >= sum.lowest());
  CHECK(sum.quantile(0.5) <= sum.highest());
}

TEST_CASE("a shared histogram is read while it is written, and nothing that was in it is missing later") {
  SharedHistogram<> times;
  std::thread writer{[&] {
    for (std::uint64_t i = 0; i < 20'000; ++i) times.record(i);
  }};
  std::uint64_t before = 0;
  for (int look = 0; look < 200; ++look) {
    SharedHistogram<>::Sum sum;
    times.add_to(sum);
    CHECK(sum.count() >= before);
    CHECK(sum.quantile(1) >= sum.lowest());
    before = sum.count();
  }
  writer.join();
  SharedHistogram<>::Sum sum;
  times.add_to(sum);
  CHECK(sum.count() == 20'000);
  CHECK(sum.highest() == 19'999);
}

TEST_CASE("by buckets every value is counted once, where it belongs") {
  SharedHistogram<> times;
  for (const std::uint64_t value : {0, 1, 2, 3, 4, 7, 8, 17, 1000, 1023, 1024}) times.record(value);
  SharedHistogram<>::Sum sum;
  times.add_to(sum);
  std::map<std::uint64_t, std::uint64_t> found;
  sum.each_bucket([&](std::uint64_t most, std::uint64_t count) { found[most] = count; });
  CHECK(found == std::map<std::uint64_t, std::uint64_t>{
                     {0, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 1}, {7, 1}, {8, 1}, {17, 1}, {1023, 2}, {1151, 1}});
}

}  // namespace tiercast::shared_histogram_test
