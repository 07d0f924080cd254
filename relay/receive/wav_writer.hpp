// Samples as bytes: raw s16le, and the header that makes them a WAV file. Produces bytes; knows no file.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "relay/base/types.hpp"

namespace tiercast::receive {

inline constexpr std::size_t kWavHeader = 44;
using WavHeader = std::array<std::uint8_t, kWavHeader>;

/// RIFF/WAVE, 16 bit PCM at 48 kHz. `data`: bytes of samples that follow. Absent (a pipe, or a file that still grows),
/// or more than the format's 32 bits can say (4 GB: 6 hours of stereo): both sizes are 0xffffffff, which players take
/// for "until the file ends".
WavHeader make_wav_header(int channels, std::optional<std::uint64_t> data);

/// The samples' bytes, little-endian, in `buffer`, which is given their size.
Bytes to_s16le(std::span<const std::int16_t> samples, std::vector<std::uint8_t>& buffer);

}  // namespace tiercast::receive
