// Addresses as text: what is written is read back, and nothing else is taken.
#include "relay/base/endpoint.hpp"

#include <doctest/doctest.h>

#include "tests/support/hex.hpp"

namespace tiercast::endpoint_test {
namespace {

TEST_CASE("an address is read back as it was written") {
  for (const char* text : {"192.0.2.1:4800", "0.0.0.0:0", "255.255.255.255:65535", "[::]:4800", "[2001:db8::1]:4800",
                           "[fe80::1%3]:4800", "[::1]:1"}) {
    const auto endpoint = parse_endpoint(text);
    REQUIRE(endpoint);
    CHECK(to_string(*endpoint) == text);
  }
}

TEST_CASE("IPv4 is held mapped, and is one address in both spellings") {
  const auto endpoint = parse_endpoint("192.0.2.1:4800");
  REQUIRE(endpoint);
  CHECK(endpoint->is_v4());
  CHECK(test::hex(endpoint->ip) == "00000000000000000000ffffc0000201");
  CHECK(endpoint->port == 4800);
  CHECK(parse_endpoint("[::ffff:192.0.2.1]:4800") == endpoint);
  CHECK_FALSE(parse_endpoint("[2001:db8::1]:4800")->is_v4());
  CHECK_FALSE(parse_endpoint("[::192.0.2.1]:4800")->is_v4());
}

TEST_CASE("addresses differ by address, port and scope") {
  CHECK(parse_endpoint("192.0.2.1:4800") != parse_endpoint("192.0.2.1:4801"));
  CHECK(parse_endpoint("192.0.2.1:4800") != parse_endpoint("192.0.2.2:4800"));
  CHECK(parse_endpoint("[fe80::1%2]:1") != parse_endpoint("[fe80::1%3]:1"));
}

TEST_CASE("what is no address with a port is refused") {
  for (const char* text : {"",
                           ":",
                           "192.0.2.1",
                           "192.0.2.1:",
                           ":4800",
                           "192.0.2.1:65536",
                           "192.0.2.1:-1",
                           "192.0.2.1:48 00",
                           "192.0.2.1:4800 ",
                           " 192.0.2.1:4800",
                           "192.0.2.1:0x10",
                           "192.0.2:4800",
                           "256.0.2.1:4800",
                           "2001:db8::1:4800",
                           "[2001:db8::1]",
                           "[2001:db8::1]4800",
                           "[2001:db8::1:4800",
                           "[]:4800",
                           "[::1%]:4800",
                           "[::1%x]:4800",
                           "[::1%4294967296]:1",
                           "relay.example.net:4800",
                           "[192.0.2.1%1]:4800"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_endpoint(text));
  }
}

TEST_CASE("a name and its port are split, and an IPv6 address without brackets is refused") {
  const auto named = split_host_port("relay-1.example.net:4800");
  REQUIRE(named);
  CHECK(named->host == "relay-1.example.net");
  CHECK(named->port == 4800);
  CHECK(split_host_port("[2001:db8::1]:0")->host == "2001:db8::1");
  for (const char* text : {"2001:db8::1:4800", "name", "name:", ":1", "name:65536", "name:1x", "[name:1", "name:+1"}) {
    CAPTURE(text);
    CHECK_FALSE(split_host_port(text));
  }
}

}  // namespace
}  // namespace tiercast::endpoint_test
