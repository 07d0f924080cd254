// Arithmetic of the media clock. All of it is on differences to an anchor, so nothing wraps within the u48 range.
#include "relay/publish/media_clock.hpp"

#include <algorithm>

namespace tiercast::publish {

namespace {

// A frame earlier than thought moves the clock by no more: at 50 frames a second this still follows 1,000 ppm of drift.
constexpr Duration kForwardStep = 20us;
// Later than this is a stall, not a sender's burst: no measure of the next.
constexpr Duration kJitter = 250ms;

constexpr std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  const std::int64_t quotient = a / b;
  return a % b < 0 ? quotient - 1 : quotient;
}

constexpr Sequence offset(Sequence from, std::int64_t by) {
  const std::int64_t value = static_cast<std::int64_t>(from.value) + by;
  return Sequence{static_cast<std::uint64_t>(std::max<std::int64_t>(value, 0))};
}

}  // namespace

MediaClock::MediaClock(std::uint8_t frame_ms, Sequence continue_at, Moment start,
                       const std::optional<ClockPoint>& before)
    : frame_(std::chrono::milliseconds{frame_ms}) {
  if (before) {
    anchor(before->sequence, before->due);
  } else {
    // A frame that the wall is in the middle of was due when it began.
    const std::int64_t unix_us = std::max<std::int64_t>(start.wall.time_since_epoch().count(), 0);
    const std::int64_t frame_us = std::int64_t{frame_ms} * 1000;
    anchor(Sequence{static_cast<std::uint64_t>(unix_us / frame_us)},
           start.mono - std::chrono::microseconds{unix_us % frame_us});
  }
  const Sequence now = due_at(start.mono);
  first_ = std::max(now, continue_at);
  if (distance(now, first_) > kWait / frame_) anchor(first_, start.mono);
}

Time MediaClock::due(Sequence sequence) const { return base_at_ + distance(base_, sequence) * frame_; }

Sequence MediaClock::due_at(Time t) const {
  return offset(base_, floor_divide((t - base_at_).count(), frame_.count()));
}

Sequence MediaClock::nearest(Time t) const { return due_at(t + frame_ / 2); }

void MediaClock::anchor(Sequence sequence, Time at) {
  base_ = sequence;
  base_at_ = at;
}

void MediaClock::shift(std::int64_t by) { base_ = offset(base_, by); }
void RtpTimeline::shift(std::int64_t by) { anchor_sequence_ = offset(anchor_sequence_, by); }

void MediaClock::observe(Sequence sequence, Time at) {
  const Duration off = at - due(sequence);
  const bool jitter = off > Duration{0} && off <= kJitter;
  base_at_ += jitter ? off : std::max(off / 16, -kForwardStep);
}

std::int64_t RtpTimeline::extend(std::uint32_t timestamp) const {
  return newest_ + static_cast<std::int32_t>(timestamp - static_cast<std::uint32_t>(newest_));
}

void RtpTimeline::anchor(std::uint32_t timestamp, Sequence sequence) {
  newest_ = anchor_ = timestamp;
  anchor_sequence_ = sequence;
  offset_ = 0;
  offset_run_ = 0;
}

Sequence RtpTimeline::sequence_of(std::uint32_t timestamp) const {
  return offset(anchor_sequence_, floor_divide(extend(timestamp) - anchor_ + step_ / 2, step_));
}

std::uint32_t RtpTimeline::timestamp_of(Sequence sequence) const {
  return static_cast<std::uint32_t>(anchor_ + distance(anchor_sequence_, sequence) * step_);
}

void RtpTimeline::follow(std::uint32_t timestamp, Sequence sequence) {
  newest_ = extend(timestamp);
  const std::int64_t off = newest_ - (anchor_ + distance(anchor_sequence_, sequence) * step_);
  const std::int64_t changed = off > offset_ ? off - offset_ : offset_ - off;
  offset_run_ = off == 0 ? 0 : changed <= step_ / 16 ? offset_run_ + 1 : 1;
  offset_ = off;
  if (offset_run_ < kPersistent) return;
  anchor_ += off;
  offset_ = 0;
  offset_run_ = 0;
}

}  // namespace tiercast::publish
