#include "relay/node/load.hpp"

#include <doctest/doctest.h>

namespace tiercast::load_test {

using namespace tiercast::node;

TEST_CASE("load: until it is measured there is room, and nobody says how much") {
  LoadJudge judge;
  for (int i = 0; i < 1000; ++i) judge.installed();
  CHECK(judge.has_room(20ms));
  CHECK_FALSE(judge.room(20ms));
}

TEST_CASE("load: room is what is left of the time at what a listener costs") {
  LoadJudge judge;
  judge.told({.share = 0.3, .listener_ns = 1000, .installed = 0});
  // 52 datagrams a second of 1 µs each: 9615 listeners take half of the time.
  CHECK(judge.room(20ms) == 9615);
  CHECK(judge.room(60ms) == 26785);
  CHECK(judge.has_room(20ms));
}

TEST_CASE("load: who stands by is room that may be needed at once") {
  LoadJudge judge;
  judge.told({.share = 0.3, .listener_ns = 1000, .installed = 0, .standing_by = 10000, .standing_by_share = 0.52});
  CHECK(judge.share(20ms) == doctest::Approx(0.3));
  CHECK(judge.share_taken_up(20ms) == doctest::Approx(0.82));
  REQUIRE(judge.room(20ms));  // 13 % at 52 datagrams of 1 µs
  CHECK(*judge.room(20ms) >= 2499);
  CHECK(*judge.room(20ms) <= 2500);
  judge.told({.share = 0.45, .listener_ns = 1000, .installed = 0, .standing_by = 9620, .standing_by_share = 0.5});
  CHECK_FALSE(judge.has_room(20ms));
  CHECK(judge.room(20ms) == 0);
  judge.told({.share = 0.75, .listener_ns = 1000, .installed = 0, .standing_by = 1, .standing_by_share = 0.00005});
  CHECK(judge.room(20ms) == 961);  // those who are live are the bound
}

TEST_CASE("load: those who came since the worker spoke count at once, and no more when it has seen them") {
  LoadJudge judge;
  judge.told({.share = 0.79, .listener_ns = 1000, .installed = 0});
  for (int i = 0; i < 192; ++i) judge.installed();
  CHECK(judge.has_room(20ms));
  judge.installed();
  CHECK_FALSE(judge.has_room(20ms));
  CHECK(judge.room(20ms) == 0);
  judge.told({.share = 0.5, .listener_ns = 1000, .installed = 193});
  CHECK(judge.has_room(20ms));
  judge.told({.share = 0.8, .listener_ns = 1000, .installed = 193});
  CHECK_FALSE(judge.has_room(20ms));
}

}  // namespace tiercast::load_test
