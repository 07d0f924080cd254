#include "relay/receive/playout_clock.hpp"

#include <doctest/doctest.h>

namespace tiercast::playout_clock_test {

using receive::PlayoutClock;

namespace {
constexpr Duration kFrame = 20ms;
Time at(Duration d) { return Time{} + 1000s + d; }
}  // namespace

TEST_CASE("playout clock: knows nothing before the first sample, and after a restart") {
  PlayoutClock clock{kFrame};
  clock.restart(Sequence{100});
  CHECK(clock.expected(Sequence{100}) == kNever);
  clock.sample(Sequence{100}, at(0ms), true);
  CHECK(clock.expected(Sequence{103}) == at(60ms));
  CHECK(clock.expected(Sequence{98}) == at(-40ms));
  clock.restart(Sequence{100});
  CHECK(clock.expected(Sequence{100}) == kNever);
}

TEST_CASE("playout clock: the earliest attested arrival is the anchor") {
  PlayoutClock clock{kFrame};
  clock.restart(Sequence{100});
  clock.sample(Sequence{100}, at(30ms), true);
  clock.sample(Sequence{101}, at(25ms), true);
  clock.sample(Sequence{102}, at(90ms), true);
  CHECK(clock.expected(Sequence{102}) == at(45ms));
}

TEST_CASE("playout clock: a path that becomes slower is believed after 5 to 10 s") {
  PlayoutClock clock{kFrame};
  clock.restart(Sequence{0});
  auto expected_after = [&](int ticks, Duration extra) {
    static int tick = 0;
    for (int i = 0; i < ticks; ++i, ++tick)
      clock.sample(Sequence{static_cast<std::uint64_t>(tick)}, at(tick * kFrame + extra), true);
    return clock.expected(Sequence{0});
  };
  CHECK(expected_after(500, 0ms) == at(0ms));
  CHECK(expected_after(250, 50ms) == at(0ms));
  CHECK(expected_after(510, 50ms) == at(50ms));
}

TEST_CASE("playout clock: a stream that is late as a whole is believed within a second, single late frames are not") {
  PlayoutClock clock{kFrame};
  clock.restart(Sequence{0});
  const auto sample = [&](int tick, Duration extra) {
    clock.sample(Sequence{static_cast<std::uint64_t>(tick)}, at(tick * kFrame + extra), true);
  };
  for (int tick = 0; tick < 50; ++tick) sample(tick, tick % 10 == 3 ? 0ms : 180ms);
  CHECK(clock.expected(Sequence{0}) == at(0ms));
  for (int tick = 50; tick < 100; ++tick) sample(tick, 1200ms + (tick % 3) * 10ms);
  CHECK(clock.expected(Sequence{0}) == at(1200ms));
  sample(100, 900ms);
  CHECK(clock.expected(Sequence{0}) == at(900ms));
}

TEST_CASE("playout clock: a minority of unattested frames from the future moves nothing, also when first") {
  PlayoutClock clock{kFrame};
  clock.restart(Sequence{0});
  clock.sample(Sequence{400}, at(0ms), false);
  for (std::uint64_t s = 0; s < 5; ++s) clock.sample(Sequence{s}, at(kFrame * static_cast<int>(s)), false);
  clock.sample(Sequence{300}, at(100ms), false);
  clock.sample(Sequence{301}, at(100ms), false);
  CHECK(clock.expected(Sequence{5}) == at(100ms));
}

TEST_CASE("playout clock: from the first attested frame on, unattested ones count for nothing") {
  PlayoutClock clock{kFrame};
  clock.restart(Sequence{0});
  for (std::uint64_t s = 400; s < 420; ++s) clock.sample(Sequence{s}, at(0ms), false);
  clock.sample(Sequence{1}, at(20ms), true);
  CHECK(clock.expected(Sequence{5}) == at(100ms));
  for (std::uint64_t s = 400; s < 420; ++s) clock.sample(Sequence{s}, at(0ms), false);
  CHECK(clock.expected(Sequence{5}) == at(100ms));
}

TEST_CASE("playout clock: what is newest and late moves only what is expected at the latest, while all of it is late") {
  PlayoutClock clock{kFrame};
  clock.restart(Sequence{0});
  clock.newest(Sequence{0}, at(0ms));
  CHECK(clock.expected_at_latest(Sequence{0}) == kNever);
  clock.sample(Sequence{0}, at(0ms), true);
  clock.newest(Sequence{1}, at(20ms + 40ms));
  CHECK(clock.expected_at_latest(Sequence{2}) == at(40ms));
  clock.newest(Sequence{2}, at(40ms + 900ms));
  clock.newest(Sequence{3}, at(60ms + 950ms));
  CHECK(clock.expected(Sequence{4}) == at(80ms));
  CHECK(clock.expected_at_latest(Sequence{4}) == at(80ms + 900ms));
  clock.newest(Sequence{5}, at(100ms + 300ms));
  CHECK(clock.expected_at_latest(Sequence{6}) == at(120ms + 300ms));
  SUBCASE("one that comes in time ends that") {
    clock.newest(Sequence{7}, at(140ms + 10ms));
    CHECK(clock.expected_at_latest(Sequence{8}) == at(160ms));
    clock.newest(Sequence{400}, at(160ms));  // made up, from the future
    CHECK(clock.expected_at_latest(Sequence{8}) == at(160ms));
  }
  SUBCASE("so do attested ones that are as late") {
    for (int tick = 7; tick < 30; ++tick) {
      clock.sample(Sequence{static_cast<std::uint64_t>(tick)}, at(tick * kFrame + 400ms), true);
    }
    CHECK(clock.expected_at_latest(Sequence{8}) == at(160ms + 400ms));
  }
}

}  // namespace tiercast::playout_clock_test
