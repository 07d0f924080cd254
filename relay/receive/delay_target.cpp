#include "relay/receive/delay_target.hpp"

#include <algorithm>
#include <cmath>

namespace tiercast::receive {
namespace {

constexpr Duration kFinest = 2ms;

}  // namespace

DelayTarget::DelayTarget(Duration least, Duration most)
    : least_(std::min(least, most)),
      most_(most),
      bucket_(std::max(kFinest, most / static_cast<Duration::rep>(kBuckets - 1))) {}

void DelayTarget::on_packet(Duration lateness, bool late, Time now) {
  if (lateness > most_) return;
  if (last_ != Time::min() && now > last_) {
    next_weight_ *= std::exp2(static_cast<double>((now - last_).count()) / static_cast<double>(kHalfLife.count()));
    if (!(next_weight_ < 1e100)) {
      for (double& weight : weights_) weight /= next_weight_;
      all_ /= next_weight_;
      next_weight_ = 1;
    }
  }
  last_ = std::max(last_, now);
  const auto bucket = static_cast<std::size_t>(std::max(lateness, Duration{0}) / bucket_);
  weights_[std::min(bucket, kBuckets - 1)] += next_weight_;
  all_ += next_weight_;
  find_quantile();
  if (late && lateness + kMargin >= peak(now)) {
    peak_ = lateness + kMargin;
    peak_at_ = now;
  }
}

void DelayTarget::find_quantile() {
  double beyond = 0;
  std::size_t bucket = kBuckets;
  while (bucket > 0 && beyond + weights_[bucket - 1] <= (1 - kQuantile) * all_) beyond += weights_[--bucket];
  quantile_ = bucket_ * static_cast<Duration::rep>(bucket) + kMargin;
}

void DelayTarget::shift(Duration by) {
  const auto buckets = static_cast<std::ptrdiff_t>(by / bucket_);
  const auto old = weights_;
  weights_.fill(0);
  for (std::size_t i = 0; i < kBuckets; ++i) {
    const auto to = std::clamp(static_cast<std::ptrdiff_t>(i) - buckets, std::ptrdiff_t{0},
                               static_cast<std::ptrdiff_t>(kBuckets) - 1);
    weights_[static_cast<std::size_t>(to)] += old[i];
  }
  find_quantile();
  peak_ = std::max(peak_ - by, Duration{0});
}

Duration DelayTarget::peak(Time now) const {
  if (peak_ == Duration{0}) return peak_;
  const Duration over = std::max(now - peak_at_ - kHold, Duration{0});
  return peak_ - Duration{static_cast<Duration::rep>(kSinks * static_cast<double>(over.count()))};
}

Duration DelayTarget::target(Time now) const { return std::clamp(std::max(quantile_, peak(now)), least_, most_); }

}  // namespace tiercast::receive
