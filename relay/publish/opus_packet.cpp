// RFC 6716 §3.1 (TOC), §3.2 (packing), §3.4 (what a receiver must check).
#include "relay/publish/opus_packet.hpp"

#include <optional>

namespace tiercast::publish {

namespace {

constexpr std::size_t kMaxFrame = 1275;          // bytes, §3.4 R2
constexpr std::uint32_t kMaxSamples = 120 * 48;  // §3.4 R5

std::uint32_t samples_per_frame(std::uint8_t toc) {
  const unsigned config = toc >> 3;
  if (config >= 16) return 120u << (config & 3);             // CELT: 2.5, 5, 10, 20 ms
  if (config >= 12) return (config & 1) != 0 ? 960u : 480u;  // hybrid: 10, 20 ms
  constexpr std::array<std::uint32_t, 4> kSilk{480, 960, 1920, 2880};
  return kSilk[config & 3];
}

/// Takes a frame length (§3.2.1) off the front of `rest`.
std::optional<std::size_t> take_length(Bytes& rest) {
  if (rest.empty()) return std::nullopt;
  const std::size_t first = rest[0];
  if (first < 252) {
    rest = rest.subspan(1);
    return first;
  }
  if (rest.size() < 2) return std::nullopt;
  const std::size_t length = first + std::size_t{4} * rest[1];
  rest = rest.subspan(2);
  return length;
}

/// Removes code 3's padding (§3.2.5): its length bytes from the front, itself from the back.
bool take_padding(Bytes& rest) {
  std::size_t padding = 0;
  for (bool more = true; more;) {
    if (rest.empty()) return false;
    more = rest[0] == 255;
    padding += more ? 254 : rest[0];
    rest = rest.subspan(1);
  }
  if (padding > rest.size()) return false;
  rest = rest.first(rest.size() - padding);
  return true;
}

std::optional<OpusError> check_code_3(Bytes rest, OpusPacket& packet) {
  if (rest.empty()) return OpusError::frame_count;
  const std::uint8_t head = rest[0];
  rest = rest.subspan(1);
  const bool variable = (head & 0x80) != 0;
  const bool padded = (head & 0x40) != 0;
  packet.frames = head & 0x3f;
  packet.samples *= packet.frames;
  if (packet.frames == 0 || packet.samples > kMaxSamples) return OpusError::frame_count;
  const OpusError broken = variable ? OpusError::variable_length : OpusError::constant_length;
  if (padded && !take_padding(rest)) return broken;
  if (!variable) {
    if (rest.size() % packet.frames != 0) return broken;
    if (rest.size() / packet.frames > kMaxFrame) return OpusError::frame_too_long;
    return std::nullopt;
  }
  std::size_t stated = 0;  // every length but the last frame's, all before the first frame
  for (int i = 0; i + 1 < packet.frames; ++i) {
    const auto length = take_length(rest);
    if (!length) return broken;
    stated += *length;
  }
  if (stated > rest.size()) return broken;
  if (rest.size() - stated > kMaxFrame) return OpusError::frame_too_long;
  return std::nullopt;
}

}  // namespace

tl::expected<OpusPacket, OpusError> parse_opus(Bytes bytes) {
  if (bytes.empty()) return tl::unexpected(OpusError::empty);
  const std::uint8_t toc = bytes[0];
  Bytes rest = bytes.subspan(1);
  OpusPacket packet;
  packet.channels = (toc & 0x04) != 0 ? 2 : 1;
  packet.samples = samples_per_frame(toc);
  switch (toc & 3) {
    case 0:
      if (rest.size() > kMaxFrame) return tl::unexpected(OpusError::frame_too_long);
      break;
    case 1:
      packet.frames = 2;
      packet.samples *= 2;
      if (rest.size() % 2 != 0) return tl::unexpected(OpusError::uneven_halves);
      if (rest.size() / 2 > kMaxFrame) return tl::unexpected(OpusError::frame_too_long);
      break;
    case 2: {
      packet.frames = 2;
      packet.samples *= 2;
      const auto first = take_length(rest);
      if (!first || *first > rest.size()) return tl::unexpected(OpusError::second_frame);
      if (rest.size() - *first > kMaxFrame) return tl::unexpected(OpusError::frame_too_long);
      break;
    }
    default:
      if (const auto error = check_code_3(rest, packet)) return tl::unexpected(*error);
  }
  return packet;
}

}  // namespace tiercast::publish
