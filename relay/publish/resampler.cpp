#include "relay/publish/resampler.hpp"

#include <speex/speex_resampler.h>

#include <algorithm>
#include <array>
#include <limits>
#include <new>

namespace tiercast::publish {

namespace {

// 160 taps: some 3 ms of latency at 48 kHz, 10 ms at 8 kHz, and under 1 % of a core.
constexpr int kQuality = 8;
constexpr std::size_t kStep = 256;  // samples of each channel that are fed as zeros at a time

}  // namespace

void Resampler::Destroy::operator()(SpeexResamplerState_* state) const { speex_resampler_destroy(state); }

Resampler::Resampler(std::uint32_t rate, std::uint8_t channels) : rate_(rate), channels_(channels) {
  if (rate == kOpusRate) return;
  int error = RESAMPLER_ERR_SUCCESS;
  state_.reset(speex_resampler_init(channels, rate, kOpusRate, kQuality, &error));
  if (!state_) throw std::bad_alloc();
  speex_resampler_skip_zeros(state_.get());  // the first sample out is the first one in
}

Resampler::~Resampler() = default;

std::size_t Resampler::most(std::size_t in) const {
  return state_ ? (in / channels_ * kOpusRate / rate_ + 2) * channels_ : in;
}

void Resampler::push(std::span<const float> in, std::vector<float>& out) {
  in_ += in.size() / channels_;
  if (!state_) {
    out.insert(out.end(), in.begin(), in.end());
  } else {
    run(in, std::numeric_limits<std::uint64_t>::max(), out);
  }
}

void Resampler::finish(std::vector<float>& out) {
  if (!state_) return;
  const std::uint64_t all = (in_ * kOpusRate + rate_ - 1) / rate_;
  constexpr std::array<float, 2 * kStep> kZeros{};
  // Zeros push the last ones out of the filter, which is a few thousand of them long at most.
  for (int i = 0; i < 64 && out_ < all; ++i) run(std::span{kZeros}.first(kStep * channels_), all - out_, out);
}

/// At most `limit` samples of each channel leave.
void Resampler::run(std::span<const float> in, std::uint64_t limit, std::vector<float>& out) {
  auto left = static_cast<spx_uint32_t>(in.size() / channels_);
  const float* at = in.data();
  while (left != 0 && limit != 0) {
    const std::size_t before = out.size();
    const std::uint64_t room = std::min<std::uint64_t>(limit, most(std::size_t{left} * channels_) / channels_);
    out.resize(before + static_cast<std::size_t>(room) * channels_);
    spx_uint32_t taken = left;
    auto made = static_cast<spx_uint32_t>(room);
    speex_resampler_process_interleaved_float(state_.get(), at, &taken, out.data() + before, &made);
    out.resize(before + std::size_t{made} * channels_);
    at += std::size_t{taken} * channels_;
    left -= taken;
    out_ += made;
    limit -= made;
    if (taken == 0 && made == 0) return;
  }
}

}  // namespace tiercast::publish
