#include "relay/forward/resend_budget.hpp"

#include <doctest/doctest.h>

namespace tiercast::resend_budget_test {

using forward::LeaseResendBudget;
using forward::NodeResendBudget;

namespace {

const Time kStart{1h};

unsigned take_all(LeaseResendBudget& budget, std::uint64_t from, unsigned tries, Time now) {
  unsigned taken = 0;
  Time when;
  for (unsigned i = 0; i < tries; ++i) taken += budget.take(Sequence{from + i}, now, when) ? 1 : 0;
  return taken;
}

unsigned take_all(NodeResendBudget& budget, unsigned tries, Time now) {
  unsigned taken = 0;
  for (unsigned i = 0; i < tries; ++i) taken += budget.take(now) ? 1 : 0;
  return taken;
}

}  // namespace

TEST_CASE("a lease may have a burst of 64 and then a quarter of the stream's rate") {
  LeaseResendBudget budget{20ms, kStart};
  CHECK(take_all(budget, 1, 100, kStart) == wire::kResendBurst);
  CHECK(take_all(budget, 1000, 10, kStart + 79ms) == 0);
  CHECK(take_all(budget, 1000, 10, kStart + 81ms) == 1);  // a frame in four: every 80 ms
  CHECK(take_all(budget, 2000, 100, kStart + 1081ms) == 12);
}

TEST_CASE("an unused lease budget never grows beyond the burst") {
  LeaseResendBudget budget{20ms, kStart};
  CHECK(take_all(budget, 1, 200, kStart + 24h) == wire::kResendBurst);
}

TEST_CASE("time that seems to go back gives a lease nothing") {
  LeaseResendBudget budget{20ms, kStart};
  take_all(budget, 1, 64, kStart);
  CHECK(take_all(budget, 100, 10, kStart - 1h) == 0);
  CHECK(take_all(budget, 100, 10, kStart) == 0);
}

TEST_CASE("a sequence is sent to a lease six times and no more") {
  LeaseResendBudget budget{20ms, kStart};
  Time when;
  for (unsigned i = 0; i < wire::kResendPerSequence; ++i) CHECK(budget.take(Sequence{5}, kStart, when));
  CHECK_FALSE(budget.take(Sequence{5}, kStart, when));
  CHECK_FALSE(budget.take(Sequence{5}, kStart + 1h, when));
  CHECK(budget.take(Sequence{6}, kStart, when));
}

TEST_CASE("a refusal for being the seventh time costs the lease nothing") {
  LeaseResendBudget budget{20ms, kStart};
  Time when;
  for (unsigned i = 0; i < 200; ++i) budget.take(Sequence{5}, kStart, when);
  CHECK(take_all(budget, 100, 100, kStart) == wire::kResendBurst - wire::kResendPerSequence);
}

TEST_CASE("how often a sequence was sent is known for the last 64 different ones, counted from its last time") {
  LeaseResendBudget budget{20ms, kStart};
  Time now = kStart;
  Time when;
  const auto take = [&](std::uint64_t s) {
    now += 1s;  // never short of tokens
    return budget.take(Sequence{s}, now, when);
  };
  for (unsigned i = 1; i < wire::kResendPerSequence; ++i) REQUIRE(take(5));
  for (std::uint64_t s = 100; s < 163; ++s) REQUIRE(take(s));  // 63 others
  REQUIRE(take(5));                                            // the last; and it is the latest again
  for (std::uint64_t s = 200; s < 263; ++s) REQUIRE(take(s));
  CHECK_FALSE(take(5));
  REQUIRE(take(300));  // the 64th other one: 5 is forgotten
  CHECK(take(5));
}

TEST_CASE(
    "what left after the question had left is known, also what waits for its turn, and for as long as it is asked "
    "for") {
  for (const Time start : {kStart, kStart + 32767ms, kStart + 12345678ms}) {
    LeaseResendBudget budget{20ms, start};
    Time when;
    for (std::uint64_t s = 1; s <= 20; ++s) REQUIRE(budget.take(Sequence{s}, start, when));
    REQUIRE(when == start + 95ms);
    const auto asked = [&](std::uint64_t s, Duration after, Duration round_trip) {
      return budget.leaves_since(Sequence{s}, start + after - round_trip, start + after);
    };
    CHECK(asked(1, 15ms, 20ms));
    CHECK_FALSE(asked(1, 25ms, 20ms));
    CHECK(asked(20, 10ms, 20ms));
    CHECK(asked(20, 110ms, 20ms));
    CHECK_FALSE(asked(20, 120ms, 20ms));
    CHECK_FALSE(asked(21, 10ms, 20ms));
    for (Duration after = 1s; after < wire::kHistory; after += 1s) CHECK_FALSE(asked(1, after, 200ms));
  }
}

TEST_CASE("sequence 0 is like any other") {
  LeaseResendBudget budget{20ms, kStart};
  Time when;
  for (unsigned i = 0; i < wire::kResendPerSequence; ++i) CHECK(budget.take(Sequence{0}, kStart, when));
  CHECK_FALSE(budget.take(Sequence{0}, kStart, when));
}

TEST_CASE("a burst leaves at four times real time, and not before now") {
  LeaseResendBudget budget{20ms, kStart};
  Time when;
  for (unsigned i = 0; i < wire::kResendBurst; ++i) {
    REQUIRE(budget.take(Sequence{i + 1}, kStart + 1ms, when));
    CHECK(when == kStart + 1ms + i * 5ms);
  }
  REQUIRE(budget.take(Sequence{900}, kStart + 10s, when));
  CHECK(when == kStart + 10s);
}

TEST_CASE("a node without any fan-out still has one lease's burst") {
  NodeResendBudget budget{kStart};
  CHECK(take_all(budget, 100, kStart) == wire::kResendBurst);
  CHECK(take_all(budget, 100, kStart + 10s) == 0);  // and nothing refills it
}

TEST_CASE("a node resends a tenth of what it sends") {
  NodeResendBudget budget{kStart};
  Time now = kStart;
  for (int i = 0; i < 50; ++i) budget.on_fan_out(1000, now += 20ms);  // 50,000 a second
  take_all(budget, 10'000, now);
  CHECK(take_all(budget, 10'000, now + 500ms) == doctest::Approx(2500).epsilon(0.01));
  // never more than a second's worth saved up
  for (int i = 0; i < 500; ++i) budget.on_fan_out(1000, now += 20ms);
  CHECK(take_all(budget, 100'000, now) <= 5001);
}

TEST_CASE("a node whose fan-out has ended forgets its rate") {
  NodeResendBudget budget{kStart};
  Time now = kStart;
  for (int i = 0; i < 50; ++i) budget.on_fan_out(1000, now += 20ms);
  take_all(budget, 10'000, now);
  now += 5s;
  take_all(budget, 10'000, now);
  CHECK(take_all(budget, 10'000, now + 5s) == 0);
}

TEST_CASE("every relay lease gives a node fifty a second, unless a tenth of the fan-out is more") {
  NodeResendBudget budget{kStart};
  budget.set_relays(4);
  take_all(budget, 10'000, kStart);
  CHECK(take_all(budget, 10'000, kStart + 500ms) == 100);
  Time now = kStart + 500ms;
  for (int i = 0; i < 100; ++i) budget.on_fan_out(1000, now += 20ms);  // a tenth: 5,000
  take_all(budget, 10'000, now);
  CHECK(take_all(budget, 10'000, now + 100ms) == doctest::Approx(500).epsilon(0.01));
}

}  // namespace tiercast::resend_budget_test
