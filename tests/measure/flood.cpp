#include "relay/measure/flood.hpp"

#include <doctest/doctest.h>

#include <set>

#include "relay/wire/packets.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::flood_test {

using namespace tiercast::measure;

TEST_CASE("forged joins are well-formed, of the time that was asked for, and all different") {
  test::SeededRandom random{1};
  std::set<wire::Cookie> cookies;
  for (const auto& datagram : make_flood(Flood::bad_cookies, 77, 20, random)) {
    const auto join = wire::parse_join(datagram);
    REQUIRE(join);
    CHECK(join->version == wire::kVersion);
    CHECK(join->challenge.issued == 77);
    CHECK(join->challenge.wait == 0);
    CHECK(join->challenge.difficulty == 0);
    cookies.insert(join->challenge.cookie);
  }
  CHECK(cookies.size() == 20);
}

TEST_CASE("junk is of a join's length, and nothing that a public port takes") {
  test::SeededRandom random{1};
  const auto joins = make_flood(Flood::bad_cookies, 0, 1, random);
  for (const auto& datagram : make_flood(Flood::junk, 0, 20, random)) {
    CHECK(datagram.size() == joins.front().size());
    CHECK_FALSE(wire::parse_join(datagram));
    CHECK_FALSE(wire::parse_hello(datagram));
    CHECK_FALSE(wire::parse_control(datagram));
  }
}

}  // namespace tiercast::flood_test
