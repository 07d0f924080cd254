// One lease for several groups: one that fails by multicast brings all back.
#include <doctest/doctest.h>

#include "tests/control/delivery_way_child.hpp"

namespace tiercast::delivery_way_groups_test {

using namespace tiercast::test;

TEST_CASE("of several groups that the parent lacked while it sought each may come back in its time") {
  Child child;
  child.way.expect(kHall, kFrame, child.now);
  const auto both = [&] {
    child.frame(++child.sequence);
    child.frame(child.sequence, 0, kHall);
  };
  child.run(1s, both);
  REQUIRE(child.by_multicast());
  child.way.on_seeking(true, child.now);
  child.run(60s, [&] {
    ++child.sequence;
    child.way.on_idle(kStage, child.now);
    child.way.on_idle(kHall, child.now);
  });
  child.run(300ms, [&] {
    child.frame(++child.sequence);
    child.way.on_idle(kHall, child.now);
  });
  child.run(10s, both);
  CHECK(child.stayed());
}

TEST_CASE("of several groups one that falls silent brings all back to unicast") {
  Child child;
  child.way.expect(kHall, kFrame, child.now);
  child.frames_for(1s);
  CHECK_FALSE(child.by_multicast());  // of the other one nothing has come
  std::uint64_t other = 500;
  const auto both = [&] {
    child.frame(++child.sequence);
    child.frame(++other, 0, kHall);
  };
  child.run(10 * kFrame, both);
  CHECK(child.by_multicast());
  child.run(10s, both);
  CHECK(child.by_multicast());
  child.frames_for(59ms);
  CHECK(child.by_multicast());
  child.frames_for(1ms);
  CHECK_FALSE(child.by_multicast());
  child.frames_for(60s);
  CHECK_FALSE(child.by_multicast());  // and keeps them there
  CHECK(child.way.counters().to_multicast.get() == 1);
}

TEST_CASE("a group of which the parent itself has nothing holds nobody back") {
  Child child;
  child.way.expect(kHall, kFrame, child.now);
  child.info(0, 0, kHall);
  child.frames_for(1s);
  CHECK_FALSE(child.by_multicast());  // but its IDLE must come by this way
  const auto idle_hall = [&] {
    child.frame(++child.sequence);
    child.way.on_idle(kHall, child.now);
  };
  child.run(1s, idle_hall);
  CHECK(child.by_multicast());
  child.run(60s, idle_hall);
  CHECK(child.by_multicast());
  child.info(700, wire::kInfoAnchored, kHall);  // it begins
  child.run(400ms, idle_hall);
  CHECK(child.by_multicast());
  child.run(700ms, idle_hall);
  CHECK_FALSE(child.by_multicast());
}

TEST_CASE("a group that has ended is silent without harm, until it goes on") {
  Child child;
  child.settled();
  child.frame(++child.sequence, wire::kFlagEnd);
  child.nothing_for(600s);
  CHECK(child.by_multicast());
  CHECK(child.rejoins.empty());
  child.frames_for(1s);
  CHECK(child.by_multicast());
  child.nothing_for(60ms);
  CHECK_FALSE(child.by_multicast());
  // The parent's word on what comes after its end.
  Child on;
  on.settled();
  on.frame(++on.sequence, wire::kFlagEnd);
  on.nothing_for(1s);
  on.info(on.sequence);
  on.nothing_for(1s);
  CHECK(on.by_multicast());
  on.info(on.sequence + 1);
  on.nothing_for(59ms);
  CHECK(on.by_multicast());
  on.nothing_for(1ms);
  CHECK_FALSE(on.by_multicast());
  // It holds no other group back, and is not joined anew.
  Child two;
  two.way.expect(kHall, kFrame, two.now);
  two.frame(5, wire::kFlagEnd, kHall);
  two.settled();
  Child none;
  none.frame(5, wire::kFlagEnd);
  none.nothing_for(60s);
  CHECK_FALSE(none.by_multicast());
  CHECK(none.rejoins.empty());
  // By the parent's word; and its word that it goes on after all.
  Child told;
  told.settled();
  told.info(told.sequence, wire::kInfoEnded);
  told.nothing_for(60s);
  CHECK(told.by_multicast());
  told.info(told.sequence, 0);
  told.nothing_for(60s);
  CHECK(told.by_multicast());
  told.info(told.sequence + 100);
  told.nothing_for(61ms);
  CHECK_FALSE(told.by_multicast());
}

TEST_CASE("a group that is new has the time that its first frame may take from further up") {
  Child child;
  child.settled();
  child.way.expect(kHall, kFrame, child.now);
  child.info(123'456, wire::kInfoAnchored, kHall);
  child.frames_for(400ms);
  CHECK(child.by_multicast());
  child.run(10s, [&] {
    child.frame(++child.sequence);
    child.frame(child.sequence, 0, kHall);
  });
  CHECK(child.by_multicast());
  child.way.forget(kHall);
  child.frames_for(10s);
  CHECK(child.by_multicast());
  child.way.expect(kHall, kFrame, child.now);
  child.frames_for(1s);
  CHECK_FALSE(child.by_multicast());
}

TEST_CASE("who expects nothing is at unicast, and waits for nothing") {
  Child child;
  child.settled();
  child.way.forget(kHall);
  CHECK(child.by_multicast());
  child.way.forget(kStage);
  CHECK_FALSE(child.by_multicast());
  CHECK(child.way.take_hasten());
  CHECK(child.way.next_deadline() == kNever);
  child.frame(++child.sequence);
  child.way.on_idle(kStage, child.now);
  CHECK(child.way.counters().drop_unknown.get() == 2);
  // It was no failure: nothing to wait for when it is wanted again.
  child.way.expect(kStage, kFrame, child.now);
  child.frames_for(10 * kFrame);
  CHECK(child.by_multicast());
}

}  // namespace tiercast::delivery_way_groups_test
