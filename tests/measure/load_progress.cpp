#include "relay/measure/load_progress.hpp"

#include <doctest/doctest.h>

namespace tiercast::measure::load_progress_test {
namespace {

TEST_CASE("what everybody should have is what came some time ago") {
  LoadProgress progress;
  CHECK(progress.settled(Time{1s}).value == 0);
  for (std::uint64_t s = 1; s <= 100; ++s) progress.on_frame(Sequence{1000 + s}, Time{s * 20ms});
  CHECK(progress.first() == Sequence{1001});
  CHECK(progress.highest() == Sequence{1100});
  CHECK(progress.last_at() == Time{2s});
  CHECK(progress.settled(Time{2s}) == Sequence{1085});  // came 300 ms ago
  CHECK(progress.settled(Time{2s + 1ms}) == Sequence{1085});
  CHECK(progress.settled(Time{10s}) == Sequence{1100});
}

TEST_CASE("a burst, old frames and copies move nothing back") {
  LoadProgress progress;
  progress.on_frame(Sequence{5}, Time{1s});
  for (std::uint64_t s = 6; s < 400; ++s) progress.on_frame(Sequence{s}, Time{1s + 1ms});
  progress.on_frame(Sequence{7}, Time{2s});
  CHECK(progress.highest() == Sequence{399});
  CHECK(progress.last_at() == Time{1s + 1ms});
  CHECK(progress.settled(Time{1s + 200ms}).value == 0);
  CHECK(progress.settled(Time{3s}) == Sequence{399});
}

TEST_CASE("frames of 10 ms and less do not push out what is to be told") {
  LoadProgress progress;
  for (std::uint64_t s = 1; s <= 1000; ++s) progress.on_frame(Sequence{s}, Time{s * 5ms});
  CHECK(progress.settled(Time{5s}) == Sequence{940});
}

}  // namespace
}  // namespace tiercast::measure::load_progress_test
