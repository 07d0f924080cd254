// A listener's frames by their sequence numbers.
#include "relay/measure/load_account.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "tests/support/seeded_random.hpp"

namespace tiercast::measure::load_account_test {
namespace {

load_account after(std::initializer_list<std::uint64_t> sequences) {
  load_account out{};
  for (const std::uint64_t sequence : sequences) load_count(&out, sequence, 0);
  return out;
}

TEST_CASE("what comes in order is counted, and nothing is lost") {
  const load_account a = after({100, 101, 102, 103});
  CHECK(a.first == 100);
  CHECK(a.last == 103);
  CHECK(a.frames == 4);
  CHECK(a.lost + a.twice + a.late + a.stale + a.jumped == 0);
}

TEST_CASE("a gap is lost until a late frame closes it, and a copy closes none") {
  load_account a = after({1, 2, 6});
  CHECK(a.lost == 3);
  CHECK(a.longest == 3);
  load_count(&a, 4, 0);
  CHECK(a.lost == 2);
  CHECK(a.late == 1);
  CHECK(a.frames == 4);
  load_count(&a, 4, 0);
  load_count(&a, 6, 0);
  CHECK(a.twice == 2);
  CHECK(a.lost == 2);
  CHECK(a.frames == 4);
}

TEST_CASE("what comes before the first was never due") {
  load_account a = after({50, 51});
  load_count(&a, 49, 0);
  load_count(&a, 2, 0);
  CHECK(a.stale == 2);
  CHECK(a.twice == 0);
  CHECK(a.lost == 0);
  CHECK(a.first == 50);
}

TEST_CASE("what lies further back than the window says nothing, and closes no gap") {
  load_account a = after({1, 3, 3 + LOAD_WINDOW});
  const auto lost = a.lost;
  load_count(&a, 3, 0);  // exactly as far as the window
  load_count(&a, 2, 0);
  CHECK(a.stale == 2);
  CHECK(a.lost == lost);
  load_count(&a, 4, 0);  // the last that is in it
  CHECK(a.lost == lost - 1);
}

TEST_CASE("a jump that the source announces is no loss, and what it left out stays left out") {
  load_account a = after({10, 11, 13});  // 12 is missing
  load_count(&a, 20, 1);
  CHECK(a.jumped == 6);
  CHECK(a.lost == 1);
  load_count(&a, 17, 0);  // was never due
  CHECK(a.lost == 1);
  load_count(&a, 12, 0);  // was
  CHECK(a.lost == 0);
  load_count(&a, 21, 1);  // the flag where nothing is left out
  CHECK(a.jumped == 6);
  load_count(&a, 1'000'000'000'000, 1);  // after days
  CHECK(a.lost == 0);
  CHECK(a.last == 1'000'000'000'000);
  load_count(&a, 999'999'999'999, 0);
  CHECK(a.lost == 0);
}

TEST_CASE("one whose first frame is a jump's says so, and keeps what it was told") {
  load_account a{};
  a.flags = LOAD_PASS;
  load_count(&a, 7, 2);
  CHECK(a.flags == (LOAD_PASS | LOAD_JUMPED));
  CHECK(a.jumped == 0);
}

TEST_CASE("property: a shuffled stream with holes and copies adds up as a set of all that came does") {
  test::SeededRandom random{3};
  for (int round = 0; round < 200; ++round) {
    std::vector<std::uint64_t> sent;
    for (std::uint64_t s = 1000; s < 1300; ++s) {
      if (s != 1000 && random.below(10) == 0) continue;
      sent.push_back(s);
      if (random.below(12) == 0) sent.push_back(s);
    }
    // Each is moved by less than the window, the first stays the first.
    for (std::size_t i = 1; i + 1 < sent.size(); ++i)
      if (random.below(5) == 0) {
        const std::size_t with = std::min(sent.size() - 1, i + static_cast<std::size_t>(random.below(20)));
        std::rotate(sent.begin() + static_cast<std::ptrdiff_t>(i), sent.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                    sent.begin() + static_cast<std::ptrdiff_t>(with) + 1);
      }
    load_account a{};
    std::set<std::uint64_t> came;
    for (const std::uint64_t s : sent) {
      load_count(&a, s, 0);
      came.insert(s);
    }
    REQUIRE(a.stale == 0);
    CHECK(a.frames == came.size());
    CHECK(a.first == *came.begin());
    CHECK(a.last == *came.rbegin());
    CHECK(a.lost == a.last - a.first + 1 - came.size());
    CHECK(a.twice == sent.size() - came.size());
  }
}

}  // namespace
}  // namespace tiercast::measure::load_account_test
