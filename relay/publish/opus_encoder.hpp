// Samples at 48 kHz into Opus packets of the group's frame length, by libopus. Must not know: files, RTP, time.
#pragma once

#include <array>
#include <memory>
#include <span>

#include "relay/publish/encoding.hpp"
#include "relay/publish/pcm_format.hpp"

struct OpusEncoder;

namespace tiercast::publish {

class Encoder {
 public:
  /// channels: 1 or 2. frame_ms: 10, 20, 40 or 60.
  Encoder(const Encoding& encoding, std::uint8_t channels, std::uint8_t frame_ms);
  ~Encoder();

  /// Samples of a packet, all channels together.
  std::size_t frame_size() const { return frame_size_; }
  /// By how many samples of each channel what is decoded lags behind what was encoded.
  std::size_t lookahead() const { return lookahead_; }
  /// The packet for `samples`, frame_size() of them; at most kMaxOpus bytes, valid until the next call. Empty: libopus
  /// failed, for which there is no reason.
  Bytes encode(std::span<const float> samples);

 private:
  struct Destroy {
    void operator()(::OpusEncoder* encoder) const;
  };
  std::unique_ptr<::OpusEncoder, Destroy> encoder_;
  const std::uint8_t channels_;
  const std::size_t frame_size_;
  std::size_t lookahead_ = 0;
  std::array<std::uint8_t, wire::kMaxOpus> packet_{};
};

}  // namespace tiercast::publish
