// Answering: who may be sent what again. Budgets of DESIGN "Resending": per lease a burst, a refill at a share of the
// stream's rate, each sequence at most six times; per node the greater of a share of its fan-out and a floor.
#pragma once

#include <array>

#include "relay/base/credit.hpp"
#include "relay/base/types.hpp"
#include "relay/wire/limits.hpp"

namespace tiercast::forward {

/// One lease's budget; made when its first NACK comes, so a lease that never asks costs nothing.
class LeaseResendBudget {
 public:
  LeaseResendBudget(std::chrono::milliseconds frame, Time now);
  /// Nothing is left for now, whatever is asked for.
  bool empty(Time now);
  /// May this sequence be sent to the lease now? Takes from the budget if so. Paced: the burst itself is spread at
  /// kResendPace × real time: `not_before` is when it may leave (≥ now).
  bool take(Sequence sequence, Time now, Time& not_before);
  /// It was taken, to leave later than `since`, in the last seconds: who asks again had not got it when asking.
  bool leaves_since(Sequence sequence, Time since, Time now) const;

 private:
  std::size_t find(Sequence sequence) const;  // its place in sent_; sent_.size(): not there
  std::chrono::milliseconds frame_;
  double tokens_;
  Time refilled_;
  Time next_send_;
  // The last kResendBurst different sequences, the latest last: sequence u48 ‖ when it left last u13, wrapping ‖ how
  // often u3.
  std::array<std::uint64_t, wire::kResendBurst> sent_{};
};

/// The whole worker's: a bucket that refills at max(kNodeResendShare × fan-out rate, kNodeResendPerRelay × relay
/// leases) a second, and holds one second of that, but never less than kResendBurst: one lease's burst always fits.
class NodeResendBudget {
 public:
  explicit NodeResendBudget(Time now);
  /// Datagrams sent by normal fan-out since the last call, or spared by multicast; relay leases now.
  void on_fan_out(std::uint64_t datagrams, Time now);
  void set_relays(std::uint32_t relays) { relays_ = relays; }
  bool take(Time now);
  /// A frame of a relay's resume, which kNodeResume limits alone.
  bool may_resume(Time now) { return resumes_.has(kResumeCost, now); }
  void take_resume(Time now) { resumes_.spend(kResumeCost, now); }
  /// Would take() be true? A refusal by the node must not use up what a lease may have.
  bool available(Time now);

 private:
  void measure(Time now);
  double tokens_;
  double fan_out_rate_ = 0;  // datagrams a second, over the last second
  std::uint64_t window_sent_ = 0;
  Time window_start_, refilled_;
  std::uint32_t relays_ = 0;
  static constexpr Duration kResumeCost = Duration{1s} / wire::kNodeResume;
  Credit resumes_;
};

}  // namespace tiercast::forward
