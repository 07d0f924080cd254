// How long frames take through this node: from the datagram that brought one to its sends. Knows no clock.
#pragma once

#include <optional>

#include "relay/base/shared_histogram.hpp"
#include "relay/base/types.hpp"

namespace tiercast::node {

/// When a datagram came, on the monotonic clock: `stamp` is the kernel's word, on a clock that may have been set since.
/// Then, and where there is none, it is now.
inline Time received_at(const Moment& now, std::optional<WallTime> stamp) {
  constexpr Duration kMost = 10s;  // no queue is so long
  if (!stamp) return now.mono;
  const Duration age = now.wall - *stamp;
  return age >= Duration::zero() && age <= kMost ? now.mono - age : now.mono;
}

/// At one worker. Each frame is recorded once for each of what follows, in microseconds; the worker's thread writes,
/// any reads.
class Passage {
 public:
  using Times = SharedHistogram<>;

  /// A worker takes it up. `told`: when the feed took up its datagram, before it was checked.
  void taken_up(Time told, Time now) { record(hand_off_, told, now); }
  /// The first send of it is made. `received`: when its datagram came.
  void first_sent(Time received, Time now) { record(first_send_, received, now); }
  /// The last send of it returns when the shell next reads its clock and says so, by settle().
  void last_sent(Time received) { pending_ = received; }
  void settle(Time now) {
    if (const auto received = std::exchange(pending_, std::nullopt)) record(last_send_, *received, now);
  }

  /// f(name, times): names as status has them.
  template <class F>
  void each(F&& f) const {
    f("hand_off", hand_off_);
    f("first_send", first_send_);
    f("last_send", last_send_);
  }

 private:
  static void record(Times& times, Time from, Time to) {
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(to - from).count();
    times.record(us > 0 ? static_cast<std::uint64_t>(us) : 0);
  }

  Times hand_off_, first_send_, last_send_;
  std::optional<Time> pending_;
};

}  // namespace tiercast::node
