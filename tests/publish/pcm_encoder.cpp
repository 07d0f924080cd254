#include "relay/publish/pcm_encoder.hpp"

#include <doctest/doctest.h>

#include "relay/publish/opus_packet.hpp"
#include "tests/publish/tone.hpp"
#include "tests/support/counting_allocator.hpp"

namespace tiercast::pcm_encoder_test {

using namespace tiercast::publish;
using namespace tiercast::test;

namespace {

constexpr std::uint8_t kFrameLengths[] = {10, 20, 40, 60};
constexpr std::uint8_t kChannels[] = {1, 2};

using Packets = std::vector<std::vector<std::uint8_t>>;

std::vector<std::uint8_t> s16le(const std::vector<float>& samples) {
  std::vector<std::uint8_t> out;
  for (const float sample : samples) {
    const auto value = static_cast<std::int16_t>(sample * 32767);
    out.push_back(static_cast<std::uint8_t>(value));
    out.push_back(static_cast<std::uint8_t>(value >> 8));
  }
  return out;
}

Packets encoded(const PcmFormat& format, const std::vector<std::uint8_t>& bytes, std::size_t piece,
                std::uint8_t frame_ms = 20) {
  PcmEncoder encoder{format, {}, frame_ms};
  Packets out;
  const auto drain = [&] {
    while (const auto packet = encoder.next()) out.emplace_back(packet->begin(), packet->end());
  };
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    encoder.push(Bytes{bytes}.subspan(at, std::min(piece, bytes.size() - at)));
    drain();
  }
  encoder.finish();
  drain();
  return out;
}

}  // namespace

TEST_CASE("samples in pieces of any size become the same packets") {
  const PcmFormat format{SampleFormat::s16le, 44100, 2};
  const auto bytes = s16le(tone({500, 700}, 44100, 44100 / 2));
  const Packets whole = encoded(format, bytes, PcmEncoder::kMaxPush);
  CHECK(whole.size() == 26);  // half a second, and what the encoder holds back
  for (const std::size_t piece : {1, 3, 4, 1001, 8192}) CHECK(encoded(format, bytes, piece) == whole);
}

TEST_CASE("all of the input is in the packets: the last one is filled up with silence, and the lookahead pushed out") {
  for (const std::uint8_t frame_ms : kFrameLengths)
    for (const std::size_t samples : {std::size_t{1}, std::size_t{648}, std::size_t{649}, std::size_t{48000}}) {
      CAPTURE(frame_ms);
      CAPTURE(samples);
      const auto packets = encoded({}, s16le(tone({500}, 48000, samples)), 4096, frame_ms);
      const std::size_t frame = std::size_t{frame_ms} * 48;
      CHECK(packets.size() == (samples + 312 + frame - 1) / frame);
    }
  CHECK(encoded({}, {}, 1).empty());
  CHECK(encoded({}, {7}, 1).empty());  // half a sample
}

TEST_CASE("a sample that is cut in the middle at the end is dropped") {
  const PcmFormat format{SampleFormat::s24le, 8000, 2};
  std::vector<std::uint8_t> bytes(6 * 800, 1);
  const Packets whole = encoded(format, bytes, 100);
  bytes.insert(bytes.end(), 5, 0x7f);
  CHECK(encoded(format, bytes, 100) == whole);
}

TEST_CASE("mono stays mono, and stereo stereo") {
  for (const std::uint8_t channels : kChannels) {
    const PcmFormat format{SampleFormat::s16le, 16000, channels};
    const auto frequencies = channels == 1 ? std::vector<double>{500} : std::vector<double>{500, 900};
    const auto packets = encoded(format, s16le(tone(frequencies, 16000, 16000)), 3000);
    CHECK(parse_opus(packets[20])->channels == channels);
  }
}

TEST_CASE("after construction nothing is allocated, until the end") {
  PcmEncoder encoder{{SampleFormat::s16le, 8000, 1}, {}, 60};
  const std::vector<std::uint8_t> bytes(PcmEncoder::kMaxPush, 3);
  const AllocationCount allocations;
  for (int i = 0; i < 5; ++i) {
    encoder.push(bytes);
    while (encoder.next()) {
    }
  }
  const auto count = allocations.count();
  CHECK(count == 0);
}

}  // namespace tiercast::pcm_encoder_test
