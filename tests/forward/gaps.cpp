#include "relay/forward/gaps.hpp"

#include <doctest/doctest.h>

#include <array>
#include <map>
#include <set>

#include "tests/support/seeded_random.hpp"

namespace tiercast::gaps_test {

using forward::Gaps;

namespace {

const Time kStart{1h};
constexpr Duration kRoundTrip = 20ms;

/// A child's only parent.
std::array<forward::Askee, 1> only(Duration round_trip = kRoundTrip) {
  forward::Askee parent;
  parent.leased = parent.live = true;
  parent.round_trip = round_trip;
  return {parent};
}

struct Child {
  test::SeededRandom random{7};
  Gaps::Config config{};
  Gaps gaps{config, random};
  Time now = kStart;

  void frame(std::uint64_t s, bool jumps = false) { gaps.on_frame(Sequence{s}, jumps, now); }
  /// Every sequence that is asked for now.
  std::set<std::uint64_t> ask() {
    std::set<std::uint64_t> all;
    wire::Nack nack;
    while (gaps.due(GroupId{7}, only(), nack, now)) {
      CHECK(nack.group == GroupId{7});
      CHECK(nack.kind == wire::NackKind::frame);
      CHECK_FALSE(nack.ranges.empty());
      for (const auto& range : nack.ranges)
        for (unsigned i = 0; i < range.count; ++i) CHECK(all.insert(range.first.value + i).second);
    }
    return all;
  }
  /// Lets time pass to the next deadline; what is asked for then.
  std::set<std::uint64_t> wait() {
    REQUIRE(gaps.next_deadline() != kNever);
    REQUIRE(gaps.next_deadline() > now);
    now = gaps.next_deadline();
    return ask();
  }
  void balance() const {
    const auto& c = gaps.counters();
    CHECK(c.missing.get() == c.repaired() + c.given_up.get() + c.skipped.get() + gaps.missing());
  }
};

using Set = std::set<std::uint64_t>;

}  // namespace

TEST_CASE("without a gap nothing is asked for and nothing waits") {
  Child child;
  CHECK(child.gaps.next_deadline() == kNever);
  for (std::uint64_t s = 1000; s < 3000; ++s) {
    child.frame(s);
    child.now += 20ms;
    CHECK(child.ask().empty());
  }
  CHECK(child.gaps.next_deadline() == kNever);
  CHECK(child.gaps.counters().missing.get() == 0);
}

TEST_CASE("a gap is asked for once the reorder time has passed, not before") {
  Child child;
  child.frame(1000);
  child.frame(1002);
  CHECK(child.gaps.missing() == 1);
  CHECK(child.ask().empty());
  CHECK(child.gaps.next_deadline() == child.now + child.config.reorder);
  CHECK(child.wait() == Set{1001});
  CHECK(child.gaps.rounds(Sequence{1001}) == 1);
  CHECK(child.ask().empty());  // not twice at once
}

TEST_CASE("mere reordering is never asked for") {
  Child child;
  child.frame(1000);
  child.frame(1002);
  child.now += 4ms;
  child.frame(1001);
  child.now += 1s;
  CHECK(child.ask().empty());
  CHECK(child.gaps.counters().nacks.get() == 0);
  CHECK(child.gaps.counters().repaired() == 1);
  CHECK(child.gaps.next_deadline() == kNever);
}

TEST_CASE("it is asked for again after a round trip and a jittered margin, until it comes") {
  Child child;
  child.frame(1000);
  child.frame(1002);
  child.wait();
  for (unsigned round = 2; round <= 4; ++round) {
    const Time asked = child.now;
    CHECK(child.wait() == Set{1001});
    CHECK(child.now - asked >= kRoundTrip + wire::kNackMargin / 2);
    CHECK(child.now - asked <= kRoundTrip + wire::kNackMargin * 3 / 2);
    CHECK(child.gaps.rounds(Sequence{1001}) == round);
  }
  child.frame(1001);
  CHECK(child.gaps.missing() == 0);
  CHECK(child.gaps.rounds(Sequence{1001}) == 0);
  CHECK(child.gaps.next_deadline() == kNever);
  child.balance();
}

TEST_CASE("who is patient asks on for what is certain to exist, seldom, the whole of a long hole too") {
  Child child;
  child.config.patience = wire::kNackPatience;
  child.gaps = Gaps{child.config, child.random};
  child.frame(1000);
  child.frame(1151);
  child.gaps.on_newest(Sequence{1155}, child.now);  // only said to exist
  std::uint64_t nacks = 0;
  Set late;
  while (child.gaps.missing() > 0) {
    const auto asked = child.wait();
    const Duration since = child.now - kStart;
    if (!asked.empty() && since > child.config.deadline) {
      ++nacks;
      late.insert(asked.begin(), asked.end());
    }
  }
  CHECK(child.now == kStart + wire::kNackPatience);
  CHECK(late.size() == 150);
  CHECK(late.count(1155) == 0);
  CHECK(nacks >= 4700 / 300);
  CHECK(nacks <= 2 * 4700 / 100);  // two parts of the hole, at times of their own
  child.balance();
}

TEST_CASE("however long the round trip, there are at least four rounds before the deadline, and none after it") {
  for (const Duration round_trip : {Duration{0}, Duration{-1s}, Duration{50ms}, Duration{200ms}, Duration{5s}}) {
    Child child;
    child.frame(1000);
    child.frame(1002);
    wire::Nack nack;
    int rounds = 0;
    while (child.gaps.missing() > 0) {
      child.now = child.gaps.next_deadline();
      if (child.gaps.due(GroupId{7}, only(round_trip), nack, child.now)) {
        ++rounds;
        CHECK(child.now < kStart + child.config.deadline);
      }
    }
    CHECK(rounds >= wire::kNackRounds);
    CHECK(rounds <= 300 / 5);
    CHECK(child.now == kStart + child.config.deadline);
    CHECK(child.gaps.counters().given_up.get() == 1);
    child.balance();
  }
}

TEST_CASE("a frame that comes after it was given up, or twice, or unasked, changes nothing") {
  Child child;
  child.frame(1000);
  child.frame(1002);
  child.now += 1s;
  child.ask();
  CHECK(child.gaps.counters().given_up.get() == 1);
  child.frame(1001);
  child.frame(1001);
  child.frame(1000);
  child.frame(17);
  CHECK(child.gaps.counters().repaired() == 0);
  CHECK(child.gaps.missing() == 0);
  child.frame(1003);
  CHECK(child.gaps.missing() == 0);
}

TEST_CASE("a long gap is one range, asked for twice as a whole, then its end alone: below may be a leap of the clock") {
  Child child;
  child.frame(1000);
  child.frame(1301);
  for (int round = 0; round < 4; ++round) {
    child.now = child.gaps.next_deadline();
    wire::Nack nack;
    REQUIRE(child.gaps.due(GroupId{7}, only(), nack, child.now));
    REQUIRE(nack.ranges.size() == 1);
    CHECK(nack.ranges[0].first.value == (round < 2 ? 1001 : 1301 - wire::kResendBurst));
    CHECK(nack.ranges[0].count == (round < 2 ? 300 : wire::kResendBurst));
    CHECK_FALSE(child.gaps.due(GroupId{7}, only(), nack, child.now));
  }
  CHECK(child.gaps.counters().nacks.get() == 4);
  CHECK(child.gaps.counters().asked.get() == 600 + 2 * wire::kResendBurst);
  // The frame that says that there was a leap is among the last ones.
  child.frame(1250, true);
  CHECK(child.wait().count(1249) == 0);
  CHECK(child.gaps.missing() == 50);
  child.balance();
}

TEST_CASE("a long gap that is a loss is repaired from its end to its beginning, though whole questions were lost") {
  Child child;
  child.frame(1000);
  child.frame(1301);
  child.wait();
  child.wait();
  while (child.gaps.missing() > 0) {
    const Time asked = child.now;
    const Set now = child.wait();
    REQUIRE(child.now - asked <= kRoundTrip + 2 * wire::kNackMargin);
    CHECK(now.size() <= wire::kResendBurst);
    for (const auto s : now) child.frame(s);
  }
  CHECK(child.gaps.counters().repaired() == 300);
  child.balance();
}

TEST_CASE("what can be played no more is not asked for, not even what is only said to exist") {
  Child child;
  child.frame(1000);
  child.gaps.on_newest(Sequence{1190}, child.now);  // over an outage the clock leapt
  child.gaps.forget(Sequence{1180});
  CHECK(child.gaps.missing() == 11);
  child.gaps.forget(Sequence{1296});
  CHECK(child.gaps.missing() == 0);
  child.now += 10ms;
  CHECK(child.ask().empty());
  child.frame(1298);
  child.gaps.forget(Sequence{1296});
  CHECK(child.wait() == Set{1296, 1297});
  child.balance();
}

TEST_CASE("more ranges than one NACK holds go into several, the oldest first, each once") {
  Child child;
  child.frame(1000);
  for (std::uint64_t s = 1002; s <= 1160; s += 2) child.frame(s);
  child.now += 5ms;
  wire::Nack nack;
  Set asked;
  std::vector<std::size_t> sizes;
  while (child.gaps.due(GroupId{7}, only(), nack, child.now)) {
    sizes.push_back(nack.ranges.size());
    for (const auto& range : nack.ranges) {
      CHECK(range.count == 1);
      CHECK((asked.empty() || *asked.rbegin() < range.first.value));
      asked.insert(range.first.value);
    }
  }
  CHECK(sizes == std::vector<std::size_t>{32, 32, 16});
  CHECK(asked.size() == 80);
}

TEST_CASE("a joiner's resume is a gap up to the first frame that comes") {
  Child child;
  child.gaps.start_from(Sequence{900}, child.now);
  CHECK(child.gaps.next_deadline() == kNever);
  child.frame(1000);
  const auto asked = child.wait();
  CHECK(asked.size() == 100);
  CHECK(*asked.begin() == 900);
  CHECK(*asked.rbegin() == 999);
}

TEST_CASE("without a start, nothing before the first frame is missing") {
  Child child;
  child.gaps.on_newest(Sequence{1000}, child.now);
  CHECK(child.gaps.missing() == 0);
  child.frame(1000);
  CHECK(child.gaps.missing() == 0);
}

TEST_CASE("started again further on, only what lies below is given up") {
  Child child;
  child.frame(1000);
  child.frame(1005);
  child.gaps.start_from(Sequence{1003}, child.now);
  CHECK(child.wait() == Set{1003, 1004});
  child.gaps.start_from(Sequence{900}, child.now);  // further back means nothing
  CHECK(child.gaps.missing() == 2);
  child.gaps.start_from(Sequence{2000}, child.now);
  CHECK(child.gaps.missing() == 0);
  child.frame(2001);
  CHECK(child.wait() == Set{2000});
  child.balance();
}

TEST_CASE("begun anew, a start that was a lie hides no loss") {
  Child child;
  child.gaps.start_from(Sequence{100}, child.now);
  child.frame(100);
  child.frame(103);
  child.gaps.restart();
  CHECK(child.gaps.missing() == 0);
  child.gaps.start_from(Sequence{0xffffffffffff}, child.now);
  child.frame(200, true);
  child.frame(205);
  CHECK(child.wait() == Set{201, 202, 203, 204});
  child.balance();
}

TEST_CASE("a start may be corrected until a frame has come, and the first frame overrules a start beyond it") {
  Child child;
  child.gaps.start_from(Sequence{0xffff'ffff'fff0}, child.now);
  child.gaps.on_newest(Sequence{0xffff'ffff'fffa}, child.now);
  child.gaps.start_from(Sequence{900}, child.now);
  CHECK(child.gaps.missing() == 0);
  child.frame(902);
  CHECK(child.wait() == Set{900, 901});
  child.balance();

  Child other;
  other.gaps.start_from(Sequence{0xffff'ffff'fff0}, other.now);
  other.gaps.on_newest(Sequence{0xffff'ffff'fffa}, other.now);
  other.frame(1000);
  CHECK(other.gaps.missing() == 0);
  other.frame(1002);
  CHECK(other.wait() == Set{1001});
  other.balance();
}

TEST_CASE("loss at the tail is found when something says how far the stream is") {
  Child child;
  child.frame(1000);
  child.gaps.on_newest(Sequence{1003}, child.now);
  CHECK(child.wait() == Set{1001, 1002, 1003});
  child.frame(1003);
  child.frame(1001);
  CHECK(child.gaps.missing() == 1);
  child.gaps.on_newest(Sequence{1003}, child.now);  // said again: nothing new
  child.gaps.on_newest(Sequence{900}, child.now);
  CHECK(child.gaps.missing() == 1);
  child.frame(1002);
  child.frame(1004);
  CHECK(child.gaps.missing() == 0);
  child.balance();
}

TEST_CASE("what a claim was given up for is asked for again once a later frame proves that it exists") {
  Child child;
  child.frame(1000);
  child.gaps.on_newest(Sequence{1002}, child.now);
  child.now += 1s;
  child.ask();
  REQUIRE(child.gaps.missing() == 0);
  child.frame(1003);
  CHECK(child.wait() == Set{1001, 1002});
  child.balance();
}

TEST_CASE("a parent that lies about the newest frame cannot hide real losses") {
  Child child;
  child.frame(1000);
  child.frame(1002);
  child.gaps.on_newest(Sequence{0xffff'ffff'ffff}, child.now);
  CHECK(child.gaps.missing() <= Gaps::kMax);
  CHECK(child.ask().count(1001) == 0);
  CHECK(child.wait().count(1001) == 1);
  for (std::uint64_t s = 1003; s < 3000; ++s) {
    if (s % 10 != 0) child.frame(s);
    child.gaps.on_newest(Sequence{0xffff'ffff'ffff}, child.now);
    child.now += 20ms;
    child.ask();
    if (s % 10 == 1) CHECK(child.gaps.rounds(Sequence{s - 1}) >= 1);
  }
  child.now += 1s;
  child.ask();  // what was only claimed is given up
  child.balance();
}

TEST_CASE("across a jump nobody asks, but for real holes before it") {
  Child child;
  child.frame(1000);
  child.frame(1002);
  child.gaps.on_newest(Sequence{1010}, child.now);
  child.frame(1300, true);
  CHECK(child.wait() == Set{1001});
  child.frame(1302);
  child.now += 5ms;
  CHECK(child.ask().count(1301) == 1);
  child.balance();
}

TEST_CASE("a jump that was lost itself clears what lies between when it is repaired") {
  Child child;
  child.frame(1000);
  child.frame(1002);
  child.frame(1301);
  CHECK(child.gaps.missing() == 299);
  child.frame(1300, true);
  CHECK(child.gaps.missing() == 1);
  CHECK(child.wait() == Set{1001});
  child.balance();
}

TEST_CASE("a second question goes to another parent, and each NACK to one that is past what it asks for") {
  test::SeededRandom random{7};
  Gaps gaps{{}, random};
  std::array<forward::Askee, 3> parents;
  for (auto& parent : parents) parent = {true, true, false, 20ms, 0, Sequence{1010}};
  parents[1].round_trip = 10ms;
  parents[2].round_trip = 200ms;
  parents[2].loss = 0.3;
  gaps.on_frame(Sequence{1000}, false, kStart);
  gaps.on_frame(Sequence{1003}, false, kStart);
  wire::Nack nack;
  Time now = kStart + 5ms;
  CHECK(gaps.due(GroupId{7}, parents, nack, now) == 1);
  CHECK(nack.ranges.size() == 1);
  now = gaps.next_deadline();
  CHECK(gaps.due(GroupId{7}, parents, nack, now) == 0);
  now = gaps.next_deadline();
  CHECK(gaps.due(GroupId{7}, parents, nack, now) == 1);
  parents[0].live = parents[1].live = false;
  now = gaps.next_deadline();
  CHECK(gaps.due(GroupId{7}, parents, nack, now) == 2);
  // Of two that are missing one was asked for at a parent that is gone, the other never.
  gaps.on_frame(Sequence{1005}, false, now);
  parents[0].live = true;
  parents[2].live = false;
  now += 80ms;
  CHECK(gaps.due(GroupId{7}, parents, nack, now) == 0);
  CHECK(nack.ranges.size() == 2);
  CHECK_FALSE(gaps.due(GroupId{7}, {}, nack, now + 1ms));
}

TEST_CASE("what another parent may be about to bring by itself is waited for a little longer") {
  for (const bool comes : {false, true}) {
    test::SeededRandom random{7};
    Gaps gaps{{}, random};
    std::array<forward::Askee, 2> parents;
    parents[0] = {true, true, false, 20ms, 0, Sequence{1002}};
    parents[1] = {true, true, false, 20ms, 0, Sequence{1000}};
    gaps.on_frame(Sequence{1000}, false, kStart);
    gaps.on_frame(Sequence{1002}, false, kStart);
    wire::Nack nack;
    for (Time now = kStart; now < kStart + 30ms; now = std::max(now + 1ms, gaps.next_deadline()))
      CHECK_FALSE(gaps.due(GroupId{7}, parents, nack, now));
    if (comes) {
      gaps.on_frame(Sequence{1001}, false, kStart + 25ms, {forward::Way::Kind::unicast, 1});
      CHECK(gaps.next_deadline() == kNever);
      CHECK(gaps.counters().late.get() == 1);
    } else {
      CHECK(gaps.due(GroupId{7}, parents, nack, kStart + 30ms) == 0);
    }
  }
}

TEST_CASE("what was missing is counted by the way it came") {
  const auto counted = [](bool asked, Duration after, const forward::Way& way) {
    Child child;
    child.frame(1000);
    child.frame(1002);
    if (asked) child.wait();
    child.gaps.on_frame(Sequence{1001}, false, child.now + after, way);
    child.balance();
    const auto& c = child.gaps.counters();
    return std::array{c.resent.get(), c.parity.get(), c.late.get()};
  };
  using Kind = forward::Way::Kind;
  using Counts = std::array<std::uint64_t, 3>;
  CHECK(counted(true, 20ms, {}) == Counts{1, 0, 0});
  CHECK(counted(true, 3ms, {}) == Counts{0, 0, 1});                     // no answer is so quick
  CHECK(counted(true, 20ms, {Kind::unicast, 1}) == Counts{0, 0, 1});    // who brought it was not asked
  CHECK(counted(true, 20ms, {Kind::multicast, 0}) == Counts{0, 0, 1});  // answers come by unicast
  CHECK(counted(true, 20ms, {Kind::parity, 0}) == Counts{0, 1, 0});
  CHECK(counted(false, 1ms, {}) == Counts{0, 0, 1});
}

TEST_CASE("silence where frames are due is asked about, within bounds, unless the stream has ended or its end lives") {
  enum class How { dead, ended, idle };
  for (const How how : {How::dead, How::ended, How::idle}) {
    Child child;
    child.gaps = Gaps{{.silence = 60ms}, child.random};
    for (std::uint64_t s = 1000; s < 1010; ++s, child.now += 20ms) child.frame(s);
    if (how == How::ended) child.gaps.on_end(Sequence{1009});
    Set asked;
    const Time silent = child.now;
    for (; child.now < silent + 5s; child.now += 5ms) {
      if (how == How::idle && (child.now - silent) % 40ms == 0ms) child.gaps.on_newest(Sequence{1009}, child.now);
      if (child.now >= child.gaps.next_deadline()) asked.merge(child.ask());
    }
    CHECK(child.gaps.next_deadline() == (how == How::idle ? child.now + 20ms : kNever));
    CHECK(child.gaps.counters().missing.get() == 0);  // nobody knows whether they exist
    if (how != How::dead) {
      CHECK(asked.empty());
      continue;
    }
    CHECK(*asked.begin() == 1010);
    CHECK(asked.size() >= 12);
    CHECK(asked.size() <= 15);  // what one deadline's worth of frames are
    CHECK(child.gaps.counters().nacks.get() < 50);
    child.frame(1030);
    CHECK(child.gaps.counters().missing.get() == 20);
  }
}

TEST_CASE("a giant gap keeps only the newest that a history can hold") {
  for (const auto frame : {10ms, 20ms, 60ms, 1ms}) {
    test::SeededRandom random{1};
    Gaps gaps{{.frame = frame}, random};
    gaps.on_frame(Sequence{1}, false, kStart);
    gaps.on_frame(Sequence{3}, false, kStart);
    gaps.on_frame(Sequence{0xffff'ffff'0000}, false, kStart);
    const std::size_t expected = std::min<std::size_t>(Gaps::kMax, static_cast<std::size_t>(wire::kHistory / frame));
    CHECK(gaps.window() == expected);
    CHECK(gaps.missing() == expected - 1);
    CHECK(gaps.rounds(Sequence{2}) == 0);
    wire::Nack nack;
    REQUIRE(gaps.due(GroupId{7}, only(), nack, kStart + 5ms));
    REQUIRE(nack.ranges.size() == 1);
    CHECK(nack.ranges[0].first.value == 0xffff'ffff'0000 - (expected - 1));
    CHECK(nack.ranges[0].count == expected - 1);
    const auto& c = gaps.counters();
    CHECK(c.missing.get() == c.given_up.get() + gaps.missing());
  }
}

TEST_CASE("a hole that the stream outruns without anybody asking is given up") {
  Child child;
  child.frame(1000);
  for (std::uint64_t s = 1002; s < 1002 + 2 * Gaps::kMax; ++s) child.frame(s);
  CHECK(child.gaps.missing() == 0);
  CHECK(child.gaps.counters().given_up.get() == 1);
}

TEST_CASE("against a naive model: what is missing is what did not come, whatever the order") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    test::SeededRandom random{seed};
    Gaps gaps{{}, random};
    std::set<std::uint64_t> model;
    std::uint64_t next = 1001;
    gaps.on_frame(Sequence{1000}, false, kStart);
    for (int step = 0; step < 300; ++step) {
      const auto what = random.below(10);
      if (what < 5) {  // a later frame
        const std::uint64_t s = next + (random.below(4) == 0 ? random.below(6) : 0);
        for (; next < s; ++next) model.insert(next);
        next = s + 1;
        model.erase(s);
        gaps.on_frame(Sequence{s}, false, kStart);
      } else if (what < 8 && !model.empty()) {  // a repair
        auto at = model.begin();
        std::advance(at, static_cast<std::ptrdiff_t>(random.below(model.size())));
        gaps.on_frame(Sequence{*at}, false, kStart);
        model.erase(at);
      } else {  // a copy
        const std::uint64_t s = 1000 + random.below(next - 1000);
        if (model.count(s) == 0) gaps.on_frame(Sequence{s}, false, kStart);
      }
      // Below one window everything is tracked.
      while (!model.empty() && *model.begin() + gaps.window() < next) model.erase(model.begin());
      REQUIRE(gaps.missing() == model.size());
    }
    std::set<std::uint64_t> asked;
    wire::Nack nack;
    while (gaps.due(GroupId{7}, only(), nack, kStart + 5ms))
      for (const auto& range : nack.ranges)
        for (unsigned i = 0; i < range.count; ++i) asked.insert(range.first.value + i);
    CHECK(asked == model);
  }
}

namespace {

/// A parent that has every frame, and a link that loses `per_mille` each way and takes half a round trip each way.
struct Outcome {
  std::uint64_t lost = 0, repaired_in_time = 0, nacks = 0, asked = 0;
};

Outcome lossy_link(std::uint64_t seed, std::uint64_t per_mille, Duration one_way, std::uint64_t frames) {
  test::SeededRandom random{seed};
  test::SeededRandom child_random{seed + 1000};
  Gaps gaps{{}, child_random};
  enum class Kind { frame, idle, nack };
  struct Event {
    Kind kind;
    std::uint64_t sequence;
    wire::Nack nack;
  };
  std::multimap<Time, Event> events;
  const auto lose = [&] { return random.below(1000) < per_mille; };
  std::map<std::uint64_t, Time> lost;  // when the frame should have been there
  gaps.start_from(Sequence{1}, kStart);
  Outcome outcome;
  for (std::uint64_t s = 1; s <= frames; ++s) {
    const Time there = kStart + static_cast<std::int64_t>(s) * 20ms + one_way;
    if (lose())
      lost[s] = there;
    else
      events.insert({there, {Kind::frame, s, {}}});
  }
  // After its last frame the parent says so, every two intervals.
  for (int i = 1; i <= 10; ++i)
    events.insert({kStart + static_cast<std::int64_t>(frames) * 20ms + i * 40ms + one_way, {Kind::idle, frames, {}}});
  outcome.lost = lost.size();

  while (!events.empty() || gaps.missing() > 0) {
    const Time next = events.empty() ? kNever : events.begin()->first;
    const Time now = std::min(next, gaps.next_deadline());
    if (now == next) {
      const Event event = events.begin()->second;
      events.erase(events.begin());
      if (event.kind == Kind::idle) {
        gaps.on_newest(Sequence{event.sequence}, now);
      } else if (event.kind == Kind::frame) {
        gaps.on_frame(Sequence{event.sequence}, false, now);
        if (const auto at = lost.find(event.sequence); at != lost.end()) {
          if (now - at->second <= wire::kPlayout) ++outcome.repaired_in_time;
          lost.erase(at);
        }
      } else {
        for (const auto& range : event.nack.ranges)
          for (unsigned i = 0; i < range.count; ++i)
            if (!lose()) events.insert({now + one_way, {Kind::frame, range.first.value + i, {}}});
      }
    }
    wire::Nack nack;
    while (gaps.due(GroupId{7}, only(2 * one_way), nack, now))
      if (!lose()) events.insert({now + one_way, {Kind::nack, 0, nack}});
  }
  outcome.nacks = gaps.counters().nacks.get();
  outcome.asked = gaps.counters().asked.get();
  const auto& c = gaps.counters();
  CHECK(c.missing.get() == c.repaired() + c.given_up.get());
  return outcome;
}

}  // namespace

TEST_CASE("at 5 % loss both ways, 99.9 % of what was lost is repaired within the playout delay, without a storm") {
  Outcome all;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const auto outcome = lossy_link(seed, 50, 5ms, 10'000);
    all.lost += outcome.lost;
    all.repaired_in_time += outcome.repaired_in_time;
    all.nacks += outcome.nacks;
    all.asked += outcome.asked;
  }
  MESSAGE("lost " << all.lost << ", repaired in time " << all.repaired_in_time << ", NACKs " << all.nacks
                  << ", asked per lost frame " << static_cast<double>(all.asked) / static_cast<double>(all.lost));
  CHECK(all.lost > 4000);
  CHECK(static_cast<double>(all.repaired_in_time) >= 0.999 * static_cast<double>(all.lost));
  // Each ask succeeds with 0.95²: 1.11 asks a frame are expected.
  CHECK(static_cast<double>(all.asked) <= 1.3 * static_cast<double>(all.lost));
  CHECK(all.nacks <= all.asked);
}

TEST_CASE("a link that loses half still repairs most, and a dead one causes no more than the deadline's rounds") {
  const auto half = lossy_link(3, 500, 5ms, 2000);
  CHECK(half.repaired_in_time > half.lost * 9 / 10);
  const auto dead = lossy_link(3, 1000, 5ms, 2000);
  CHECK(dead.lost == 2000);
  CHECK(dead.repaired_in_time == 0);
  CHECK(dead.nacks <= 300 / 15 + 1);
}

}  // namespace tiercast::gaps_test
