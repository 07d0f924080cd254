#include "relay/forward/resend_budget.hpp"

#include <algorithm>

namespace tiercast::forward {
namespace {

constexpr std::uint64_t kTimes = 7;
static_assert(wire::kResendPerSequence <= kTimes);
constexpr unsigned kWhenShift = 3;
constexpr Duration kWhenUnit = 4ms;  // less than the margin of who asks again
constexpr std::int64_t kWhenSpan = 1 << 13;
static_assert(kWhenUnit * kWhenSpan / 2 > wire::kHistory, "older ones are not asked for");
constexpr unsigned kSequenceShift = 16;

std::uint64_t entry(Sequence sequence, Time when, std::uint64_t times) {
  const auto at = static_cast<std::uint64_t>(when.time_since_epoch() / kWhenUnit) & (kWhenSpan - 1);
  return sequence.value << kSequenceShift | at << kWhenShift | times;
}

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

/// Time since `since`, which moves to `now`; never negative.
double elapsed(Time& since, Time now) {
  const double s = std::max(0.0, seconds(now - since));
  since = std::max(since, now);
  return s;
}

}  // namespace

LeaseResendBudget::LeaseResendBudget(std::chrono::milliseconds frame, Time now)
    : frame_(frame), tokens_(wire::kResendBurst), refilled_(now), next_send_(now) {}

bool LeaseResendBudget::empty(Time now) {
  const double rate = wire::kResendRefill / seconds(frame_);
  tokens_ = std::min<double>(wire::kResendBurst, tokens_ + rate * elapsed(refilled_, now));
  return tokens_ < 1.0;
}

std::size_t LeaseResendBudget::find(Sequence sequence) const {
  std::size_t at = 0;
  while (at < sent_.size() && ((sent_[at] & kTimes) == 0 || sent_[at] >> kSequenceShift != sequence.value)) ++at;
  return at;
}

bool LeaseResendBudget::leaves_since(Sequence sequence, Time since, Time now) const {
  const std::size_t known = find(sequence);
  if (known == sent_.size()) return false;
  // How long ago that was; negative: it waits for its turn.
  const std::uint64_t ago = (entry({}, now, 0) >> kWhenShift) - (sent_[known] >> kWhenShift);
  auto age = static_cast<std::int64_t>(ago & (kWhenSpan - 1));
  if (age >= kWhenSpan / 2) age -= kWhenSpan;
  return age * kWhenUnit < now - since;
}

bool LeaseResendBudget::take(Sequence sequence, Time now, Time& not_before) {
  if (empty(now)) return false;
  const std::size_t known = find(sequence);
  const bool first_time = known == sent_.size();
  const std::uint64_t times = first_time ? 0 : sent_[known] & kTimes;
  if (times >= wire::kResendPerSequence) return false;
  tokens_ -= 1.0;

  // It becomes the latest: what was sent longest ago is the first to be forgotten.
  not_before = std::max(now, next_send_);
  auto* const place = sent_.begin() + (first_time ? 0 : known);
  std::rotate(place, place + 1, sent_.end());
  sent_.back() = entry(sequence, not_before, times + 1);
  next_send_ = not_before + std::chrono::duration_cast<Duration>(frame_ / wire::kResendPace);
  return true;
}

NodeResendBudget::NodeResendBudget(Time now)
    : tokens_(wire::kResendBurst), window_start_(now), refilled_(now), resumes_(1s, 0, now) {}

void NodeResendBudget::measure(Time now) {
  if (now - window_start_ < 1s) return;
  fan_out_rate_ = static_cast<double>(window_sent_) / seconds(now - window_start_);
  window_sent_ = 0;
  window_start_ = now;
}

void NodeResendBudget::on_fan_out(std::uint64_t datagrams, Time now) {
  window_sent_ += datagrams;
  measure(now);
}

bool NodeResendBudget::available(Time now) {
  measure(now);
  const double rate = std::max(wire::kNodeResendShare * fan_out_rate_, double{wire::kNodeResendPerRelay} * relays_);
  tokens_ = std::min(std::max<double>(wire::kResendBurst, rate), tokens_ + rate * elapsed(refilled_, now));
  return tokens_ >= 1.0;
}

bool NodeResendBudget::take(Time now) {
  if (!available(now)) return false;
  tokens_ -= 1.0;
  return true;
}

}  // namespace tiercast::forward
