// Who is forwarded, over minutes: away at once, back after a while, never in turns.
#include "relay/forward/active_source.hpp"

#include <doctest/doctest.h>

#include <array>

namespace tiercast::active_source_test {

using forward::ActiveSource;

namespace {

constexpr SourceId kPrimary{1}, kStandby{2};

struct Sources {
  std::array<forward::Source, 2> sources{{{kPrimary, {}}, {kStandby, {}}}};
  ActiveSource active{sources, 20ms, 60ms};
  Time now{1h};
  std::uint64_t sequence = 1000;
  /// What each brings of the next frame: 'a' audio, 'e' an empty one, '-' nothing.
  void step(char primary, char standby) {
    now += 20ms;
    ++sequence;
    if (primary != '-') speak(kPrimary, primary);
    if (standby != '-') speak(kStandby, standby);
    active.update(now);
  }
  void speak(SourceId source, char what) {
    if (!active.current()) active.take_over(source, now);
    active.heard(source, Sequence{sequence}, what == 'a', now);
  }
  void steps(int n, char primary, char standby) {
    for (int i = 0; i < n; ++i) step(primary, standby);
  }
  /// Seconds until the primary is back, both good.
  double until_back() {
    const Time from = now;
    while (active.current() != kPrimary && now - from < 1h) step('a', 'a');
    return std::chrono::duration<double>(now - from).count();
  }
};

}  // namespace

TEST_CASE("the primary is taken back when it has been good for five seconds") {
  Sources s;
  s.steps(100, 'a', 'a');
  CHECK(s.active.current() == kPrimary);
  s.steps(2, '-', 'a');
  CHECK(s.active.current() == kPrimary);
  s.step('-', 'a');
  CHECK(s.active.current() == kStandby);
  s.steps(500, '-', 'a');
  s.steps(200, 'a', 'a');
  s.steps(3, '-', 'a');  // the wait begins anew
  const double back = s.until_back();
  CHECK(back >= 5);
  CHECK(back < 5.1);
  CHECK(s.active.changes() == 2);
}

TEST_CASE("a primary that fails again and again is taken back later and later, and as before after a calm minute") {
  Sources s;
  s.steps(100, 'a', 'a');
  double least = 5;
  for (int i = 0; i < 9; ++i) {
    s.steps(5, '-', 'a');
    REQUIRE(s.active.current() == kStandby);
    const double back = s.until_back();
    CHECK(back >= least);
    CHECK(back < least + 1);
    least = std::min(least * 2, 300.0);
    s.steps(100, 'a', 'a');
  }
  s.steps(61 * 50, 'a', 'a');
  s.steps(5, '-', 'a');
  CHECK(s.until_back() < 6);
}

TEST_CASE("a standby that fails is left at once, and so is a primary that fails while the standby is away") {
  Sources s;
  s.steps(100, 'a', 'a');
  s.steps(5, '-', 'a');
  REQUIRE(s.active.current() == kStandby);
  s.steps(10, 'a', 'a');
  s.steps(3, 'a', '-');
  CHECK(s.active.current() == kPrimary);
  s.steps(50, '-', '-');
  CHECK(s.active.current() == kPrimary);
  s.step('-', 'a');
  CHECK(s.active.current() == kStandby);
}

TEST_CASE("a source whose input is dead does not hide the one that has audio, and is not taken back without") {
  Sources s;
  s.steps(100, 'a', 'a');
  s.steps(2, 'e', 'a');
  CHECK(s.active.current() == kPrimary);
  s.step('e', 'a');
  CHECK(s.active.current() == kStandby);
  s.steps(1000, 'e', 'a');
  CHECK(s.active.current() == kStandby);
  s.steps(1000, 'e', 'e');  // nobody speaks: neither is better
  CHECK(s.active.current() == kPrimary);
  s.steps(3, 'e', 'a');
  CHECK(s.active.current() == kStandby);
}

TEST_CASE("pauses of the speaker change nothing") {
  Sources s;
  for (int i = 0; i < 1000; ++i) {
    const char what = i / 7 % 3 == 0 ? 'e' : 'a';
    s.step(what, what);
  }
  CHECK(s.active.changes() == 0);
}

TEST_CASE("two sources that are not aligned do not take turns with each pause") {
  Sources s;
  for (int i = 0; i < 50 * 60; ++i) s.step(i / 25 % 2 == 0 ? 'e' : 'a', (i + 13) / 25 % 2 == 0 ? 'e' : 'a');
  CHECK(s.active.changes() <= 24);  // in a minute
}

TEST_CASE("a primary that comes back elsewhere in the stream waits until it is aligned") {
  Sources s;
  s.steps(100, 'a', 'a');
  s.steps(5, '-', 'a');
  for (int i = 0; i < 1000; ++i) {
    s.step('-', 'a');
    s.active.heard(kPrimary, Sequence{s.sequence + 50}, true, s.now);
    s.active.update(s.now);
    REQUIRE(s.active.current() == kStandby);
  }
}

TEST_CASE("of a single source nothing changes, whatever it does") {
  const std::array<forward::Source, 1> one{{{kPrimary, {}}}};
  ActiveSource active{one, 20ms, 60ms};
  Time now{1h};
  active.take_over(kPrimary, now);
  active.heard(kPrimary, Sequence{1}, true, now);
  now += 1h;
  CHECK_FALSE(active.update(now));
  CHECK(active.current() == kPrimary);
}

}  // namespace tiercast::active_source_test
