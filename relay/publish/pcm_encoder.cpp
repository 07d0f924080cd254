#include "relay/publish/pcm_encoder.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "relay/publish/pcm_samples.hpp"

namespace tiercast::publish {

PcmEncoder::PcmEncoder(const PcmFormat& format, const Encoding& encoding, std::uint8_t frame_ms)
    : format_(format), resampler_(format.rate, format.channels), encoder_(encoding, format.channels, frame_ms) {
  const std::size_t most = kMaxPush / bytes_of(format.format) + format.channels;
  in_.reserve(most);
  out_.reserve(encoder_.frame_size() + resampler_.most(most));
}

void PcmEncoder::push(Bytes bytes) {
  assert(bytes.size() <= kMaxPush);
  out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(std::exchange(taken_, 0)));
  const std::size_t block = format_.block();
  if (partial_size_ != 0) {
    const std::size_t more = std::min(block - partial_size_, bytes.size());
    std::memcpy(partial_.data() + partial_size_, bytes.data(), more);
    partial_size_ += more;
    bytes = bytes.subspan(more);
    if (partial_size_ < block) return;
    convert(Bytes{partial_}.first(block));
  }
  const std::size_t whole = bytes.size() / block * block;
  convert(bytes.first(whole));
  partial_size_ = bytes.size() - whole;
  if (partial_size_ != 0) std::memcpy(partial_.data(), bytes.data() + whole, partial_size_);
}

void PcmEncoder::convert(Bytes blocks) {
  if (blocks.empty()) return;
  begun_ = true;
  in_.resize(blocks.size() / bytes_of(format_.format));
  to_float(blocks, format_.format, in_);
  resampler_.push(in_, out_);
}

void PcmEncoder::finish() {
  resampler_.finish(out_);
  if (!begun_) return;
  // With what the encoder still holds back.
  const std::size_t size = encoder_.frame_size();
  const std::size_t all = out_.size() - taken_ + encoder_.lookahead() * format_.channels;
  out_.resize(taken_ + (all + size - 1) / size * size, 0.0F);
}

std::optional<Bytes> PcmEncoder::next() {
  const std::size_t size = encoder_.frame_size();
  if (out_.size() - taken_ < size) return std::nullopt;
  const std::span<const float> frame{out_.data() + taken_, size};
  taken_ += size;
  return encoder_.encode(frame);
}

}  // namespace tiercast::publish
