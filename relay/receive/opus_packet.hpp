// What the sinks need to know of an Opus packet (RFC 6716 §3), asked of libopus, and packets that stand for silence.
#pragma once

#include <opus/opus.h>

#include <algorithm>
#include <optional>

#include "relay/base/inline_vector.hpp"
#include "relay/base/types.hpp"

namespace tiercast::receive {

inline constexpr unsigned kOpusRate = 48000;

/// Length in samples at 48 kHz; nullopt: not a packet that a decoder takes (RFC 6716 §3.4).
inline std::optional<unsigned> opus_samples(Bytes packet) {
  if (packet.empty()) return std::nullopt;
  const auto length = static_cast<opus_int32>(packet.size());
  unsigned char toc = 0;
  opus_int16 sizes[48];
  const int frames = opus_packet_parse(packet.data(), length, &toc, nullptr, sizes, nullptr);
  if (frames <= 0) return std::nullopt;
  return static_cast<unsigned>(frames * opus_packet_get_samples_per_frame(packet.data(), kOpusRate));
}

inline int opus_channels(std::uint8_t toc) { return (toc & 0x04) != 0 ? 2 : 1; }

/// Whether the packet carries in-band FEC for the one before it: the LBRR flag of its first SILK frame (RFC 6716
/// §2.1.7, §4.2.3). A hint, which the decoder need not share.
inline bool opus_has_fec(Bytes packet) {
  if (packet.empty() || (packet[0] & 0x80) != 0) return false;  // CELT only has none
  unsigned char toc = 0;
  const unsigned char* frames[48];
  opus_int16 sizes[48];
  const auto length = static_cast<opus_int32>(packet.size());
  if (opus_packet_parse(packet.data(), length, &toc, frames, sizes, nullptr) <= 0 || sizes[0] == 0) return false;
  // A voice activity flag for each 20 ms (or one of 10), then this one; then the same of the second channel.
  const int each = std::max(1, opus_packet_get_samples_per_frame(packet.data(), kOpusRate) / 960);
  const bool first = (frames[0][0] >> (7 - each) & 1) != 0;
  return first || (opus_channels(toc) == 2 && (frames[0][0] >> (6 - 2 * each) & 1) != 0);
}

/// The shortest packet there is, of one byte and 2.5 ms: fullband CELT, one frame without bytes (RFC 6716 §3.1).
constexpr std::uint8_t opus_shortest(bool stereo) { return static_cast<std::uint8_t>(28 << 3 | (stereo ? 0x04 : 0)); }

using ConcealmentPacket = InlineVector<std::uint8_t, 2>;

/// A packet of `samples` (at most 120 ms, a multiple of the mode's frame) whose frames have no bytes: a decoder
/// conceals. Mode and channels are those of the packet before it, as RFC 7845 §4.1 asks. Empty: it cannot be made.
inline ConcealmentPacket opus_concealment(std::uint8_t toc, unsigned samples) {
  ConcealmentPacket out;
  const auto each = static_cast<unsigned>(opus_packet_get_samples_per_frame(&toc, kOpusRate));
  const unsigned frames = samples / each;
  if (frames == 0 || samples % each != 0 || samples > kOpusRate * 120 / 1000) return out;
  const auto mode = static_cast<std::uint8_t>(toc & 0xfc);
  if (frames <= 2) {
    out.push_back(static_cast<std::uint8_t>(mode | (frames - 1)));  // code 0: one frame; 1: two of equal length
  } else {
    out.push_back(static_cast<std::uint8_t>(mode | 3));  // code 3, constant length, no padding
    out.push_back(static_cast<std::uint8_t>(frames));
  }
  return out;
}

}  // namespace tiercast::receive
