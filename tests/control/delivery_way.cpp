// Which way frames should come: when it changes, how long it stays, when the multicast group is joined anew.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "tests/control/delivery_way_child.hpp"
#include "tests/support/counting_allocator.hpp"

namespace tiercast::delivery_way_test {

using namespace tiercast::test;
using wire::Delivery;

namespace {

bool between(Duration d, Duration least, Duration most) { return least <= d && d <= most; }

}  // namespace

TEST_CASE("frames come by unicast until ten have come by multicast in a row") {
  Child child;
  CHECK(child.way.wanted() == Delivery::unicast);
  child.frames_for(9 * kFrame);
  CHECK_FALSE(child.by_multicast());
  CHECK_FALSE(child.way.take_hasten());
  child.frames_for(kFrame);
  CHECK(child.by_multicast());
  CHECK(child.way.take_hasten());
  CHECK_FALSE(child.way.take_hasten());
  child.frames_for(60s);
  CHECK(child.by_multicast());
  CHECK_FALSE(child.way.take_hasten());
  CHECK(child.way.counters().to_multicast.get() == 1);
}

TEST_CASE("one of them may be missing, two may not") {
  Child one;
  for (const int n : {1, 2, 3, 5, 6, 7, 8, 9, 10}) one.frame(static_cast<std::uint64_t>(n));
  CHECK_FALSE(one.by_multicast());
  one.frame(11);
  CHECK(one.by_multicast());
  Child two;
  for (const int n : {1, 2, 3, 5, 6, 8, 9, 10, 11, 12, 13, 14}) two.frame(static_cast<std::uint64_t>(n));
  CHECK_FALSE(two.by_multicast());  // of 4 to 14, two
  two.frame(15);
  CHECK(two.by_multicast());
}

TEST_CASE("frames out of order are all there in the end") {
  Child child;
  for (const int n : {1, 4, 2, 3, 7, 5, 6, 10, 8}) child.frame(static_cast<std::uint64_t>(n));
  CHECK_FALSE(child.by_multicast());
  child.frame(11);  // 9 may be missing
  CHECK(child.by_multicast());
}

TEST_CASE("a row begins anew after a pause") {
  Child child;
  child.frames_for(9 * kFrame);
  child.now += 60ms + 1ns;
  child.sequence += 3;
  child.frame(child.sequence);
  CHECK_FALSE(child.by_multicast());
  child.frames_for(8 * kFrame);
  CHECK_FALSE(child.by_multicast());
  child.frames_for(kFrame);
  CHECK(child.by_multicast());
}

TEST_CASE("copies and old frames make no row, and keep no way alive") {
  Child child;
  for (int i = 0; i < 100; ++i) child.frame(1);
  for (std::uint64_t n = 2; n <= 9; ++n) child.frame(n);
  for (int i = 0; i < 100; ++i) child.frame(9), child.frame(5);
  CHECK_FALSE(child.by_multicast());
  child.frame(10);
  REQUIRE(child.by_multicast());
  // Somebody repeats what was sent; the stream itself is dead.
  const Time dead = child.now;
  child.run(1s, [&] { child.frame(5 + static_cast<std::uint64_t>(child.random.below(6))); });
  CHECK_FALSE(child.by_multicast());
  CHECK(child.way.counters().back_silent.get() == 1);
  CHECK(child.way.counters().drop_old.get() > 200);
  CHECK(child.now == dead + 1s);
}

TEST_CASE("frames that are held back do not count, however genuine") {
  Child child;
  // By unicast the stream is 16 frames further: more than a playout delay.
  const auto held_back = [&](std::uint64_t by) {
    child.run(2s, [&] {
      ++child.sequence;
      child.way.on_frame(child.header(child.sequence - by), Sequence{child.sequence}, child.now);
    });
  };
  held_back(16);
  CHECK_FALSE(child.by_multicast());
  CHECK(child.way.counters().drop_late.get() == 100);
  held_back(15);
  CHECK(child.by_multicast());
  held_back(16);  // as another parent's frames show
  CHECK_FALSE(child.by_multicast());
}

TEST_CASE("silence ends it at once: three frames, and at least 60 ms") {
  struct Case {
    Duration frame, silence;
  };
  for (const Case c : {Case{10ms, 60ms}, Case{20ms, 60ms}, Case{40ms, 120ms}, Case{60ms, 180ms}}) {
    CAPTURE(c.frame.count());
    Child child;
    child.way.expect(kStage, c.frame, child.now);
    for (int i = 0; i < 10; ++i) {
      child.now += c.frame;
      child.frame(++child.sequence);
    }
    REQUIRE(child.by_multicast());
    CHECK(child.way.take_hasten());
    CHECK(child.way.next_deadline() == child.now + c.silence);
    child.nothing_for(c.silence - 1ns);
    CHECK(child.by_multicast());
    child.nothing_for(1ns);
    CHECK_FALSE(child.by_multicast());
    CHECK(child.way.take_hasten());
    CHECK_FALSE(child.way.take_hasten());
    CHECK(child.way.counters().back_silent.get() == 1);
  }
}

TEST_CASE("frames that waited in the socket while their reader was away are no silence") {
  Child child;
  child.settled();
  child.now += 500ms;
  for (int i = 0; i < 25; ++i) child.frame(++child.sequence);
  child.way.on_timer(child.now);
  CHECK(child.by_multicast());
}

TEST_CASE("after a failure unicast is kept for five seconds, twice as long after each early one, up to a minute") {
  Child child;
  child.settled();
  for (const Duration hold :
       {Duration{5s}, Duration{10s}, Duration{20s}, Duration{40s}, Duration{60s}, Duration{60s}}) {
    child.frames_for(29s);
    const Time failed = child.now + 60ms;
    child.nothing_for(60ms);
    REQUIRE_FALSE(child.by_multicast());
    CHECK(between(child.back_after(failed), hold, hold + hold / 4 + kFrame));
  }
  // Not so early: as long as the last time.
  child.frames_for(31s);
  Time failed = child.now + 60ms;
  child.nothing_for(60ms);
  CHECK(between(child.back_after(failed), 60s, 75s + kFrame));
  // Calm: as at first.
  child.frames_for(60s);
  failed = child.now + 60ms;
  child.nothing_for(60ms);
  CHECK(between(child.back_after(failed), 5s, 6250ms + kFrame));
}

TEST_CASE("a failure that is neither early nor after a calm is waited for as long as the last one") {
  Child child;
  child.settled();
  for (int i = 0; i < 4; ++i) {
    child.frames_for(31s);
    const Time failed = child.now + 60ms;
    child.nothing_for(60ms);
    CHECK(between(child.back_after(failed), 5s, 6250ms + kFrame));
  }
}

TEST_CASE("the children of a network that failed do not all come back in the same moment") {
  std::set<Duration> took;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Child child{seed};
    child.settled();
    child.nothing_for(60ms);
    took.insert(child.back_after(child.now));
  }
  CHECK(took.size() > 20);
}

TEST_CASE("a wait is no credit: when it is over, the row must be there") {
  Child child;
  child.settled();
  child.nothing_for(20s);
  CHECK_FALSE(child.by_multicast());
  child.frames_for(9 * kFrame);
  CHECK_FALSE(child.by_multicast());
  child.frames_for(kFrame);
  CHECK(child.by_multicast());
}

TEST_CASE("while nothing is heard the multicast group is joined anew every ten seconds or so") {
  Child child;
  child.settled();
  child.nothing_for(200s);
  REQUIRE(child.rejoins.size() > 14);
  REQUIRE(child.rejoins.size() < 27);
  std::set<Duration> gaps;
  for (std::size_t i = 1; i < child.rejoins.size(); ++i) {
    gaps.insert(child.rejoins[i] - child.rejoins[i - 1]);
    CHECK(between(child.rejoins[i] - child.rejoins[i - 1], 7500ms, 12500ms));
  }
  CHECK(gaps.size() > 5);
  CHECK(child.way.counters().rejoins.get() == child.rejoins.size());
  CHECK_FALSE(child.way.take_rejoin());
}

TEST_CASE("what is heard is not joined anew, though it is not good enough yet") {
  Child child;
  child.run(60s, [&] {
    child.sequence += 2;  // every second one is lost
    child.frame(child.sequence);
  });
  CHECK_FALSE(child.by_multicast());
  CHECK(child.rejoins.empty());
  child.frames_for(60s);
  CHECK(child.by_multicast());
  CHECK(child.rejoins.empty());
}

TEST_CASE("a way that never worked is joined anew as well, counted from when something was expected") {
  Child child;
  child.way.forget(kStage);
  child.nothing_for(1000s);
  child.way.expect(kStage, kFrame, child.now);
  child.nothing_for(7s);
  CHECK(child.rejoins.empty());
  child.nothing_for(30s);
  CHECK(child.rejoins.size() >= 2);
}

TEST_CASE("whatever comes, it never waits for a moment that has passed, nor trusts a silent network") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    Child child{seed};
    test::SeededRandom chance{seed};
    Time heard_stage = child.now, heard_hall = child.now;
    bool hall = false;
    for (int step = 0; step < 2000; ++step) {
      const auto pick = chance.below(100);
      if (pick < 60) {
        child.sequence += chance.below(20) == 0 ? chance.below(100) : 1;
        child.frame(child.sequence, chance.below(50) == 0 ? wire::kFlagDiscontinuity : std::uint8_t{0});
        if (hall) child.frame(child.sequence, 0, kHall);
        heard_stage = heard_hall = child.now;
      } else if (pick < 70) {
        child.way.on_idle(chance.below(2) == 0 ? kStage : kHall, child.now);
        heard_stage = heard_hall = child.now;
      } else if (pick < 75) {
        child.frame(child.sequence - chance.below(100));
      } else if (pick < 80) {
        const auto flags = static_cast<std::uint8_t>(chance.below(2) == 0 ? wire::kInfoAnchored : 0);
        child.info(child.sequence + chance.below(20), flags, chance.below(2) == 0 ? kStage : kHall);
      } else if (pick < 83) {
        child.way.on_seeking(chance.below(2) == 0, child.now);
      } else if (pick < 85) {
        hall = !hall;
        hall ? child.way.expect(kHall, kFrame, child.now) : child.way.forget(kHall);
        heard_hall = child.now;
      } else {
        child.nothing_for(Duration{static_cast<Duration::rep>(chance.below(80'000'000))});
      }
      // A group that was just asked for has a second; every other is silent long before.
      if (child.by_multicast()) {
        CHECK(child.now - heard_stage < 1s);
        if (hall) CHECK(child.now - heard_hall <= 1s);
      }
    }
  }
}

TEST_CASE("a frame costs no allocation") {
  Child child;
  child.settled();
  const test::AllocationCount allocations;
  child.frames_for(10s);
  const std::uint64_t count = allocations.count();
  CHECK(count == 0);
}

}  // namespace tiercast::delivery_way_test
