// IDLE, which proves nothing, and the parent's word on whether it has input.
#include <doctest/doctest.h>

#include <set>

#include "tests/control/delivery_way_child.hpp"

namespace tiercast::delivery_way_word_test {

using namespace tiercast::test;

namespace {

bool between(Duration d, Duration least, Duration most) { return least <= d && d <= most; }

}  // namespace

TEST_CASE("IDLE puts it off by one second at most, since anybody can have sent it") {
  std::set<Duration> lasted;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Child child{seed};
    child.settled();
    const Time last = child.now;
    while (child.by_multicast() && child.now < last + 2s) {  // as fast as one likes
      child.way.on_idle(kStage, child.now);
      child.nothing_for(1ms);
    }
    CHECK(between(child.now - last, 500ms, 1001ms));
    lasted.insert(child.now - last);
    CHECK(child.way.counters().questions.get() == 1);
  }
  CHECK(lasted.size() > 5);  // not all children at once
}

TEST_CASE("IDLE that falls silent ends it at once") {
  Child child;
  child.settled();
  child.idles_for(200ms);
  CHECK(child.by_multicast());
  child.nothing_for(60ms);
  CHECK_FALSE(child.by_multicast());
}

TEST_CASE("with IDLE alone the parent is asked before patience ends; if it seeks too, IDLE is good enough") {
  Child child;
  child.settled();
  const Time last = child.now;
  while (!child.way.take_hasten()) child.idles_for(kFrame);
  CHECK(child.by_multicast());
  CHECK(between(child.now - last, 230ms, 520ms));
  child.way.on_seeking(true, child.now);
  child.idles_for(60s);
  CHECK(child.by_multicast());
  CHECK_FALSE(child.way.take_hasten());
  // It has input again: frames must come, after as much patience as at first.
  child.way.on_seeking(false, child.now);
  const Time again = child.now;
  while (child.by_multicast()) child.idles_for(kFrame * 2);
  CHECK(between(child.now - again, 500ms, 1040ms));
}

TEST_CASE("frames that the parent lacked while it sought are not lost on this way, and end its excuse") {
  Child child;
  child.settled();
  child.way.on_seeking(true, child.now);
  child.idles_for(60s);
  child.frames_for(10s);
  CHECK(child.stayed());
  const Time last = child.now;
  while (child.by_multicast()) child.idles_for(2 * kFrame);  // it has said nothing meanwhile
  CHECK(child.now - last <= 1040ms);
}

TEST_CASE("what the parent said it had not is not lost on this way") {
  Child child;
  child.settled();
  const std::uint64_t last = child.sequence;
  child.idles_for(300ms);
  child.info(last);
  child.idles_for(150ms);
  child.frames_for(10s);
  CHECK(child.stayed());
}

TEST_CASE("a frame let through now and then, and IDLE between, is loss, though the parent speaks as often") {
  Child child;
  child.settled();
  const Time from = child.now;
  while (child.by_multicast() && child.now < from + 10s) {
    child.idles_for(11 * kFrame);
    child.frames_for(kFrame);
    child.info(child.sequence);
  }
  CHECK(child.way.counters().back_lossy.get() == 1);
  CHECK(child.now - from < 1s);
}

TEST_CASE("a parent that seeks and does not even send IDLE is silent") {
  Child child;
  child.settled();
  child.way.on_seeking(true, child.now);
  child.nothing_for(60ms);
  CHECK_FALSE(child.by_multicast());
}

TEST_CASE("the parent's word on a group: without input IDLE is good enough, with nothing newer patience begins anew") {
  Child child;
  child.settled();
  const std::uint64_t last = child.sequence;
  child.idles_for(400ms);
  child.info(last);  // anchored: it had input within the last second
  child.idles_for(400ms);
  CHECK(child.by_multicast());
  child.info(last, 0);
  child.idles_for(60s);
  CHECK(child.by_multicast());
  child.frames_for(1s);  // frames again, and a gap that nobody has lost
  CHECK(child.by_multicast());
  for (int i = 0; i < 60 && child.by_multicast(); ++i) child.idles_for(2 * kFrame);
  CHECK_FALSE(child.by_multicast());  // its old word counts no more
}

TEST_CASE("who is told of frames that do not come by multicast takes unicast") {
  Child child;
  child.settled();
  child.info(child.sequence + 15);  // they may be on their way
  CHECK(child.by_multicast());
  child.info(child.sequence + 16);
  CHECK_FALSE(child.by_multicast());
  CHECK(child.way.take_hasten());
  CHECK(child.way.counters().back_behind.get() == 1);
  // As when frames are slowed down little by little, so that none is ever overdue.
  Child slowed;
  slowed.settled();
  for (int second = 0; second < 60 && slowed.by_multicast(); ++second) {
    for (int i = 0; i < 48; ++i) {
      slowed.now += 1s / 48;
      slowed.frame(++slowed.sequence);
      slowed.way.on_timer(slowed.now);
    }
    slowed.info(1'000'010 + static_cast<std::uint64_t>(second + 1) * 50);
  }
  CHECK_FALSE(slowed.by_multicast());
  CHECK(slowed.way.counters().back_behind.get() == 1);
}

TEST_CASE("the parent's word does not outrun the frames that it announces") {
  Child child;
  child.settled();
  child.info(child.sequence, 0);
  child.idles_for(5s);
  child.info(child.sequence);  // input again, far ahead; the first frame of it is on the wire
  CHECK(child.by_multicast());
  child.frames_for(1s);
  CHECK(child.by_multicast());
}

}  // namespace tiercast::delivery_way_word_test
