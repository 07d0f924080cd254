#include "relay/measure/seal_bench.hpp"

#include <doctest/doctest.h>

namespace tiercast::seal_bench_test {

using namespace tiercast::measure;

TEST_CASE("a frame's whole cost and that of each part are told, whatever the payload") {
  for (const std::uint32_t payload : {0U, 60U, 1080U}) {
    const auto measured = measure_seal({.payload = payload, .frames = 60, .rounds = 3});
    REQUIRE_MESSAGE(measured, (measured ? "" : measured.error().text));
    REQUIRE(measured->size() == 5);
    CHECK(measured->front().part == "frame");
    for (const SealMeasurement& m : *measured) {
      CHECK(m.payload == payload);
      CHECK(m.frames == 180);
      CHECK(m.cpu_ns_per_frame.min > 0);
      CHECK(m.cpu_ns_per_frame.min <= m.cpu_ns_per_frame.median);
      CHECK(m.cpu_ns_per_frame.median <= m.cpu_ns_per_frame.max);
    }
  }
}

TEST_CASE("a frame that nobody could seal is refused with what would be right") {
  const auto refused = [](const SealBench& bench) {
    const auto measured = measure_seal(bench);
    REQUIRE_FALSE(measured);
    CHECK(measured.error().exit_code == 64);
    return measured.error().text;
  };
  CHECK(refused({.payload = 1081}).find("1080") != std::string::npos);
  refused({.frames = 0});
  refused({.rounds = 0});
}

TEST_CASE("what sealing costs is one line of JSON") {
  const SealMeasurement m{"frame", 60, 100, {20000, 19000, 21000}};
  CHECK(to_json(m) == R"({"part":"frame","payload":60,"frames":100,"cpu_ns_per_frame":20000.0,)"
                      R"("cpu_ns_per_frame_min":19000.0,"cpu_ns_per_frame_max":21000.0,"frames_per_second":50000})");
  CHECK(to_text({m}).find("50000") != std::string::npos);
}

}  // namespace tiercast::seal_bench_test
