// Which way frames should come, on a virtual clock: what comes by multicast and what the parent says is scripted.
#include "relay/control/delivery_way.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "tests/support/counting_allocator.hpp"
#include "tests/support/seeded_random.hpp"

using namespace tiercast;
using namespace tiercast::control;
using wire::Delivery;

namespace {

constexpr GroupId kStage{1}, kHall{2};
constexpr Duration kFrame = 20ms;
constexpr std::uint64_t kTop = (std::uint64_t{1} << 48) - 1;

/// A child's way from one parent. Frames of kStage come by multicast every 20 ms while `flows`.
struct Child {
  explicit Child(std::uint64_t seed = 1) : random(seed), way(random) { way.expect(kStage, kFrame, now); }

  wire::Header header(std::uint64_t number, std::uint8_t flags = 0, GroupId group = kStage) const {
    return {wire::Type::frame, flags, SourceId{1}, group, Epoch{1}, Sequence{number}};
  }
  void frame(std::uint64_t number, std::uint8_t flags = 0, GroupId group = kStage) {
    way.on_frame(header(number, flags, group), Sequence{number}, now);
  }
  void info(std::uint64_t newest, std::uint8_t flags = wire::kInfoAnchored, GroupId group = kStage) {
    wire::GroupInfo said;
    said.group = group;
    said.flags = flags;
    said.newest = Sequence{newest};
    way.on_group_info(said, now);
  }

  /// All that is due until `d` from now, that moment included.
  template <class Each>
  void run(Duration d, Each each) {
    const Time end = now + d;
    Time tick = now + kFrame;
    while (true) {
      const Time due = way.next_deadline();
      const Time next = std::min(tick, due);
      if (next > end) break;
      now = std::max(now, next);
      if (now >= tick) {
        tick += kFrame;
        each();
      }
      if (now < way.next_deadline()) continue;
      way.on_timer(now);
      REQUIRE(way.next_deadline() > now);  // it did what was due
      if (way.take_rejoin()) rejoins.push_back(now);
    }
    now = end;
  }
  void nothing_for(Duration d) {
    run(d, [] {});
  }
  void frames_for(Duration d) {
    run(d, [this] { frame(++sequence); });
  }
  /// The stream goes on at the parent, and only IDLE comes.
  void idles_for(Duration d) {
    run(d, [this] {
      if (++sequence % 2 == 0) way.on_idle(kStage, now);
    });
  }
  /// By multicast from the very beginning.
  Child& settled() {
    frames_for(wire::kMulticastRow * kFrame);
    REQUIRE(by_multicast());
    way.take_hasten();
    return *this;
  }
  /// Comes back by multicast: the time it took since `from`.
  Duration back_after(Time from) {
    for (int i = 0; i < 10'000 && !by_multicast(); ++i) frames_for(kFrame);
    REQUIRE(by_multicast());
    return now - from;
  }
  /// Never changed back since it first was.
  bool stayed() const { return by_multicast() && way.counters().to_multicast.get() == 1; }
  bool by_multicast() const { return way.wanted() == Delivery::multicast; }

  Time now{1000s};
  test::SeededRandom random;
  DeliveryWay way;
  std::uint64_t sequence = 1'000'000;
  std::vector<Time> rejoins;
};

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

TEST_CASE("what was lost before it was good enough is forgotten") {
  Child child;
  child.run(64 * kFrame, [&] { child.frame(child.sequence += 2); });
  CHECK_FALSE(child.by_multicast());
  child.frames_for(10s);
  CHECK(child.stayed());
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
