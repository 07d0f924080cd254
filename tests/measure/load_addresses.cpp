#include "relay/measure/load_addresses.hpp"

#include <doctest/doctest.h>

namespace tiercast::measure::load_addresses_test {
namespace {

LoadAddresses range(const char* first, unsigned prefix) { return {*parse_endpoint(first), prefix}; }

TEST_CASE("an IPv4 prefix has neither its network's address nor its broadcast address") {
  const LoadAddresses a = range("10.64.0.0:4900", 30);
  CHECK(a.size() == 2);
  CHECK(to_string(a.at(0)) == "10.64.0.1:4900");
  CHECK(to_string(a.at(1)) == "10.64.0.2:4900");
  CHECK(a.index_of(parse_endpoint("10.64.0.1:1")->ip) == 0u);
  CHECK(a.index_of(parse_endpoint("10.64.0.2:1")->ip) == 1u);
  for (const char* nobody : {"10.64.0.0:1", "10.64.0.3:1", "10.63.255.255:1", "10.64.0.4:1", "[::10.64.0.1]:1"})
    CHECK_FALSE(a.index_of(parse_endpoint(nobody)->ip));
  CHECK(a.text() == "10.64.0.0/30");
}

TEST_CASE("a lone address is one listener's") {
  const LoadAddresses v4 = range("192.0.2.7:1", 32), v6 = range("[2001:db8::7]:1", 128);
  CHECK(v4.size() == 1);
  CHECK(to_string(v4.at(0)) == "192.0.2.7:1");
  CHECK(v4.index_of(v4.at(0).ip) == 0u);
  CHECK_FALSE(v4.index_of(parse_endpoint("192.0.2.8:1")->ip));
  CHECK(v6.size() == 1);
  CHECK(v6.index_of(v6.at(0).ip) == 0u);
  CHECK(v6.text() == "2001:db8::7/128");
}

TEST_CASE("two addresses of a /31 are both a network's ends: nobody's") { CHECK(range("10.0.0.0:1", 31).size() == 0); }

TEST_CASE("an IPv6 prefix, also one with more addresses than are counted") {
  const LoadAddresses a = range("[fd00:1::]:5", 64);
  CHECK(a.size() == 0xffffffff);
  CHECK(to_string(a.at(0)) == "[fd00:1::1]:5");
  CHECK(to_string(a.at(99'999)) == "[fd00:1::1:86a0]:5");
  CHECK(a.index_of(parse_endpoint("[fd00:1::1:86a0]:9")->ip) == 99'999u);
  CHECK(a.index_of(a.at(0xfffffffe).ip) == 0xfffffffeu);
  for (const char* nobody : {"[fd00:1::]:1", "[fd00:2::1]:1", "[fd00:1::1:0:0:1]:1", "[fd00::ffff:ffff:ffff:ffff]:1"})
    CHECK_FALSE(a.index_of(parse_endpoint(nobody)->ip));
  CHECK(range("[fd00::]:1", 126).size() == 3);
  CHECK(range("[fd00::]:1", 10).size() == 0xffffffff);
}

TEST_CASE("property: every address of a prefix leads back to its listener, across all bytes") {
  for (const auto& a : {range("10.64.0.0:1", 15), range("[fd00:9::ff:0:0]:1", 111)}) {
    REQUIRE(a.size() >= 100'000);
    for (std::uint32_t i = 0; i < 100'000; i += 251) {
      REQUIRE(a.index_of(a.at(i).ip) == i);
      REQUIRE(a.at(i).port == 1);
    }
  }
}

}  // namespace
}  // namespace tiercast::measure::load_addresses_test
