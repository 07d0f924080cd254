#include "relay/publish/pcm_samples.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

namespace tiercast::publish {

namespace {

template <std::size_t N>
std::uint32_t little_endian(const std::uint8_t* at) {
  std::uint32_t out = 0;
  for (std::size_t i = N; i-- > 0;) out = out << 8 | at[i];
  return out;
}

/// Of 2^31 as full scale.
float scaled(std::uint32_t bits) { return static_cast<float>(static_cast<std::int32_t>(bits)) * 0x1.0p-31f; }

}  // namespace

void to_float(Bytes bytes, SampleFormat format, std::span<float> out) {
  const std::uint8_t* at = bytes.data();
  switch (format) {
    case SampleFormat::s16le:
      for (float& sample : out) sample = scaled(little_endian<2>(std::exchange(at, at + 2)) << 16);
      break;
    case SampleFormat::s24le:
      for (float& sample : out) sample = scaled(little_endian<3>(std::exchange(at, at + 3)) << 8);
      break;
    case SampleFormat::s32le:
      for (float& sample : out) sample = scaled(little_endian<4>(std::exchange(at, at + 4)));
      break;
    case SampleFormat::f32le:
      for (float& sample : out) {
        const float value = std::bit_cast<float>(little_endian<4>(std::exchange(at, at + 4)));
        sample = std::isnan(value) ? 0.0F : std::clamp(value, -1.0F, 1.0F);  // one NaN would stay in every filter
      }
      break;
  }
}

}  // namespace tiercast::publish
