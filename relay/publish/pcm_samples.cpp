#include "relay/publish/pcm_samples.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "relay/base/bytes.hpp"

namespace tiercast::publish {

namespace {

/// Of 2^31 as full scale.
float scaled(std::uint64_t bits) { return static_cast<float>(static_cast<std::int32_t>(bits)) * 0x1.0p-31f; }

}  // namespace

void to_float(Bytes bytes, SampleFormat format, std::span<float> out) {
  const std::uint8_t* at = bytes.data();
  switch (format) {
    case SampleFormat::s16le:
      for (float& sample : out) sample = scaled(load_le<2>(std::exchange(at, at + 2)) << 16);
      break;
    case SampleFormat::s24le:
      for (float& sample : out) sample = scaled(load_le<3>(std::exchange(at, at + 3)) << 8);
      break;
    case SampleFormat::s32le:
      for (float& sample : out) sample = scaled(load_le<4>(std::exchange(at, at + 4)));
      break;
    case SampleFormat::f32le:
      for (float& sample : out) {
        const float value = std::bit_cast<float>(static_cast<std::uint32_t>(load_le<4>(std::exchange(at, at + 4))));
        sample = std::isnan(value) ? 0.0F : std::clamp(value, -1.0F, 1.0F);  // one NaN would stay in every filter
      }
      break;
  }
}

}  // namespace tiercast::publish
