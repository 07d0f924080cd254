#include "relay/measure/fanout_bench.hpp"

#include <doctest/doctest.h>

namespace tiercast::fanout_bench_test {

using namespace tiercast::measure;

TEST_CASE("every backend sends to every destination, and each one's cost is told beside the floor's") {
  FanOutBench bench;
  bench.destinations = 1500;  // more than one batch
  bench.frames = 2;
  bench.rounds = 3;
  bench.backends = {"sendto", "floor", "sendmmsg", "sendmmsg-wildcard"};
  const auto measured = measure_fan_out(bench);
  REQUIRE_MESSAGE(measured, (measured ? "" : measured.error().text));
  REQUIRE(measured->size() == 4);
  for (std::size_t i = 0; i < 4; ++i) {
    const FanOutMeasurement& m = (*measured)[i];
    CHECK(m.backend == bench.backends[i]);
    CHECK(m.destinations == 1500);
    CHECK(m.datagrams == 1500 * 2 * 3);
    CHECK(m.errors == 0);
    CHECK(m.cpu_ns_per_datagram.min > 0);
    CHECK(m.cpu_ns_per_datagram.min <= m.cpu_ns_per_datagram.median);
    CHECK(m.cpu_ns_per_datagram.median <= m.cpu_ns_per_datagram.max);
    CHECK(m.wall_ns_per_datagram.min > 0);
    REQUIRE(m.ratio_to_floor);
  }
  CHECK((*measured)[1].ratio_to_floor == 1.0);
}

TEST_CASE("without the floor there is no ratio to it") {
  FanOutBench bench;
  bench.destinations = 3;
  bench.frames = 1;
  bench.rounds = 1;
  bench.backends = {"sendmmsg"};
  const auto measured = measure_fan_out(bench);
  REQUIRE(measured);
  CHECK_FALSE(measured->front().ratio_to_floor);
}

TEST_CASE("a request that cannot be is refused with what would be right") {
  const auto text = [](auto change) {
    FanOutBench bench;
    change(bench);
    const auto measured = measure_fan_out(bench);
    REQUIRE_FALSE(measured);
    CHECK(measured.error().exit_code == 64);
    return measured.error().text;
  };
  CHECK(text([](FanOutBench& b) { b.backends = {"tcp"}; }).find("sendmmsg") != std::string::npos);
  CHECK(text([](FanOutBench& b) { b.prefix = 24; }).find("wider") != std::string::npos);
  CHECK(text([](FanOutBench& b) { b.payload = 1233; }).find("1232") != std::string::npos);
  text([](FanOutBench& b) { b.payload = 0; });
  text([](FanOutBench& b) { b.destinations = 0; });
  text([](FanOutBench& b) { b.frames = 0; });
  text([](FanOutBench& b) { b.rounds = 0; });
  text([](FanOutBench& b) { b.backends.clear(); });
}

TEST_CASE("the xdp backend is not measured where a part would go through the stack, as on loopback") {
  FanOutBench bench;
  bench.destinations = 3;
  bench.backends = {"floor", "xdp"};
  const auto measured = measure_fan_out(bench);
  REQUIRE_FALSE(measured);
  CHECK(measured.error().exit_code != 64);
  CHECK(measured.error().text.find("xdp: ") != std::string::npos);
}

TEST_CASE("a range's addresses are counted without its own and its broadcast address") {
  const Endpoint net = *parse_endpoint("127.0.0.0:0");
  CHECK(to_string(*nth_address(net, 8, 0)) == "127.0.0.1:0");
  CHECK(to_string(*nth_address(net, 8, 99999)) == "127.1.134.160:0");
  CHECK(to_string(*nth_address(net, 24, 253)) == "127.0.0.254:0");
  CHECK_FALSE(nth_address(net, 24, 254));
  CHECK(to_string(*nth_address(*parse_endpoint("10.0.0.255:0"), 23, 0)) == "10.0.1.0:0");  // carries
  const Endpoint one = *parse_endpoint("192.0.2.7:0");
  CHECK(to_string(*nth_address(one, 32, 0)) == "192.0.2.7:0");
  CHECK_FALSE(nth_address(one, 32, 1));
  CHECK_FALSE(nth_address(one, 31, 1));
  const Endpoint six = *parse_endpoint("[2001:db8::]:0");
  CHECK(to_string(*nth_address(six, 64, 65535)) == "[2001:db8::1:0]:0");
  CHECK(to_string(*nth_address(six, 0, 4294967294U)) == "[2001:db8::ffff:ffff]:0");
}

TEST_CASE("a measurement is one line of JSON, the ratio only where there is one") {
  FanOutMeasurement m{"floor", 10, 100, 1, {2.5, 1, 4}, {3, 2, 5}, std::nullopt};
  CHECK(to_json(m) == R"({"backend":"floor","destinations":10,"datagrams":100,"errors":1,"cpu_ns_per_datagram":2.5,)"
                      R"("cpu_ns_per_datagram_min":1.0,"cpu_ns_per_datagram_max":4.0,"wall_ns_per_datagram":3.0,)"
                      R"("wall_ns_per_datagram_min":2.0,"wall_ns_per_datagram_max":5.0})");
  m.ratio_to_floor = 1.03;
  CHECK(to_json(m).ends_with(R"(,"ratio_to_floor":1.0300})"));
  CHECK(to_text({m}).find("1.030") != std::string::npos);
}

}  // namespace tiercast::fanout_bench_test
