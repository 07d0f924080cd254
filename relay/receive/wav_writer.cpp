#include "relay/receive/wav_writer.hpp"

#include <limits>
#include <string_view>

#include "relay/receive/opus_packet.hpp"

namespace tiercast::receive {

WavHeader make_wav_header(int channels, std::optional<std::uint64_t> data) {
  constexpr std::uint32_t kUnknown = std::numeric_limits<std::uint32_t>::max();
  constexpr std::uint32_t kBeforeData = kWavHeader - 8;  // what the RIFF chunk's size counts besides the samples
  constexpr std::uint32_t kBits = 16;
  const bool told = data && *data < kUnknown - kBeforeData;
  const auto frame = static_cast<std::uint32_t>(channels) * kBits / 8;
  WavHeader out{};
  std::size_t at = 0;
  const auto text = [&](std::string_view word) {
    for (char c : word) out[at++] = static_cast<std::uint8_t>(c);
  };
  const auto number = [&](std::uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out[at++] = static_cast<std::uint8_t>(value >> (8 * i));
  };
  text("RIFF");
  number(told ? static_cast<std::uint32_t>(*data) + kBeforeData : kUnknown, 4);
  text("WAVEfmt ");
  number(16, 4);  // bytes of this chunk
  number(1, 2);   // PCM
  number(static_cast<std::uint32_t>(channels), 2);
  number(kOpusRate, 4);
  number(kOpusRate * frame, 4);
  number(frame, 2);
  number(kBits, 2);
  text("data");
  number(told ? static_cast<std::uint32_t>(*data) : kUnknown, 4);
  return out;
}

Bytes to_s16le(std::span<const std::int16_t> samples, std::vector<std::uint8_t>& buffer) {
  buffer.resize(2 * samples.size());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const auto bits = static_cast<std::uint16_t>(samples[i]);
    buffer[2 * i] = static_cast<std::uint8_t>(bits);
    buffer[2 * i + 1] = static_cast<std::uint8_t>(bits >> 8);
  }
  return buffer;
}

}  // namespace tiercast::receive
