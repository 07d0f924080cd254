#include "relay/receive/sample_stretch.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <numbers>

namespace tiercast::receive {

SampleStretch::SampleStretch(std::size_t samples, std::size_t channels)
    : samples_(samples),
      channels_(channels),
      in_((samples + 2 * kHalf) * channels),
      out_((samples + samples / 2) * channels) {
  assert(samples > 2 * kHalf);
}

std::span<const std::int16_t> SampleStretch::apply(std::span<const std::int16_t> tick, int shorter) {
  assert(tick.size() == samples_ * channels_);
  std::copy(in_.end() - static_cast<std::ptrdiff_t>(2 * kHalf * channels_), in_.end(), in_.begin());
  std::copy(tick.begin(), tick.end(), in_.begin() + static_cast<std::ptrdiff_t>(2 * kHalf * channels_));
  const int half = static_cast<int>(samples_ / 2);
  const auto made = static_cast<std::size_t>(static_cast<int>(samples_) - std::clamp(shorter, -half, half));
  if (made == samples_) {
    std::copy_n(in_.begin() + static_cast<std::ptrdiff_t>(kHalf * channels_), samples_ * channels_, out_.begin());
  } else {
    resample(made);
  }
  const auto out = std::span<const std::int16_t>{out_}.first(made * channels_);
  if (begun_) return out;
  begun_ = true;
  return out.subspan(kHalf * channels_);  // nothing was before
}

void SampleStretch::resample(std::size_t made) {
  std::array<double, 2 * kHalf> taps{};
  for (std::size_t i = 0; i < made; ++i) {
    const std::size_t whole = i * samples_ / made;
    const double part = static_cast<double>(i * samples_ % made) / static_cast<double>(made);
    // sinc(t) = sin(πt) / πt at t = tap - part, under Hann's window; sin(π(k - p)) is ± sin(πp).
    const double sine = std::sin(std::numbers::pi * part);
    for (std::size_t k = 0; k < taps.size(); ++k) {
      const double t = static_cast<double>(k) - static_cast<double>(kHalf - 1) - part;
      const double sign = (k + kHalf) % 2 == 0 ? 1 : -1;
      const double sinc = std::abs(t) < 1e-9 ? 1 : sign * sine / (std::numbers::pi * t);
      const double c = std::cos(std::numbers::pi * t / (2 * kHalf));
      taps[k] = sinc * c * c;
    }
    for (std::size_t channel = 0; channel < channels_; ++channel) {
      double sum = 0;
      for (std::size_t k = 0; k < taps.size(); ++k) sum += taps[k] * in_[(whole + 1 + k) * channels_ + channel];
      out_[i * channels_ + channel] = static_cast<std::int16_t>(std::clamp(std::lround(sum), -32768L, 32767L));
    }
  }
}

std::span<const std::int16_t> SampleStretch::rest() const {
  return begun_ ? std::span{in_}.last(kHalf * channels_) : std::span<const std::int16_t>{};
}

}  // namespace tiercast::receive
