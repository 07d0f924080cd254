// A listener's player: packets in as they come, samples out at an even pace. Knows no file, no audio device and no
// clock.
#pragma once

#include "relay/receive/jitter_buffer.hpp"
#include "relay/receive/opus_decoder.hpp"
#include "relay/receive/sample_stretch.hpp"

namespace tiercast::receive {

/// Jitter buffer, decoder and stretching together.
class SamplePlayer {
 public:
  /// `channels`: 1 or 2, as the decoder's.
  SamplePlayer(const JitterBufferConfig& config, int channels);

  JitterBuffer& buffer() { return buffer_; }
  const JitterBuffer& buffer() const { return buffer_; }
  /// What is to be heard from now on, some 20 ms of it, interleaved; empty: nothing yet. Call until then.
  /// `pace`: how much slower than `now`'s clock the device plays: 0.001 is one sample in 1000.
  std::span<const std::int16_t> next(Time now, double pace = 0);
  /// The same without waiting, for what is left at the end.
  std::span<const std::int16_t> flush();
  const DecoderCounters& decoder_counters() const { return decoder_.counters(); }
  template <class F>
  void each(F&& f) const {
    buffer_.counters().each(f);
    f("player_samples_shortened", shortened_);  // by resampling
    f("player_samples_lengthened", lengthened_);
    decoder_.counters().each(f);
  }

 private:
  std::span<const std::int16_t> sound(const JitterTick& tick);
  void fade_over();
  JitterBuffer buffer_;
  Decoder decoder_;
  SampleStretch stretch_;
  std::vector<std::int16_t> tick_;
  std::vector<std::int16_t> left_out_;
  bool quiet_ = true;
  bool fade_ = false;  // from what was left out
  bool rested_ = false;
  Counter shortened_, lengthened_;
};

}  // namespace tiercast::receive
