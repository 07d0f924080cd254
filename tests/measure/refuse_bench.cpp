#include "relay/measure/refuse_bench.hpp"

#include <doctest/doctest.h>

namespace tiercast::refuse_bench_test {

using namespace tiercast::measure;

TEST_CASE("a node reads forged joins as the bare loop does, and of junk nothing") {
  const auto measured = measure_refusal({.datagrams = 1000, .rounds = 2});
  REQUIRE_MESSAGE(measured, (measured ? "" : measured.error().text));
  REQUIRE(measured->size() == 4);
  const auto& bare = (*measured)[0];
  const auto& node = (*measured)[1];
  const auto& bare_junk = (*measured)[2];
  const auto& node_junk = (*measured)[3];
  CHECK(bare.receiver == "bare");
  CHECK(node.receiver == "node");
  CHECK(bare_junk.receiver == "bare-junk");
  CHECK(node_junk.receiver == "node-junk");
  for (const RefuseMeasurement& m : *measured) CHECK(m.sent == 2000);
  // So few fit into the sockets' queues.
  for (const auto& m : {bare, node, bare_junk}) CHECK(m.received == 2000);
  CHECK(node_junk.received == 0);
  CHECK_FALSE(bare.rate_of_bare);
  CHECK_FALSE(bare_junk.rate_of_bare);
  CHECK(node.rate_of_bare);
  CHECK(node_junk.rate_of_bare);
}

TEST_CASE("a flood of nothing is refused") {
  for (const RefuseBench& bench : {RefuseBench{.datagrams = 0}, RefuseBench{.rounds = 0}}) {
    const auto measured = measure_refusal(bench);
    REQUIRE_FALSE(measured);
    CHECK(measured.error().exit_code == 64);
  }
}

TEST_CASE("what a refusal costs is one line of JSON, the ratio only where there is one") {
  RefuseMeasurement m{"bare", 100, 90, {1000, 900, 1100}, std::nullopt};
  CHECK(to_json(m) ==
        R"({"receiver":"bare","sent":100,"received":90,"cpu_ns_per_datagram":1000.0,"cpu_ns_per_datagram_min":900.0,)"
        R"("cpu_ns_per_datagram_max":1100.0,"datagrams_per_second_and_core":1000000})");
  m.rate_of_bare = 0.875;
  CHECK(to_json(m).ends_with(R"(,"rate_of_bare":0.8750})"));
  CHECK(to_text({m}).find("0.875") != std::string::npos);
}

}  // namespace tiercast::refuse_bench_test
