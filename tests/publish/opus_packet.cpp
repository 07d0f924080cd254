#include "relay/publish/opus_packet.hpp"

#include <doctest/doctest.h>
#include <opus/opus.h>

#include <vector>

#include "tests/support/seeded_random.hpp"

namespace tiercast::publish::opus_packet_test {
namespace {

using Packet = std::vector<std::uint8_t>;

Packet packet(std::uint8_t toc, std::size_t more, std::uint8_t fill = 0) {
  Packet bytes(1 + more, fill);
  bytes[0] = toc;
  return bytes;
}

OpusError error(const Packet& bytes) {
  const auto parsed = parse_opus(bytes);
  REQUIRE_FALSE(parsed);
  return parsed.error();
}

TEST_CASE("the TOC byte's 32 configurations have libopus's lengths and channels") {
  for (unsigned toc = 0; toc < 256; toc += 4) {
    const Packet bytes = packet(static_cast<std::uint8_t>(toc), 10);
    const auto parsed = parse_opus(bytes);
    REQUIRE(parsed);
    CAPTURE(toc);
    CHECK(parsed->samples == static_cast<std::uint32_t>(opus_packet_get_samples_per_frame(bytes.data(), 48000)));
    CHECK(parsed->channels == opus_packet_get_nb_channels(bytes.data()));
  }
  CHECK(parse_opus(packet(0x08, 1))->duration() == 20ms);
  CHECK(parse_opus(packet(0x80, 1))->duration() == 2500us);
}

TEST_CASE("requirements R1 to R5 of RFC 6716, section 3.4") {
  CHECK(error({}) == OpusError::empty);
  CHECK(parse_opus(packet(0x08, 1275)));
  CHECK(error(packet(0x08, 1276)) == OpusError::frame_too_long);
  CHECK(parse_opus(packet(0x09, 20))->samples == 1920);
  CHECK(error(packet(0x09, 21)) == OpusError::uneven_halves);
  CHECK(error(packet(0x09, 2552)) == OpusError::frame_too_long);
  CHECK(parse_opus(Packet{0x0a, 2, 1, 1}));
  CHECK(error({0x0a}) == OpusError::second_frame);
  CHECK(error({0x0a, 252}) == OpusError::second_frame);
  CHECK(error({0x0a, 3, 1, 1}) == OpusError::second_frame);
  CHECK(error({0x0b}) == OpusError::frame_count);
  CHECK(error({0x0b, 0}) == OpusError::frame_count);
  CHECK(parse_opus(Packet{0x0b, 6})->samples == 5760);
  CHECK(error({0x0b, 7}) == OpusError::frame_count);
  CHECK(parse_opus(Packet{0x83, 48})->frames == 48);
  CHECK(error({0x83, 49}) == OpusError::frame_count);
}

TEST_CASE("requirements R6 and R7: code 3 with its padding") {
  CHECK(parse_opus(Packet{0x0b, 3, 1, 2, 3}));
  CHECK(error({0x0b, 3, 1, 2, 3, 4}) == OpusError::constant_length);
  CHECK(parse_opus(Packet{0x0b, 0x42, 1, 9, 9, 0}));
  CHECK(error({0x0b, 0x42, 3, 9, 9}) == OpusError::constant_length);
  CHECK(error({0x0b, 0x42}) == OpusError::constant_length);
  CHECK(error({0x0b, 0x42, 255}) == OpusError::constant_length);
  Packet padded{0x0b, 0x41, 255, 0};
  padded.resize(4 + 254);
  CHECK(parse_opus(padded));
  padded.pop_back();
  CHECK(error(padded) == OpusError::constant_length);
  CHECK(parse_opus(Packet{0x0b, 0x83, 1, 0, 7, 8, 8}));
  CHECK(error({0x0b, 0x83, 1}) == OpusError::variable_length);
  CHECK(error({0x0b, 0x83, 2, 2, 7, 7, 8}) == OpusError::variable_length);
  CHECK(error({0x0b, 0xc2, 1, 1, 0}) == OpusError::variable_length);
}

TEST_CASE("on random bytes the verdict is libopus's") {
  test::SeededRandom random{11};
  int valid = 0;
  for (int i = 0; i < 200'000; ++i) {
    Packet bytes(i % 50 == 0 ? random.below(3000) : random.below(24));
    random.fill(bytes);
    if (bytes.size() > 1 && i % 2 == 0) bytes[1] = static_cast<std::uint8_t>(bytes[1] & 0xc7);  // few frames
    const int frames = bytes.empty() ? OPUS_INVALID_PACKET
                                     : opus_packet_parse(bytes.data(), static_cast<opus_int32>(bytes.size()), nullptr,
                                                         nullptr, std::vector<opus_int16>(48).data(), nullptr);
    const auto parsed = parse_opus(bytes);
    CAPTURE(i);
    REQUIRE(parsed.has_value() == (frames > 0));
    if (!parsed) continue;
    ++valid;
    REQUIRE(parsed->frames == frames);
    REQUIRE(parsed->samples == static_cast<std::uint32_t>(opus_packet_get_nb_samples(
                                   bytes.data(), static_cast<opus_int32>(bytes.size()), 48000)));
  }
  CHECK(valid > 10'000);
}

}  // namespace
}  // namespace tiercast::publish::opus_packet_test
