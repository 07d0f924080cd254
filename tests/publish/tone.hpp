// Tones to feed to what resamples and encodes, and what is heard of them.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <span>
#include <vector>

namespace tiercast::test {

/// Interleaved; channel c has the frequency frequencies[c].
inline std::vector<float> tone(std::vector<double> frequencies, std::uint32_t rate, std::size_t samples) {
  std::vector<float> out;
  out.reserve(samples * frequencies.size());
  for (std::size_t i = 0; i < samples; ++i)
    for (const double frequency : frequencies)
      out.push_back(static_cast<float>(
          0.5 * std::sin(2 * std::numbers::pi * frequency * static_cast<double>(i) / static_cast<double>(rate))));
  return out;
}

/// How strong a frequency is in every `step`th sample from `first` on: 0.5 for a tone of that amplitude (Goertzel's
/// sum).
inline double strength(std::span<const float> samples, std::size_t first, std::size_t step, double frequency,
                       std::uint32_t rate) {
  double real = 0;
  double imaginary = 0;
  std::size_t count = 0;
  for (std::size_t i = first; i < samples.size(); i += step, ++count) {
    const double angle = 2 * std::numbers::pi * frequency * static_cast<double>(count) / static_cast<double>(rate);
    real += samples[i] * std::cos(angle);
    imaginary += samples[i] * std::sin(angle);
  }
  return 2 * std::hypot(real, imaginary) / static_cast<double>(count);
}

}  // namespace tiercast::test
