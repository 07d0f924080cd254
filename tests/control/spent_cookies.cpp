// The table of spent cookies and the ring of answers: bounds, ages, and what is overwritten.
#include "relay/control/spent_cookies.hpp"

#include <doctest/doctest.h>

#include "tests/support/counting_allocator.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::control::spent_cookies_test {
namespace {

const Time kT0{1000s};

wire::Cookie cookie(std::uint32_t n) {
  wire::Cookie c{};
  store_be<4>(&c[12], n);
  return c;
}
SpentCookies::JoinHash hash(std::uint8_t n) { return {n}; }

TEST_CASE("room comes back with age alone, oldest first") {
  test::SeededRandom random{1};
  SpentCookies spent{3, wire::kMaxDatagram, random};
  for (std::uint32_t i = 0; i < 3; ++i) {
    REQUIRE(spent.has_room(kT0 + i * 1s));
    spent.spend(cookie(i), hash(0), kT0 + i * 1s);
  }
  CHECK_FALSE(spent.has_room(kT0 + 2s));
  CHECK_FALSE(spent.has_room(kT0 + 10s));
  const Time later = kT0 + 10s + 1ns;
  REQUIRE(spent.has_room(later));
  spent.spend(cookie(9), hash(0), later);
  CHECK(spent.find(cookie(0)) == SpentCookies::kNone);
  for (const std::uint32_t left : {1u, 2u, 9u}) CHECK(spent.find(cookie(left)) != SpentCookies::kNone);
  CHECK_FALSE(spent.has_room(later));
}

TEST_CASE("ten thousand cookies that differ in one word: each found, none confused, chains survive reuse") {
  test::SeededRandom random{1};
  SpentCookies spent{1000, wire::kMaxDatagram, random};
  Time now = kT0;
  for (std::uint32_t i = 0; i < 10'000; ++i) {
    now += 11ms;  // 11 s a lap
    REQUIRE(spent.find(cookie(i)) == SpentCookies::kNone);
    REQUIRE(spent.has_room(now));
    spent.spend(cookie(i), hash(0), now);
    REQUIRE(spent.find(cookie(i)) != SpentCookies::kNone);
    if (i >= 999) REQUIRE(spent.find(cookie(i - 999)) != SpentCookies::kNone);
    if (i >= 1000) REQUIRE(spent.find(cookie(i - 1000)) == SpentCookies::kNone);
  }
}

TEST_CASE("an answer is given to an equal JOIN within 3 s, and never once overwritten") {
  test::SeededRandom random{1};
  SpentCookies spent{100, 2 * wire::kMaxDatagram, random};
  const std::vector<std::uint8_t> answer(500, 1);
  const auto first = spent.spend(cookie(0), hash(1), kT0);
  CHECK(spent.reply(first, hash(1), kT0).empty());  // none yet
  spent.keep_reply(first, answer);
  CHECK(spent.reply(first, hash(1), kT0 + 3s).size() == 500);
  CHECK(spent.reply(first, hash(1), kT0 + 3s + 1ns).empty());
  CHECK(spent.reply(first, hash(2), kT0).empty());
  for (std::uint8_t i = 1; i < 50; ++i) {
    const std::vector<std::uint8_t> other(300u + i * 17u, i);
    const auto entry = spent.spend(cookie(i), hash(1), kT0);
    spent.keep_reply(entry, other);
    for (std::uint8_t j = 0; j <= i; ++j) {
      const Bytes kept = spent.reply(spent.find(cookie(j)), hash(1), kT0);
      const std::uint8_t byte = j == 0 ? 1 : j;
      const std::size_t size = j == 0 ? 500 : 300u + j * 17u;
      if (j == i) REQUIRE(kept.size() == size);
      if (!kept.empty()) {
        REQUIRE(kept.size() == size);
        REQUIRE(std::all_of(kept.begin(), kept.end(), [&](std::uint8_t b) { return b == byte; }));
      }
    }
  }
  CHECK(spent.reply(first, hash(1), kT0).empty());
}

TEST_CASE("four failures spend a cookie, and no other") {
  test::SeededRandom random{1};
  SpentCookies spent{100, wire::kMaxDatagram, random};
  for (int i = 0; i < 4; ++i) {
    CHECK_FALSE(spent.failed_too_often(cookie(1)));
    spent.note_failure(cookie(1));
  }
  CHECK(spent.failed_too_often(cookie(1)));
  CHECK_FALSE(spent.failed_too_often(cookie(2)));
  for (int i = 0; i < 1000; ++i) spent.note_failure(cookie(1));
  CHECK(spent.failed_too_often(cookie(1)));
}

TEST_CASE("nothing is allocated after construction") {
  test::SeededRandom random{1};
  SpentCookies spent{100, wire::kMaxDatagram, random};
  const std::vector<std::uint8_t> answer(500, 1);
  const test::AllocationCount allocations;
  for (std::uint32_t i = 0; i < 500; ++i) {
    const Time now = kT0 + i * 1s;
    if (!spent.has_room(now)) continue;
    spent.keep_reply(spent.spend(cookie(i), hash(0), now), answer);
    spent.note_failure(cookie(i));
  }
  const auto count = allocations.count();
  CHECK(count == 0);
}

}  // namespace
}  // namespace tiercast::control::spent_cookies_test
