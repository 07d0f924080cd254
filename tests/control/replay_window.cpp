// The window of 64 counters, next to a naive model.
#include "relay/control/replay_window.hpp"

#include <doctest/doctest.h>

#include <set>

#include "tests/support/seeded_random.hpp"

namespace tiercast::control::replay_window_test {
namespace {

TEST_CASE("a counter is fresh once, within 64 of the highest") {
  ReplayWindow w;
  CHECK(w.fresh(0));
  w.mark(100);
  CHECK_FALSE(w.fresh(100));
  CHECK(w.fresh(99));
  CHECK(w.fresh(37));        // 63 back
  CHECK_FALSE(w.fresh(36));  // 64 back
  CHECK(w.fresh(101));
  w.mark(37);
  CHECK_FALSE(w.fresh(37));
  w.mark(101);
  CHECK_FALSE(w.fresh(100));
  CHECK_FALSE(w.fresh(37));
}

TEST_CASE("asking changes nothing") {
  ReplayWindow w;
  for (int i = 0; i < 3; ++i) CHECK(w.fresh(7));
  w.mark(7);
  CHECK(w.fresh(1'000'000));
  CHECK(w.fresh(6));
}

TEST_CASE("the ends of the range: 0 first, the greatest last, jumps of 63, 64 and 65") {
  for (const std::uint64_t jump : {63, 64, 65}) {
    CAPTURE(jump);
    ReplayWindow w;
    w.mark(0);
    CHECK_FALSE(w.fresh(0));
    w.mark(jump);
    CHECK_FALSE(w.fresh(0));
    CHECK(w.fresh(1) == (jump - 1 < 64));
    w.mark(~std::uint64_t{0});
    CHECK_FALSE(w.fresh(~std::uint64_t{0}));
    CHECK(w.fresh(~std::uint64_t{0} - 1));
    CHECK_FALSE(w.fresh(jump));
  }
}

TEST_CASE("newest is only what lies beyond all that were marked") {
  ReplayWindow w;
  CHECK(w.newest(0));
  w.mark(5);
  CHECK_FALSE(w.newest(5));
  CHECK_FALSE(w.newest(4));
  CHECK(w.newest(6));
}

TEST_CASE("the same answers as a set of all seen") {
  test::SeededRandom random{1};
  ReplayWindow w;
  std::set<std::uint64_t> seen;
  std::uint64_t highest = 0, base = 0;
  for (int i = 0; i < 20'000; ++i) {
    base += random.below(4);
    const std::uint64_t counter = base + random.below(100);
    const bool expected = seen.empty() || counter > highest || (highest - counter < 64 && !seen.contains(counter));
    REQUIRE(w.fresh(counter) == expected);
    if (!expected || random.below(4) == 0) continue;
    w.mark(counter);
    seen.insert(counter);
    highest = std::max(highest, counter);
  }
}

}  // namespace
}  // namespace tiercast::control::replay_window_test
