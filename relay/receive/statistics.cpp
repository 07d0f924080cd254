#include "relay/receive/statistics.hpp"

#include <cmath>

namespace tiercast::receive {
namespace {

constexpr Duration kFar = std::chrono::hours{1};

std::int64_t to_us(Duration d) { return std::chrono::duration_cast<std::chrono::microseconds>(d).count(); }

}  // namespace

void Statistics::on_group_info(const wire::GroupInfo& info) {
  if ((info.flags & wire::kInfoStamped) == 0 || info.stamped_unix_us >> 62 != 0) return;
  if (info.stamped == last_matched_) return;  // another parent's copy
  stamp_ = Stamp{info.stamped, static_cast<std::int64_t>(info.stamped_unix_us)};
  match();
}

void Statistics::on_played(const Played& played, Moment now) {
  if (played.discontinuity) {
    ++sums_.discontinuities;
    last_.reset();
    lost_run_ = 0;
  }
  if (played.kind == PlayedKind::lost) {
    ++sums_.lost;
    longest_lost_run_ = std::max(longest_lost_run_, ++lost_run_);
    return;
  }
  lost_run_ = 0;
  ++(played.kind == PlayedKind::empty ? sums_.empty : sums_.frames);
  if (played.repaired) ++sums_.repaired;
  latency_of(played, now);
  jitter_of(played);
}

/// So far away that nothing is told from it, and products would overflow.
bool Statistics::far(std::int64_t ticks) const { return ticks > kFar / frame_ || ticks < -(kFar / frame_); }

void Statistics::latency_of(const Played& played, Moment now) {
  const std::int64_t arrived_us = now.wall.time_since_epoch().count() - to_us(now.mono - played.arrived);
  arrivals_[played.sequence.value % arrivals_.size()] = {played.sequence, arrived_us};
  match();
}

// Only the very frame that the origin has stamped tells how long it took: its neighbours were sealed when their audio
// came, and a sender's bursts are no part of the way.
void Statistics::match() {
  if (!stamp_) return;
  const Arrived& arrival = arrivals_[stamp_->sequence.value % arrivals_.size()];
  if (arrival.sequence != stamp_->sequence || arrival.unix_us == 0) return;
  const std::int64_t latency_us = arrival.unix_us - stamp_->sealed_us;
  last_matched_ = stamp_->sequence;
  stamp_.reset();
  if (sums_.latency_samples++ == 0) first_latency_us_ = latency_us;
  const std::int64_t difference = latency_us - first_latency_us_;
  if (difference >= 0)
    above_us_.record(static_cast<std::uint64_t>(difference));
  else
    below_us_.record(static_cast<std::uint64_t>(-difference));
}

/// RFC 3550 §6.4.1, over frames as they came by themselves: one that was resent says nothing of the network's jitter.
void Statistics::jitter_of(const Played& played) {
  if (played.repaired) return;
  const auto ticks = last_ ? static_cast<std::int64_t>(played.sequence.value - last_->sequence.value) : 0;
  if (last_ && !far(ticks)) {
    const Duration difference = (played.arrived - last_->at) - ticks * frame_;
    jitter_ns_ += (std::abs(static_cast<double>(difference.count())) - jitter_ns_) / 16.0;
  }
  last_ = Arrival{played.sequence, played.arrived};
}

std::int64_t Statistics::latency_quantile_us(double q) const {
  const double all = static_cast<double>(sums_.latency_samples);
  const double below = static_cast<double>(below_us_.count());
  const double rank = std::max(1.0, std::ceil(q * all));
  if (rank <= below)
    return first_latency_us_ - static_cast<std::int64_t>(below_us_.quantile((below - rank + 1) / below));
  return first_latency_us_ + static_cast<std::int64_t>(above_us_.quantile((rank - below) / (all - below)));
}

Summary Statistics::summary(const PlayoutCounters& counters) const {
  Summary out = sums_;
  out.duplicates = counters.drop_duplicate.get();
  out.longest_gap = frame_ * static_cast<Duration::rep>(longest_lost_run_);
  out.jitter = Duration{std::llround(jitter_ns_)};
  if (out.latency_samples == 0) return out;
  const std::int64_t lowest = below_us_.count() != 0 ? -static_cast<std::int64_t>(below_us_.highest())
                                                     : static_cast<std::int64_t>(above_us_.lowest());
  out.latency_lowest = std::chrono::microseconds{first_latency_us_ + lowest};
  out.latency_median = std::chrono::microseconds{latency_quantile_us(0.5)};
  out.latency_p99 = std::chrono::microseconds{latency_quantile_us(0.99)};
  return out;
}

}  // namespace tiercast::receive
