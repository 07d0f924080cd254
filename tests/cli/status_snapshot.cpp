#include "relay/cli/status_snapshot.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/cli/status_fixture.hpp"

namespace tiercast::status_snapshot_test {

using namespace tiercast::cli;
using namespace tiercast::test;
using Json = nlohmann::ordered_json;

TEST_CASE("a snapshot of a node that says less is read, the rest is as if nothing were wrong") {
  const auto read = read_snapshot(Json::parse(R"({"version": "0.1.0", "node": {"name": "edge", "id": "ab"},
      "listen": {"leases": 2, "max_leases": 9}, "upstreams": [{"address": "up:1", "state": "live"}],
      "groups": [{"name": "main", "id": 7, "tally": {"listeners": 3}, "counters": {"intake_frame": 5}},
                 {"name": "own", "id": 8, "sealed": 6, "last_frame_ms": 2.5, "input": {"kind": "rtp", "age_ms": null}}]})"));
  REQUIRE(read);
  CHECK(read->name == "edge");
  CHECK(read->listen->leases == 2);
  CHECK(read->parents.at(0).live());
  CHECK_FALSE(read->parents.at(0).round_trip_ms);
  CHECK(read->groups.at(0).listeners == 3);
  CHECK(read->groups.at(0).frames == 5);
  CHECK(read->groups.at(0).epoch_known);
  CHECK(read->groups.at(1).frames == 6);
  CHECK(read->groups.at(1).last_frame_ms == 2.5);
  CHECK_FALSE(read->groups.at(1).input->age_ms);
  CHECK(read->children.empty());
}

TEST_CASE("a listener's snapshot has the backend, whom it reaches how, and the load") {
  const auto read = read_snapshot(Json::parse(R"({"node": {}, "upstreams": [], "groups": [], "listen": {
    "backend": {"name": "xdp", "direct": 7, "detours": {"no_route": 1, "not_plain": 0, "unresolved": 2}},
    "load": {"share": 0.25, "full_at": 0.8, "standing_by": 3, "share_taken_up": 0.5,
             "full_taken_up_at": 0.95, "room": 9}}})"));
  REQUIRE(read);
  CHECK(read->listen->backend == "xdp");
  CHECK(read->listen->direct == 7);
  CHECK(read->listen->detours == std::vector<std::string>{"1 no_route", "2 unresolved"});
  CHECK(read->listen->load == 0.25);
  CHECK(read->listen->full_at == 0.8);
  CHECK(read->listen->room == 9);
  CHECK(read->listen->standing_by == 3);
  CHECK(read->listen->taken_up == 0.5);
  CHECK(read->listen->full_taken_up_at == 0.95);
  const auto plain = read_snapshot(Json::parse(R"({"node": {}, "upstreams": [], "groups": [], "listen": {
    "backend": {"name": "sendmmsg", "why": "as configured"}, "load": {"share": 0, "full_at": 0.8}}})"));
  REQUIRE(plain);
  CHECK(plain->listen->backend_why == "as configured");
  CHECK_FALSE(plain->listen->room);
}

TEST_CASE("the way of frames through a node is read where it says it") {
  const auto read = read_snapshot(Json::parse(R"({"node": {}, "upstreams": [], "groups": [], "listen": {"passage": {
      "hand_off": {"frames": 8, "p50_us": 60, "p99_us": 90, "max_us": 1500, "buckets": [{"up_to_us": 63, "frames": 8}]},
      "last_send": {"frames": 7, "p99_us": 2500}}}})"));
  REQUIRE(read);
  CHECK(read->listen->hand_off.frames == 8);
  CHECK(read->listen->hand_off.median_ms == 0.06);
  CHECK(read->listen->hand_off.p99_ms == 0.09);
  CHECK(read->listen->hand_off.most_ms == 1.5);
  CHECK(read->listen->first_send.frames == 0);
  CHECK(read->listen->last_send.frames == 7);
  CHECK(read->listen->last_send.p99_ms == 2.5);
}

TEST_CASE("what is no status is refused, not half read") {
  for (const char* text :
       {"{}", "[]", "7", R"({"node": 1, "upstreams": [], "groups": []})",
        R"({"node": {"name": 5}, "upstreams": [], "groups": []})", R"({"node": {}, "upstreams": [1], "groups": []})",
        R"({"node": {}, "upstreams": [], "groups": [{"counters": {"a": "b"}}]})",
        R"({"node": {}, "upstreams": [], "groups": [], "children": [{"loss": []}]})"}) {
    CAPTURE(text);
    CHECK_FALSE(read_snapshot(Json::parse(text)));
  }
}

TEST_CASE("an interval has rates of what rose within it, by the node's own clock") {
  Snapshot before = relay();
  before.counters["a"] = 10;
  Snapshot now = later(before, 500);
  now.counters["a"] = 30;
  now.counters["b"] = 5;
  const Interval status{now, &before};
  CHECK(status.per_second("a") == 40.0);
  CHECK(status.per_second("b") == 10.0);
  CHECK(status.per_second("c") == 0.0);
  CHECK_FALSE(status.per_second(3, 4));  // it began anew
  CHECK_FALSE(status.per_second(3, std::nullopt));
  CHECK_FALSE(Interval{now, nullptr}.per_second("a"));
  CHECK_FALSE(Interval{now, &now}.per_second("a"));
  CHECK(status.before(now.parents[1]) == &before.parents[1]);
  now.parents[1].address = "elsewhere:1";
  CHECK(status.before(now.parents[1]) == nullptr);
}

}  // namespace tiercast::status_snapshot_test
