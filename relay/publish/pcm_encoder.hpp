// Raw samples as bytes, in pieces of any size, into Opus packets. Must not know: files, RTP, time.
#pragma once

#include <optional>
#include <vector>

#include "relay/publish/opus_encoder.hpp"
#include "relay/publish/resampler.hpp"

namespace tiercast::publish {

class PcmEncoder {
 public:
  static constexpr std::size_t kMaxPush = 16384;  // bytes

  PcmEncoder(const PcmFormat& format, const Encoding& encoding, std::uint8_t frame_ms);

  /// At most kMaxPush bytes; once next() has nothing. Allocates nothing.
  void push(Bytes bytes);
  /// Nothing more comes: the last packet is filled up with silence. A sample that is not whole is dropped.
  void finish();
  /// A packet, valid until the next call.
  std::optional<Bytes> next();

 private:
  void convert(Bytes blocks);

  const PcmFormat format_;
  Resampler resampler_;
  Encoder encoder_;
  std::array<std::uint8_t, 8> partial_{};  // of a block
  std::size_t partial_size_ = 0;
  std::vector<float> in_;
  std::vector<float> out_;  // at 48 kHz
  std::size_t taken_ = 0;   // of it
  bool begun_ = false;      // there was a sample
};

}  // namespace tiercast::publish
