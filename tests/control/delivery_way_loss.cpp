// What counts as lost by multicast, and what does not.
#include <doctest/doctest.h>

#include "tests/control/delivery_way_child.hpp"

namespace tiercast::delivery_way_loss_test {

using namespace tiercast::test;

namespace {

constexpr std::uint64_t kTop = (std::uint64_t{1} << 48) - 1;

}  // namespace

TEST_CASE("more than a fifth of 64 missing is too much, once there was time to repair it") {
  struct Case {
    int of_64;
    bool stays;
  };
  for (const Case c : {Case{12, true}, Case{13, false}, Case{32, false}}) {
    CAPTURE(c.of_64);
    Child child;
    child.settled();
    child.frames_for(2s);
    int lost = 0;
    child.run(64 * kFrame, [&] {  // evenly, so that no silence comes of it
      ++child.sequence;
      if (lost < c.of_64 && child.sequence % 2 == 0) {
        ++lost;
      } else {
        child.frame(child.sequence);
      }
    });
    REQUIRE(lost == c.of_64);
    CHECK(child.by_multicast() == c.stays);
    CHECK(child.way.counters().back_silent.get() == 0);
    CHECK(child.way.counters().back_lossy.get() == (c.stays ? 0 : 1));
  }
}

TEST_CASE("what the parent had to ask for itself comes late, and is not lost on this way") {
  Child child;
  child.settled();
  for (int hiccup = 0; hiccup < 20; ++hiccup) {
    child.idles_for(16 * kFrame);  // the parent lacks them too
    std::uint64_t missing = child.sequence - 15;
    child.run(16 * kFrame, [&] {
      child.frame(++child.sequence);
      child.frame(missing++);
    });
    child.frames_for(1s);
  }
  CHECK(child.stayed());
}

TEST_CASE("a jump that the source declares is no loss, any other is") {
  Child declared;
  declared.settled();
  declared.frames_for(1s);
  declared.sequence += 3'000'000;
  declared.frame(declared.sequence, wire::kFlagDiscontinuity);
  declared.frames_for(10s);
  CHECK(declared.stayed());
  Child lost;
  lost.settled();
  lost.frames_for(1s);
  lost.sequence += 3'000'000;
  lost.frames_for(330ms);
  CHECK_FALSE(lost.by_multicast());
  CHECK(lost.way.counters().back_lossy.get() == 1);
}

TEST_CASE("the flag on a frame that follows the last one changes nothing") {
  Child child;
  child.run(10 * kFrame, [&] { child.frame(++child.sequence, wire::kFlagDiscontinuity); });
  CHECK(child.by_multicast());
}

TEST_CASE("the last sequence of 48 bits is a sequence like any other") {
  Child child;
  child.sequence = kTop - 11;
  child.settled();
  child.frame(kTop);
  CHECK(child.by_multicast());
  child.info(kTop);
  child.frame(kTop);
  child.frame(1);
  CHECK(child.way.counters().drop_old.get() == 2);
  CHECK(child.by_multicast());
  Child leaps;
  leaps.settled();
  leaps.frame(kTop, wire::kFlagDiscontinuity);
  leaps.info(kTop);
  CHECK(leaps.by_multicast());
  leaps.nothing_for(60ms);
  CHECK_FALSE(leaps.by_multicast());
}

TEST_CASE("the first sequence that it hears may be any but 0, which is none") {
  Child none;
  none.frame(0);
  CHECK(none.way.counters().drop_unknown.get() == 1);
  for (const std::uint64_t first :
       {std::uint64_t{1}, std::uint64_t{63}, std::uint64_t{64}, std::uint64_t{65}, kTop - 9}) {
    Child child;
    child.sequence = first - 1;
    child.settled();
    CHECK(child.by_multicast());
  }
}

TEST_CASE("what was lost before it was good enough is forgotten") {
  Child child;
  child.run(64 * kFrame, [&] { child.frame(child.sequence += 2); });
  CHECK_FALSE(child.by_multicast());
  child.frames_for(10s);
  CHECK(child.stayed());
}

}  // namespace tiercast::delivery_way_loss_test
