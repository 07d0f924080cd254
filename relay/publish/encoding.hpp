// How samples are encoded: what an operator may choose. Knows nothing of the encoder.
#pragma once

#include <optional>

#include "relay/wire/limits.hpp"

namespace tiercast::publish {

inline constexpr std::uint32_t kMinBitrate = 6000;  // bit/s; libopus takes no other
inline constexpr std::uint32_t kMaxBitrate = 510000;
inline constexpr std::uint32_t kMonoBitrate = 32000;
inline constexpr std::uint32_t kStereoBitrate = 64000;

struct Encoding {
  std::optional<std::uint32_t> bitrate;  // kMinBitrate to kMaxBitrate; unset: kMonoBitrate or kStereoBitrate
  int complexity = 9;                    // 0 to 10
  bool fec = false;                      // in-band: a packet carries the one before it in brief
  int expected_loss = 5;                 // percent, for which FEC is made; above some 8 music is coded as speech, too
  bool operator==(const Encoding&) const = default;
};

/// What fills packets of the greatest length, or kMaxBitrate.
constexpr std::uint32_t greatest_bitrate(std::uint8_t frame_ms) {
  const auto full = static_cast<std::uint32_t>(wire::kMaxOpus * 8 * 1000 / frame_ms);
  return full < kMaxBitrate ? full : kMaxBitrate;
}

}  // namespace tiercast::publish
