#include "relay/publish/media_clock.hpp"

#include <doctest/doctest.h>

namespace tiercast::publish::media_clock_test {
namespace {

constexpr Time at(Duration since) { return Time{} + 100s + since; }
constexpr Moment start(std::int64_t unix_ms) { return {at(0ms), WallTime{std::chrono::milliseconds{unix_ms}}}; }

TEST_CASE("the first sequence is the wall's, and it was due when its interval began") {
  const MediaClock clock{20, Sequence{0}, start(1'000'015)};
  CHECK(clock.first() == Sequence{50'000});
  CHECK(clock.due(Sequence{50'000}) == at(-15ms));
  CHECK(clock.due(Sequence{50'001}) == at(5ms));
  CHECK(clock.due_at(at(4ms)) == Sequence{50'000});
  CHECK(clock.due_at(at(5ms)) == Sequence{50'001});
  CHECK(clock.nearest(at(-6ms)) == Sequence{50'000});
  CHECK(clock.nearest(at(-5ms)) == Sequence{50'001});
}

TEST_CASE("a sequence ahead of the wall is due at once, one behind it is not taken") {
  const MediaClock ahead{20, Sequence{60'000}, start(1'000'015)};
  CHECK(ahead.first() == Sequence{60'000});
  CHECK(ahead.due(Sequence{60'000}) == at(0ms));
  CHECK(MediaClock{20, Sequence{49'999}, start(1'000'015)}.first() == Sequence{50'000});
}

TEST_CASE("a sequence that the wall is about to reach is due when it does") {
  const MediaClock near{20, Sequence{50'012}, start(1'000'015)};
  CHECK(near.first() == Sequence{50'012});
  CHECK(near.due(Sequence{50'012}) == at(225ms));
  CHECK(near.nearest(at(0ms)) == Sequence{50'001});
  CHECK(MediaClock{20, Sequence{50'013}, start(1'000'015)}.due(Sequence{50'013}) == at(0ms));
}

TEST_CASE("how the last process numbered goes on, wherever the wall is") {
  const ClockPoint before{20, Sequence{100}, at(-1005ms)};
  const MediaClock clock{20, Sequence{0}, start(9'000'000), before};
  CHECK(clock.first() == Sequence{150});
  CHECK(clock.due(Sequence{150}) == at(-5ms));
  const MediaClock soon{20, Sequence{155}, start(0), before};
  CHECK(soon.first() == Sequence{155});
  CHECK(soon.due(Sequence{155}) == at(95ms));
  const MediaClock above{20, Sequence{170}, start(0), before};
  CHECK(above.first() == Sequence{170});
  CHECK(above.due(Sequence{170}) == at(0ms));
}

TEST_CASE("before its anchor the clock counts down, never below zero") {
  MediaClock clock{20, Sequence{5}, start(0)};
  clock.anchor(Sequence{5}, at(0ms));
  CHECK(clock.due_at(at(-1ms)) == Sequence{4});
  CHECK(clock.due_at(at(-20ms)) == Sequence{4});
  CHECK(clock.due_at(at(-21ms)) == Sequence{3});
  CHECK(clock.due_at(at(-10s)) == Sequence{0});
}

TEST_CASE("the clock follows a late arrival at once, an early one slowly, a stall by a sixteenth") {
  MediaClock clock{20, Sequence{5}, start(0)};
  clock.anchor(Sequence{5}, at(0ms));
  clock.observe(Sequence{6}, at(36ms));
  CHECK(clock.due(Sequence{6}) == at(36ms));
  clock.observe(Sequence{7}, at(46ms));
  CHECK(clock.due(Sequence{7}) == at(56ms - 20us));
  clock.observe(Sequence{8}, at(76ms - 36us));  // a sixteenth of 16 us
  CHECK(clock.due(Sequence{8}) == at(76ms - 21us));
  clock.observe(Sequence{9}, at(96ms - 21us + 1600ms));
  CHECK(clock.due(Sequence{9}) == at(96ms - 21us + 100ms));
}

TEST_CASE("timestamps are unwrapped, forwards and backwards") {
  RtpTimeline timeline{20};
  timeline.anchor(0xffffff00, Sequence{1000});
  std::uint32_t stamp = 0xffffff00;
  for (std::uint64_t i = 1; i < 20; ++i) {
    stamp += 960u * 600'000u;  // a wrap every eight steps
    REQUIRE(timeline.sequence_of(stamp) == Sequence{1000 + i * 600'000});
    timeline.follow(stamp, Sequence{1000 + i * 600'000});
    REQUIRE(timeline.sequence_of(stamp - 960) == Sequence{1000 + i * 600'000 - 1});
  }
}

TEST_CASE("a stamp off the grid means the nearest sequence") {
  RtpTimeline timeline{20};
  timeline.anchor(5000, Sequence{10});
  CHECK(timeline.sequence_of(5000 + 648) == Sequence{11});
  CHECK(timeline.sequence_of(5000 + 479) == Sequence{10});
  CHECK(timeline.sequence_of(5000 - 648) == Sequence{9});
}

TEST_CASE("an offset that stays moves the grid, one that passes does not") {
  RtpTimeline timeline{20};
  timeline.anchor(0, Sequence{10});
  timeline.follow(960 + 400, Sequence{11});
  timeline.follow(2 * 960, Sequence{12});
  for (std::uint32_t i = 3; i < 7; ++i) timeline.follow(i * 960 + 400, Sequence{10 + i});
  CHECK(timeline.sequence_of(7 * 960 + 400 + 100) == Sequence{18});  // 500 off the old grid
  timeline.follow(7 * 960 + 400, Sequence{17});
  CHECK(timeline.sequence_of(8 * 960 + 400 + 100) == Sequence{18});  // 100 off the new one
}

TEST_CASE("stamps that jitter do not move the grid") {
  RtpTimeline timeline{20};
  timeline.anchor(0, Sequence{10});
  const std::uint32_t off[] = {300, 100, 300, 100, 300, 100};
  for (std::uint32_t i = 1; i <= 6; ++i) timeline.follow(i * 960 + off[i - 1], Sequence{10 + i});
  CHECK(timeline.sequence_of(7 * 960 + 479) == Sequence{17});
  CHECK(timeline.sequence_of(7 * 960 + 480) == Sequence{18});
}

}  // namespace
}  // namespace tiercast::publish::media_clock_test
