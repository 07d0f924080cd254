#include "relay/sim/clock.hpp"

#include <doctest/doctest.h>

#include "relay/sim/random.hpp"

namespace tiercast::sim::clock_test {

TEST_CASE("clock: when() is the moment at which the clock shows a time, for clocks of any drift") {
  SeededRandom random{1};
  for (const std::int64_t ppm : {0, 1, 200, -200, 50'000, -50'000}) {
    const Clock clock{.offset = 17h + 3ns, .wall_offset = -2s, .drift_ppm = ppm};
    for (int i = 0; i < 1000; ++i) {
      const Time own = clock.mono(kBegin) + random.up_to(10h);
      const Time world = clock.when(own);
      CHECK(clock.mono(world) >= own);
      CHECK(clock.mono(world - 2us) < own);
    }
  }
}

TEST_CASE("clock: it drifts by its parts in a million, and the wall clock with it") {
  const Clock fast{.offset = 1h, .wall_offset = 3s, .drift_ppm = 100};
  const Moment at = fast.at(kBegin + 1h);
  CHECK(at.mono - kBegin == 1h + 1h + 360ms);
  CHECK(at.wall - kBeginWall == 3s + 1h + 360ms);
  CHECK(Clock{}.at(kBegin + 1h).wall - kBeginWall == 1h);
  CHECK(fast.when(kNever) == kNever);
}

}  // namespace tiercast::sim::clock_test
