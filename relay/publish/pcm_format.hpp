// What raw samples look like as bytes. Knows nothing of files.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace tiercast::publish {

inline constexpr std::uint32_t kOpusRate = 48000;  // Hz, of everything that goes into the encoder
inline constexpr std::uint32_t kMinSampleRate = 8000;
inline constexpr std::uint32_t kMaxSampleRate = 192000;

/// Little-endian, signed.
enum class SampleFormat : std::uint8_t { s16le, s24le, s32le, f32le };

inline constexpr std::size_t bytes_of(SampleFormat format) {
  switch (format) {
    case SampleFormat::s16le: return 2;
    case SampleFormat::s24le: return 3;
    case SampleFormat::s32le:
    case SampleFormat::f32le: break;
  }
  return 4;
}

struct PcmFormat {
  SampleFormat format = SampleFormat::s16le;
  std::uint32_t rate = kOpusRate;  // Hz, kMinSampleRate to kMaxSampleRate
  std::uint8_t channels = 1;       // or 2, interleaved
  /// Bytes of one sample of every channel.
  std::size_t block() const { return bytes_of(format) * channels; }
  bool operator==(const PcmFormat&) const = default;
};

}  // namespace tiercast::publish
