// Played ticks into samples at 48 kHz, by libopus: for every tick exactly one frame length, whatever came. Knows no
// file and no audio device.
#pragma once

#include <opus/opus.h>

#include <memory>
#include <vector>

#include "relay/base/counter.hpp"
#include "relay/receive/opus_packet.hpp"
#include "relay/receive/playout.hpp"

namespace tiercast::receive {

struct DecoderCounters {
  Counter packets, recovered, concealed, silent, refused;
  template <class F>
  void each(F&& f) const {
    f("decoder_packets", packets);
    f("decoder_recovered", recovered);  // lost, and taken from the in-band FEC of the packet after it
    f("decoder_concealed", concealed);
    f("decoder_silent", silent);
    f("decoder_refused", refused);  // no Opus packet of the group's frame length: concealed
  }
};

/// A lost tick is recovered from the next packet's FEC, where that is here and has some; else libopus conceals it. So
/// it does an empty one, which is what a decoder does in discontinuous transmission: speech fades into the background's
/// noise. After kConcealed of nothing the rest is silence, and the decoder starts anew, as a discontinuity makes it do.
class Decoder {
 public:
  /// An encoder in discontinuous transmission refreshes the noise every 400 ms; who is away for longer has stopped.
  static constexpr std::chrono::milliseconds kConcealed{1000};

  /// `channels`: of the output, 1 or 2. What is coded otherwise is mixed down, or doubled.
  Decoder(std::chrono::milliseconds frame, int channels);

  /// The tick's samples, those of the channels interleaved; valid until the next call.
  std::span<const std::int16_t> decode(const Played& played);
  int channels() const { return channels_; }
  const DecoderCounters& counters() const { return counters_; }

 private:
  struct Destroy {
    void operator()(::OpusDecoder* decoder) const { opus_decoder_destroy(decoder); }
  };
  bool run(Bytes packet, bool fec);
  bool recover(const Played& played);
  void conceal();
  void restart();
  void fade_out();

  const int channels_;
  const unsigned samples_;  // of a tick and channel
  const unsigned most_;     // ticks to conceal in a row
  unsigned gap_;            // ticks since the last packet, up to most_
  bool celt_ = false;       // the last packet's mode was CELT only
  std::unique_ptr<::OpusDecoder, Destroy> decoder_;
  std::vector<std::int16_t> pcm_;
  DecoderCounters counters_;
};

}  // namespace tiercast::receive
