#include "relay/publish/rtp.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "tests/support/seeded_random.hpp"

namespace tiercast::publish::rtp_test {
namespace {

std::vector<std::uint8_t> header(std::uint8_t first, std::uint8_t second) {
  return {first, second, 0x12, 0x34, 0xde, 0xad, 0xbe, 0xef, 0xca, 0xfe, 0xba, 0xbe};
}

std::vector<std::uint8_t> with(std::vector<std::uint8_t> bytes, std::initializer_list<std::uint8_t> more) {
  bytes.insert(bytes.end(), more);
  return bytes;
}

std::vector<std::uint8_t> payload(const std::vector<std::uint8_t>& datagram) {
  const auto packet = parse_rtp(datagram);
  REQUIRE(packet);
  return {packet->payload.begin(), packet->payload.end()};
}

RtpError error(const std::vector<std::uint8_t>& datagram) {
  const auto packet = parse_rtp(datagram);
  REQUIRE_FALSE(packet);
  return packet.error();
}

TEST_CASE("every field of the fixed header is read") {
  const auto datagram = with(header(0x80, 0x80 | 97), {7, 8});
  const auto packet = parse_rtp(datagram);
  REQUIRE(packet);
  CHECK(packet->marker);
  CHECK(packet->payload_type == 97);
  CHECK(packet->sequence_number == 0x1234);
  CHECK(packet->timestamp == 0xdeadbeef);
  CHECK(packet->ssrc == 0xcafebabe);
  CHECK(payload(datagram) == std::vector<std::uint8_t>{7, 8});
  CHECK_FALSE(parse_rtp(header(0x80, 97))->marker);
}

TEST_CASE("CSRC list and extension are skipped, padding is removed") {
  CHECK(payload(with(header(0x82, 96), {1, 1, 1, 1, 2, 2, 2, 2, 9})) == std::vector<std::uint8_t>{9});
  CHECK(payload(with(header(0x90, 96), {0xbe, 0xde, 0, 1, 5, 5, 5, 5, 9})) == std::vector<std::uint8_t>{9});
  CHECK(payload(with(header(0x90, 96), {0xbe, 0xde, 0, 0, 9})) == std::vector<std::uint8_t>{9});
  CHECK(payload(with(header(0xa0, 96), {9, 9, 0, 2})) == std::vector<std::uint8_t>{9, 9});
  CHECK(payload(with(header(0xb1, 96), {1, 1, 1, 1, 0, 0, 0, 1, 5, 5, 5, 5, 9, 1})) == std::vector<std::uint8_t>{9});
  CHECK(payload(with(header(0xa0, 96), {0, 2})).empty());
}

TEST_CASE("what the header promises must be there") {
  CHECK(error({}) == RtpError::truncated);
  CHECK(error({0x80}) == RtpError::truncated);
  auto whole = header(0x80, 96);
  CHECK(parse_rtp(whole));
  whole.pop_back();
  CHECK(error(whole) == RtpError::truncated);
  CHECK(error(with(header(0x82, 96), {1, 1, 1, 1, 2, 2, 2})) == RtpError::truncated);
  CHECK(error(with(header(0x90, 96), {0, 0, 0})) == RtpError::truncated);
  CHECK(error(with(header(0x90, 96), {0, 0, 0, 2, 5, 5, 5, 5, 6, 6, 6})) == RtpError::truncated);
  CHECK(error(with(header(0x90, 96), {0, 0, 0xff, 0xff})) == RtpError::truncated);
  CHECK(error(with(header(0xa0, 96), {9, 0})) == RtpError::padding);
  CHECK(error(with(header(0xa0, 96), {9, 3})) == RtpError::padding);
  CHECK(error(header(0xa0, 96)) == RtpError::padding);
  CHECK(error(header(0x40, 96)) == RtpError::version);
  CHECK(error(header(0xc0, 96)) == RtpError::version);
}

TEST_CASE("dynamic payload types are taken, RTCP is told apart, the rest is refused") {
  for (unsigned type = 0; type < 128; ++type) {
    for (unsigned marker : {0u, 0x80u}) {
      const auto packet = parse_rtp(header(0x80, static_cast<std::uint8_t>(marker | type)));
      CAPTURE(type);
      if (type >= 96)
        CHECK(packet.has_value());
      else if (type >= 64)
        CHECK(packet.error() == RtpError::rtcp);
      else
        CHECK(packet.error() == RtpError::payload_type);
    }
  }
  CHECK(error({0x81, 200, 0, 1, 0, 0, 0, 1}) == RtpError::rtcp);  // shorter than RTP's header
}

TEST_CASE("random bytes never give a payload outside of the datagram") {
  test::SeededRandom random{3};
  int parsed = 0;
  for (int i = 0; i < 50'000; ++i) {
    std::vector<std::uint8_t> bytes(random.below(60));
    random.fill(bytes);
    if (bytes.size() > 1 && i % 4 != 0) {
      bytes[0] = static_cast<std::uint8_t>(0x80 | (bytes[0] & 0x3f));
      bytes[1] = static_cast<std::uint8_t>(96 | (bytes[1] & 0x1f));
    }
    const auto packet = parse_rtp(bytes);
    if (!packet) continue;
    ++parsed;
    REQUIRE(packet->payload.size() + 12 <= bytes.size());
    REQUIRE(packet->payload.data() >= bytes.data() + 12);
    REQUIRE(packet->payload.data() + packet->payload.size() <= bytes.data() + bytes.size());
  }
  CHECK(parsed > 1000);
}

}  // namespace
}  // namespace tiercast::publish::rtp_test
