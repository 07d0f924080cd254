#include "relay/net/xdp_packet.hpp"

#include <doctest/doctest.h>

#include <numeric>
#include <vector>

#include "relay/base/bytes.hpp"

namespace tiercast::xdp_packet_test {

using namespace tiercast::net;

namespace {

/// As RFC 1071 has it: 16-bit big-endian words, carries added at the end.
std::uint16_t plain_sum(Bytes data) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < data.size(); ++i) sum += i % 2 == 0 ? std::uint64_t{data[i]} << 8 : data[i];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}
/// As it lies in memory.
std::uint16_t in_memory(std::uint16_t big_endian) {
  std::array<std::uint8_t, 2> bytes{};
  store_be<2>(bytes.data(), big_endian);
  std::uint16_t out = 0;
  std::memcpy(&out, bytes.data(), 2);
  return out;
}

}  // namespace

TEST_CASE("the sum of parts is RFC 1071's, of even and odd lengths") {
  const std::vector<std::uint8_t> example{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};  // RFC 1071 §3
  CHECK(checksum_part(example) == in_memory(0xddf2));
  CHECK(checksum_part(Bytes{}) == 0);
  std::vector<std::uint8_t> data(1232);
  std::iota(data.begin(), data.end(), std::uint8_t{200});
  for (std::size_t size = 0; size <= data.size(); ++size)
    REQUIRE(checksum_part(Bytes{data}.first(size)) == in_memory(plain_sum(Bytes{data}.first(size))));
  const std::vector<std::uint8_t> ones(1232, 0xff);
  CHECK(checksum_part(ones) == 0xffff);
}

TEST_CASE("an address's sum is of 4 bytes where it is IPv4") {
  CHECK(checksum_part(parse_endpoint("192.0.2.1:0")->ip) == in_memory(0xc001 + 0x0200));  // 0xc000 + 0x0201
  CHECK(checksum_part(parse_endpoint("[2001:db8::1]:0")->ip) == in_memory(0x2001 + 0x0db8 + 1));
}

TEST_CASE("a destination is read back as it was put in") {
  for (const char* text : {"192.0.2.1:4800", "[2001:db8::1]:65535", "255.255.255.254:1"}) {
    const Endpoint to = *parse_endpoint(text);
    const xdp_destination entry = make_xdp_destination(to, 7);
    CHECK(endpoint_of(entry) == to);
    CHECK(entry.way == 7);
  }
}

TEST_CASE("the headers' constant parts") {
  const std::vector<std::uint8_t> payload(180, 1);
  const auto words = [](const xdp_call& call) {
    std::array<std::uint8_t, 12> out{};
    std::memcpy(out.data(), call.header, out.size());
    return out;
  };
  const xdp_call v4 = make_xdp_call(false, payload, {4800, 64, 184});
  CHECK(v4.mode == XDP_MODE_IPV4);
  CHECK(words(v4) == std::array<std::uint8_t, 12>{0x45, 184, 0, 208, 0, 0, 0x40, 0, 64, 17, 0, 0});
  const xdp_call v6 = make_xdp_call(true, payload, {4800, 63, 184});
  CHECK(v6.mode == XDP_MODE_IPV6);
  CHECK(words(v6) == std::array<std::uint8_t, 12>{0x6b, 0x80, 0, 0, 0, 188, 17, 63, 0, 0, 0, 0});
  CHECK(v6.source_port == in_memory(4800));
  CHECK(v6.udp_length == in_memory(188));
}

}  // namespace tiercast::xdp_packet_test
