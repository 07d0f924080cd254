#include "relay/measure/threads_bench.hpp"

#include <doctest/doctest.h>

namespace tiercast::threads_bench_test {

using namespace tiercast::measure;

TEST_CASE("one thread and several send to every destination, the same number of datagrams") {
  FanOutBench bench;
  bench.destinations = 1501;  // shares of different sizes, of more than one batch
  bench.frames = 3;
  bench.rounds = 2;
  const auto measured = measure_threads(bench, 2);
  REQUIRE_MESSAGE(measured, (measured ? "" : measured.error().text));
  CHECK(measured->threads == 2);
  CHECK(measured->destinations == 1501);
  CHECK(measured->datagrams == 1501 * 3 * 2 * 2);
  CHECK(measured->errors == 0);
  CHECK(measured->one_per_second.min > 0);
  CHECK(measured->all_per_second.min > 0);
  CHECK(measured->speedup > 0);
  CHECK(measured->cpu_ratio > 0);
  CHECK(measured->one_cpus > 0);
  CHECK(measured->all_cpus > 0);
}

TEST_CASE("threads that cannot be measured are refused with what would be right") {
  const auto refused = [](auto change, std::uint32_t threads = 2) {
    FanOutBench bench;
    change(bench);
    const auto measured = measure_threads(bench, threads);
    REQUIRE_FALSE(measured);
    CHECK(measured.error().exit_code == 64);
    return measured.error().text;
  };
  CHECK(refused([](FanOutBench& b) { b.prefix = 24; }).find("wider") != std::string::npos);
  CHECK(refused([](FanOutBench& b) { b.payload = 1233; }).find("1232") != std::string::npos);
  refused([](FanOutBench& b) { b.destinations = 1; });
  refused([](FanOutBench& b) { b.frames = 0; });
  refused([](FanOutBench& b) { b.rounds = 0; });
  refused([](FanOutBench&) {}, 1);
}

TEST_CASE("what several threads did is one line of JSON, and a text for people") {
  const ThreadsMeasurement m{2, 10, 100, 1, {500'000, 1, 2}, {950'000, 3, 4}, 1.9, 1.05, 0.99, 1.97};
  CHECK(
      to_json(m) ==
      R"({"backend":"sendmmsg","threads":2,"destinations":10,"datagrams":100,"errors":1,)"
      R"("one_per_second":500000,"all_per_second":950000,"speedup":1.900,"cpu_ratio":1.050,"one_cpus":0.99,"all_cpus":1.97})");
  CHECK(to_text(m).find("1.90 times as many, at 1.05 of the CPU") != std::string::npos);
}

}  // namespace tiercast::threads_bench_test
