// Makes a stretch of samples a little shorter or longer without a seam. Knows no packet and no clock.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tiercast::receive {

/// Resampling by a windowed sinc, a tick at a time, from one whole sample to another: so a tick that is to stay as it
/// is goes through bit for bit, also right behind one that did not, which libspeexdsp's resampler with its running
/// phase and delay cannot do. What is put out lags by kHalf samples (a third of a millisecond).
class SampleStretch {
 public:
  static constexpr std::size_t kHalf = 16;

  /// `samples`: of a tick and channel, more than 2 × kHalf. `channels`: interleaved.
  SampleStretch(std::size_t samples, std::size_t channels);

  /// `tick` (samples × channels) becomes `shorter` samples shorter; negative: longer; at most half of it. The first
  /// one lacks the lag. Valid until the next call.
  std::span<const std::int16_t> apply(std::span<const std::int16_t> tick, int shorter);
  /// What the lag holds back.
  std::span<const std::int16_t> rest() const;

 private:
  void resample(std::size_t made);
  const std::size_t samples_, channels_;
  std::vector<std::int16_t> in_;   // the last 2 × kHalf samples before the tick, and it
  std::vector<std::int16_t> out_;  // room for one and a half ticks
  bool begun_ = false;
};

}  // namespace tiercast::receive
