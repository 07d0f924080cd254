// What an Opus packet says of itself (RFC 6716 §3): how long it is, how many channels, and whether it is one at all.
// Must not know: the codec, RTP, the group's frame length.
#pragma once

#include <tl/expected.hpp>

#include "relay/base/types.hpp"

namespace tiercast::publish {

/// The requirement of RFC 6716 §3.4 that a packet breaks.
enum class OpusError : std::uint8_t {
  empty,            // R1
  frame_too_long,   // R2: an implicit frame length above 1,275 bytes
  uneven_halves,    // R3: code 1
  second_frame,     // R4: code 2
  frame_count,      // R5: code 3 with no frame, or with more than 120 ms
  constant_length,  // R6: code 3, all frames equal
  variable_length,  // R7: code 3, lengths stated
};

struct OpusPacket {
  std::uint32_t samples = 0;  // of the whole packet, per channel at 48 kHz
  std::uint8_t channels = 1;
  std::uint8_t frames = 1;
  Duration duration() const { return std::chrono::nanoseconds{std::int64_t{samples} * 1'000'000'000 / 48'000}; }
};

tl::expected<OpusPacket, OpusError> parse_opus(Bytes packet);

}  // namespace tiercast::publish
