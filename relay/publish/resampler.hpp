// Samples of any rate to 48 kHz. Must not know: formats, what becomes of them.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "relay/publish/pcm_format.hpp"

struct SpeexResamplerState_;

namespace tiercast::publish {

/// By libspeexdsp: of Debian's three it is the one made for a stream in real time. It takes any ratio, gives each
/// sample as soon as its filter can (libsoxr works in blocks of some 100 ms), allocates at construction only, and has
/// the free licence of libopus (libsamplerate would do too, at several times the work).
class Resampler {
 public:
  /// rate: kMinSampleRate to kMaxSampleRate; channels: 1 or 2, interleaved.
  Resampler(std::uint32_t rate, std::uint8_t channels);
  ~Resampler();

  /// Appends to `out` what `in` (of whole blocks) makes ready; the last few ms wait for what follows them.
  void push(std::span<const float> in, std::vector<float>& out);
  /// Appends the rest: as much in all as came, rounded up to whole samples. Nothing may follow.
  void finish(std::vector<float>& out);
  /// The most samples, all channels together, that `in` such ones are appended as.
  std::size_t most(std::size_t in) const;

 private:
  void run(std::span<const float> in, std::uint64_t limit, std::vector<float>& out);
  struct Destroy {
    void operator()(SpeexResamplerState_* state) const;
  };
  const std::uint32_t rate_;
  const std::uint8_t channels_;
  std::unique_ptr<SpeexResamplerState_, Destroy> state_;  // none for 48 kHz
  std::uint64_t in_ = 0;                                  // samples of each channel so far
  std::uint64_t out_ = 0;
};

}  // namespace tiercast::publish
