// What `tiercast status` says of a group with two origins.
#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "relay/cli/status_judgement.hpp"
#include "relay/cli/status_text.hpp"
#include "tests/cli/status_fixture.hpp"

namespace tiercast::status_origins_test {

using namespace tiercast::cli;
using namespace tiercast::test;
using Json = nlohmann::ordered_json;

namespace {

bool says(const Snapshot& s, const std::string& what) {
  for (const Line& line : status_lines({s, nullptr})) {
    std::string text;
    for (const Piece& piece : line) text += piece.text;
    CHECK(text.size() <= kStatusColumns);
    if (text == what) return true;
  }
  return false;
}

Snapshot aligned(const std::string& by, std::int64_t off = 0) {
  Snapshot s = origin();
  s.groups[0].align = Snapshot::Align{2, by, "live", {}, off};
  return s;
}

}  // namespace

TEST_CASE("status: at a relay which source is active, and how the other one does") {
  Snapshot s = relay();
  s.groups[0].sources = {{1, true, true, 3.0}, {2, false, true, 5.0}};
  CHECK(says(s, "  main: source 1 active, 2 ready"));
  s.groups[0].sources = {{1, false, false, 12'000.0}, {2, true, true, 5.0}};
  CHECK(says(s, "  main: source 1 silent 12 s, 2 active"));
  s.groups[0].sources = {{1, true, true, 3.0}, {2, false, false, std::nullopt}};
  CHECK(says(s, "  main: source 1 active, 2 not heard here"));
  CHECK(judge({s, nullptr}).empty());
}

TEST_CASE("status: at an origin how its numbers stand to the other one's") {
  CHECK(says(aligned("announcement"), "  main: numbered as source 2, by announcement"));
  CHECK(says(aligned("payloads"), "  main: numbered as source 2, by payloads"));
  CHECK(judge({aligned("payloads"), nullptr}).empty());
  CHECK(says(aligned("seeking"), "  main: not numbered as source 2 yet"));
  CHECK(says(aligned("seeking", -7), "  main: source 2 is -7 frames off, which it has to mend"));
  CHECK(says(aligned("alone"), "  main: alone: source 2 is not there"));
}

TEST_CASE("judge: an origin without the other one is told of, with what to do") {
  Snapshot s = aligned("alone");
  s.groups[0].align->state = "joining";
  auto all = judge({s, nullptr});
  REQUIRE(all.size() == 1);
  CHECK(all[0].wrong == Wrong::not_aligned);
  CHECK(all[0].text == "group main: the origin of source 2 is not there");
  s.groups[0].align->state = "denied";
  s.groups[0].align->denied = "not allowed here";
  all = judge({s, nullptr});
  REQUIRE(all.size() == 1);
  CHECK(all[0].advice.find("not allowed here") != std::string::npos);
  all = judge({aligned("seeking", 3), nullptr});
  REQUIRE(all.size() == 1);
  CHECK(all[0].text == "group main: source 2 numbers its frames differently");
}

TEST_CASE("a snapshot has both sources and the alignment") {
  const auto read = read_snapshot(Json::parse(R"({"node": {}, "upstreams": [], "groups": [
    {"name": "main", "id": 1, "sources": [{"id": 1, "active": true, "newest": 9, "age_ms": 2.5, "good": true},
                                          {"id": 2, "active": false, "newest": 0, "age_ms": null, "good": false}]},
    {"name": "own", "id": 2, "align": {"source": 1, "by": "alone", "lives": false, "state": "denied", "denied": "no"}}]})"));
  REQUIRE(read);
  REQUIRE(read->groups[0].sources.size() == 2);
  CHECK(read->groups[0].sources[0].active);
  CHECK(read->groups[0].sources[0].age_ms == 2.5);
  CHECK_FALSE(read->groups[0].sources[1].age_ms);
  REQUIRE(read->groups[1].align);
  CHECK(read->groups[1].align->by == "alone");
  CHECK(read->groups[1].align->denied == "no");
  CHECK_FALSE(read->groups[1].align->aligned());
}

}  // namespace tiercast::status_origins_test
