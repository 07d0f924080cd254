#include "relay/receive/sample_player.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace tiercast::receive {
namespace {

constexpr double kQuiet = 160;                  // RMS, of 32,768: -46 dB, what is between words
constexpr std::size_t kFade = kOpusRate / 200;  // 5 ms

std::size_t samples_of(const JitterBufferConfig& config) {
  return static_cast<std::size_t>(config.frame.count()) * kOpusRate / 1000;
}

bool is_quiet(std::span<const std::int16_t> samples) {
  double sum = 0;
  for (const std::int16_t s : samples) sum += static_cast<double>(s) * s;
  return sum < kQuiet * kQuiet * static_cast<double>(samples.size());
}

}  // namespace

SamplePlayer::SamplePlayer(const JitterBufferConfig& config, int channels)
    : buffer_(config),
      decoder_(config.frame, channels),
      stretch_(samples_of(config), static_cast<std::size_t>(channels)),
      tick_(samples_of(config) * static_cast<std::size_t>(channels)),
      left_out_(tick_.size()) {}

std::span<const std::int16_t> SamplePlayer::next(Time now, double pace) {
  JitterTick tick;
  while (buffer_.next(tick, quiet_, now)) {
    const auto decoded = decoder_.decode(tick.played);
    if (tick.may_leave_out && quiet_ && is_quiet(decoded)) {
      if (!std::exchange(fade_, true)) std::copy(decoded.begin(), decoded.end(), left_out_.begin());
      buffer_.leave_out();
      continue;
    }
    std::copy(decoded.begin(), decoded.end(), tick_.begin());
    const auto out = sound(tick);
    const double samples = static_cast<double>(out.size() / static_cast<std::size_t>(decoder_.channels()));
    buffer_.on_output(Duration{std::llround(samples * 1e9 / kOpusRate * (1 + pace))});
    return out;
  }
  return {};
}

std::span<const std::int16_t> SamplePlayer::sound(const JitterTick& tick) {
  if (std::exchange(fade_, false)) fade_over();
  quiet_ = is_quiet(tick_);
  int shorter = 0;
  if (tick.rate != 0) {
    const auto most = static_cast<double>(tick_.size() / static_cast<std::size_t>(decoder_.channels()));
    shorter = static_cast<int>(std::lround(tick.rate * most));
    if (shorter == 0) shorter = tick.rate > 0 ? 1 : -1;
    if (shorter > 0) {
      shortened_.add(static_cast<std::uint64_t>(shorter));
    } else {
      lengthened_.add(static_cast<std::uint64_t>(-shorter));
    }
  }
  return stretch_.apply(tick_, shorter);
}

/// The tick goes on where the one that was left out would have begun.
void SamplePlayer::fade_over() {
  const auto channels = static_cast<std::size_t>(decoder_.channels());
  for (std::size_t i = 0; i < kFade * channels; ++i) {
    const double part = static_cast<double>(i / channels) / static_cast<double>(kFade);
    tick_[i] = static_cast<std::int16_t>(std::lround(left_out_[i] * (1 - part) + tick_[i] * part));
  }
}

std::span<const std::int16_t> SamplePlayer::flush() {
  JitterTick tick;
  if (buffer_.flush(tick)) {
    const auto decoded = decoder_.decode(tick.played);
    std::copy(decoded.begin(), decoded.end(), tick_.begin());
    return sound(tick);
  }
  return std::exchange(rested_, true) ? std::span<const std::int16_t>{} : stretch_.rest();
}

}  // namespace tiercast::receive
