#include "relay/publish/opus_encoder.hpp"

#include <doctest/doctest.h>
#include <opus/opus.h>

#include "relay/publish/opus_packet.hpp"
#include "tests/publish/tone.hpp"
#include "tests/support/counting_allocator.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::opus_encoder_test {

using namespace tiercast::publish;
using namespace tiercast::test;
using publish::Encoder;  // not the one that a neighbour includes

namespace {

constexpr std::uint8_t kFrameLengths[] = {10, 20, 40, 60};
constexpr std::uint8_t kChannels[] = {1, 2};

/// A voice as far as libopus is concerned: a sawtooth of 120 Hz that swells four times a second.
std::vector<float> voice(std::size_t samples, std::uint8_t channels) {
  std::vector<float> out;
  for (std::size_t i = 0; i < samples; ++i) {
    const double t = static_cast<double>(i) / 48000;
    const double saw = 2 * (120 * t - std::floor(120 * t)) - 1;
    const double swell = 0.5 - 0.5 * std::cos(2 * std::numbers::pi * 4 * t);
    for (std::uint8_t c = 0; c < channels; ++c) out.push_back(static_cast<float>(0.4 * saw * swell));
  }
  return out;
}

std::vector<float> noise(std::size_t samples) {
  SeededRandom random{3};
  std::vector<float> out;
  for (std::size_t i = 0; i < samples; ++i)
    out.push_back(static_cast<float>(static_cast<double>(random.below(65536)) / 32768 - 1));
  return out;
}

std::vector<std::vector<std::uint8_t>> encoded(Encoder& encoder, const std::vector<float>& samples) {
  std::vector<std::vector<std::uint8_t>> out;
  for (std::size_t at = 0; at + encoder.frame_size() <= samples.size(); at += encoder.frame_size()) {
    const Bytes packet = encoder.encode(std::span{samples}.subspan(at, encoder.frame_size()));
    out.emplace_back(packet.begin(), packet.end());
  }
  return out;
}

}  // namespace

TEST_CASE("every packet has the group's frame length and the input's channels, and fits") {
  for (const std::uint8_t frame_ms : kFrameLengths)
    for (const std::uint8_t channels : kChannels)
      for (const std::uint32_t bitrate : {kMinBitrate, 32000U, greatest_bitrate(frame_ms)}) {
        CAPTURE(frame_ms);
        CAPTURE(channels);
        CAPTURE(bitrate);
        Encoder encoder{Encoding{bitrate}, channels, frame_ms};
        REQUIRE(encoder.frame_size() == std::size_t{frame_ms} * 48 * channels);
        // Noise, at the greatest bitrate, fills packets as nothing else does.
        const auto packets = encoded(encoder, noise(std::size_t{48000} * channels));
        for (const auto& packet : packets) {
          REQUIRE(packet.size() <= wire::kMaxOpus);
          const auto opus = parse_opus(packet);
          REQUIRE(opus);
          CHECK(opus->samples == std::uint32_t{frame_ms} * 48);
        }
        if (bitrate >= 32000) CHECK(parse_opus(packets.back())->channels == channels);
      }
}

TEST_CASE("the bitrate is what was asked for, by default 32 kbit/s for mono and 64 for stereo") {
  const auto rate = [](const Encoding& encoding, std::uint8_t channels) {
    Encoder encoder{encoding, channels, 20};
    std::size_t bytes = 0;
    for (const auto& packet : encoded(encoder, noise(std::size_t{96000} * channels))) bytes += packet.size();
    return static_cast<double>(bytes) * 8 / 2;  // of two seconds
  };
  CHECK(rate({}, 1) == doctest::Approx(32000).epsilon(0.25));
  CHECK(rate({}, 2) == doctest::Approx(64000).epsilon(0.25));
  CHECK(rate({16000U}, 1) == doctest::Approx(16000).epsilon(0.25));
  CHECK(rate({128000U}, 2) == doctest::Approx(128000).epsilon(0.25));
}

TEST_CASE("speech is encoded with FEC for the packet before where that is asked for") {
  const auto samples = voice(96000, 1);
  const auto with_fec = [&](const Encoding& encoding) {
    Encoder encoder{encoding, 1, 20};
    std::size_t coded = 0;
    for (const auto& packet : encoded(encoder, samples)) {
      // RFC 6716 §4.2.3: SILK and hybrid packets begin with voice activity, then LBRR. One 20 ms frame: the second bit.
      if ((packet[0] & 0x80) == 0 && (packet[0] & 3) == 0 && (packet[1] & 0x40) != 0) ++coded;
    }
    return coded;
  };
  Encoding on;
  on.fec = true;
  CHECK(with_fec(on) > 0);
  Encoding lossy = on;
  lossy.expected_loss = 15;
  CHECK(with_fec(lossy) > 50);
  CHECK(with_fec({}) == 0);
}

TEST_CASE("what is encoded is heard again, after the lookahead") {
  for (const std::uint8_t channels : kChannels) {
    CAPTURE(channels);
    Encoder encoder{Encoding{96000U}, channels, 20};
    const auto packets = encoded(
        encoder, tone(channels == 1 ? std::vector<double>{1000} : std::vector<double>{1000, 2000}, 48000, 48000));
    int error = 0;
    OpusDecoder* decoder = opus_decoder_create(48000, channels, &error);
    std::vector<float> heard;
    for (const auto& packet : packets) {
      std::vector<float> frame(encoder.frame_size());
      CHECK(opus_decode_float(decoder, packet.data(), static_cast<opus_int32>(packet.size()), frame.data(), 960, 0) ==
            960);
      heard.insert(heard.end(), frame.begin(), frame.end());
    }
    opus_decoder_destroy(decoder);
    CHECK(encoder.lookahead() == 312);
    const std::span middle = std::span{heard}.subspan(std::size_t{4800} * channels, std::size_t{38400} * channels);
    CHECK(strength(middle, 0, channels, 1000, 48000) == doctest::Approx(0.5).epsilon(0.1));
    if (channels == 2) CHECK(strength(middle, 1, 2, 2000, 48000) == doctest::Approx(0.5).epsilon(0.1));
  }
}

TEST_CASE("encoding allocates nothing") {
  Encoder encoder{{}, 2, 60};
  const auto samples = tone({300, 400}, 48000, 2880);
  encoder.encode(samples);
  const AllocationCount allocations;
  for (int i = 0; i < 20; ++i) encoder.encode(samples);
  const auto count = allocations.count();
  CHECK(count == 0);
}

}  // namespace tiercast::opus_encoder_test
