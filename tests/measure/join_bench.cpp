#include "relay/measure/join_bench.hpp"

#include <doctest/doctest.h>

namespace tiercast::join_bench_test {

using namespace tiercast::measure;

TEST_CASE("every join goes through at a real node, whose CPU time is told by thread") {
  const auto measured = measure_joins({.joins = 20, .rounds = 3, .in_flight = 4});
  REQUIRE_MESSAGE(measured, (measured ? "" : measured.error().text));
  CHECK(measured->in_flight == 4);
  CHECK(measured->joins == 60);
  CHECK(measured->feed_ns_per_join.min > 0);
  CHECK(measured->worker_ns_per_join.min > 0);
  CHECK(measured->cpu_ns_per_join.min >= measured->feed_ns_per_join.min);
  CHECK(measured->handshake_ns.min > 0);
  CHECK(measured->wall_ns_per_join.min > 0);
}

TEST_CASE("more joins than a node remembers cookies are refused before it is started") {
  const auto refused = [](const JoinBench& bench) {
    const auto measured = measure_joins(bench);
    REQUIRE_FALSE(measured);
    CHECK(measured.error().exit_code == 64);
    return measured.error().text;
  };
  CHECK(refused({.joins = 10000, .rounds = 6}).find("60000") != std::string::npos);
  refused({.joins = 0});
  refused({.rounds = 0});
  refused({.in_flight = 0});
}

TEST_CASE("what a join costs is one line of JSON") {
  JoinMeasurement m;
  m.in_flight = 8;
  m.joins = 100;
  m.cpu_ns_per_join = {125000, 100000, 200000};
  m.feed_ns_per_join = {100000, 90000, 150000};
  m.worker_ns_per_join = {25000, 10000, 50000};
  m.handshake_ns = {80000, 79000, 81000};
  m.wall_ns_per_join = {160000, 150000, 170000};
  const std::string json = to_json(m);
  CHECK(json.starts_with(R"({"in_flight":8,"joins":100,"repeated":0,"cpu_ns_per_join":125000.0,)"));
  CHECK(json.ends_with(R"(,"joins_per_second":6250,"joins_per_second_and_core":8000})"));
  CHECK(json.find('\n') == std::string::npos);
  CHECK(to_text(m).find("8000") != std::string::npos);
}

}  // namespace tiercast::join_bench_test
