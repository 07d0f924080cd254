#include "relay/publish/opus_encoder.hpp"

#include <opus/opus.h>

#include <cassert>
#include <new>

namespace tiercast::publish {

void Encoder::Destroy::operator()(::OpusEncoder* encoder) const { opus_encoder_destroy(encoder); }

Encoder::Encoder(const Encoding& encoding, std::uint8_t channels, std::uint8_t frame_ms)
    : channels_(channels), frame_size_(std::size_t{frame_ms} * (kOpusRate / 1000) * channels) {
  assert(channels == 1 || channels == 2);
  int error = OPUS_OK;
  // Broadcast, not telephony: libopus hears by itself what is speech, and codes it as such.
  encoder_.reset(opus_encoder_create(static_cast<opus_int32>(kOpusRate), channels, OPUS_APPLICATION_AUDIO, &error));
  if (error != OPUS_OK) throw std::bad_alloc();
  const std::uint32_t bitrate = encoding.bitrate.value_or(channels == 2 ? kStereoBitrate : kMonoBitrate);
  const auto set = [&](auto... request) {
    [[maybe_unused]] const int status = opus_encoder_ctl(encoder_.get(), request...);
    assert(status == OPUS_OK);
  };
  set(OPUS_SET_BITRATE(static_cast<opus_int32>(bitrate)));
  set(OPUS_SET_COMPLEXITY(encoding.complexity));
  set(OPUS_SET_INBAND_FEC(encoding.fec ? 1 : 0));
  set(OPUS_SET_PACKET_LOSS_PERC(encoding.fec ? encoding.expected_loss : 0));
  opus_int32 lookahead = 0;
  set(OPUS_GET_LOOKAHEAD(&lookahead));
  lookahead_ = static_cast<std::size_t>(lookahead);
}

Encoder::~Encoder() = default;

Bytes Encoder::encode(std::span<const float> samples) {
  assert(samples.size() == frame_size_);
  const int length = opus_encode_float(encoder_.get(), samples.data(), static_cast<int>(samples.size() / channels_),
                                       packet_.data(), static_cast<opus_int32>(packet_.size()));
  return Bytes{packet_}.first(static_cast<std::size_t>(length > 0 ? length : 0));
}

}  // namespace tiercast::publish
