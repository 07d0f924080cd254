#include "relay/receive/opus_decoder.hpp"

#include <cassert>
#include <new>

namespace tiercast::receive {

Decoder::Decoder(std::chrono::milliseconds frame, int channels)
    : channels_(channels),
      samples_(static_cast<unsigned>(frame.count()) * kOpusRate / 1000),
      most_(static_cast<unsigned>(kConcealed / frame)),
      gap_(most_),
      pcm_(static_cast<std::size_t>(samples_) * static_cast<std::size_t>(channels)) {
  assert(frame == 10ms || frame == 20ms || frame == 40ms || frame == 60ms);
  assert(channels == 1 || channels == 2);
  int error = 0;
  decoder_.reset(opus_decoder_create(static_cast<opus_int32>(kOpusRate), channels, &error));
  if (error != OPUS_OK) throw std::bad_alloc();
}

std::span<const std::int16_t> Decoder::decode(const Played& played) {
  if (played.discontinuity) restart();
  if (played.kind == PlayedKind::frame) {
    if (opus_samples(played.opus) == samples_ && run(played.opus, false)) {
      counters_.packets.add();
      celt_ = (played.opus[0] & 0x80) != 0;
      gap_ = 0;
      return pcm_;
    }
    counters_.refused.add();
  } else if (recover(played)) {
    counters_.recovered.add();
    gap_ = 0;
    return pcm_;
  }
  conceal();
  return pcm_;
}

/// No packet: libopus conceals. False: it would not take it, and the samples are nobody's.
bool Decoder::run(Bytes packet, bool fec) {
  const int got =
      opus_decode(decoder_.get(), packet.empty() ? nullptr : packet.data(), static_cast<opus_int32>(packet.size()),
                  pcm_.data(), static_cast<int>(samples_), fec ? 1 : 0);
  return got == static_cast<int>(samples_);
}

/// After CELT libopus conceals and does not look at a packet's FEC.
bool Decoder::recover(const Played& played) {
  return played.kind == PlayedKind::lost && !celt_ && opus_samples(played.next_opus) == samples_ &&
         opus_has_fec(played.next_opus) && run(played.next_opus, true);
}

void Decoder::conceal() {
  if (gap_ == most_ || !run({}, false)) {
    std::fill(pcm_.begin(), pcm_.end(), std::int16_t{0});
    return counters_.silent.add();
  }
  counters_.concealed.add();
  if (++gap_ < most_) return;
  fade_out();
  restart();
}

void Decoder::restart() {
  opus_decoder_ctl(decoder_.get(), OPUS_RESET_STATE);
  celt_ = false;
  gap_ = most_;  // nothing is known that could go on
}

void Decoder::fade_out() {
  const auto size = static_cast<std::int64_t>(pcm_.size());
  for (std::int64_t i = 0; i < size; ++i) {
    std::int16_t& sample = pcm_[static_cast<std::size_t>(i)];
    sample = static_cast<std::int16_t>(sample * (size - 1 - i) / size);
  }
}

}  // namespace tiercast::receive
