// What a listener can say of its stream: losses, latency, jitter. Knows no socket and no clock.
#pragma once

#include "relay/base/histogram.hpp"
#include "relay/receive/playout.hpp"

namespace tiercast::receive {

struct Summary {
  std::uint64_t frames = 0;  // with audio
  std::uint64_t empty = 0;
  std::uint64_t lost = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t repaired = 0;
  std::uint64_t discontinuities = 0;
  Duration longest_gap{0};  // the longest run of lost ticks
  Duration jitter{0};       // RFC 3550 §6.4.1, at the end

  // From the origin's sealing to the arrival here, each by its own wall clock: where those disagree, the lowest tells
  // by how much at least (negative), and only differences to it mean anything. Known once a group info has come.
  std::uint64_t latency_samples = 0;
  std::chrono::microseconds latency_lowest{0};
  std::chrono::microseconds latency_median{0};
  std::chrono::microseconds latency_p99{0};
};

class Statistics {
 public:
  explicit Statistics(std::chrono::milliseconds frame) : frame_(frame) {}

  void on_group_info(const wire::GroupInfo& info);
  /// `now`: both clocks of this turn, by which the arrival's wall time is told.
  void on_played(const Played& played, Moment now);
  /// Duplicates are known to the playout alone.
  Summary summary(const PlayoutCounters& counters) const;

 private:
  bool far(std::int64_t ticks) const;
  void latency_of(const Played& played, Moment now);
  void match();
  void jitter_of(const Played& played);

  std::int64_t latency_quantile_us(double q) const;

  struct Stamp {
    Sequence sequence;
    std::int64_t sealed_us;  // unix
  };
  struct Arrival {
    Sequence sequence;
    Time at;
  };
  const Duration frame_;
  Summary sums_;
  std::uint64_t lost_run_ = 0;
  std::uint64_t longest_lost_run_ = 0;
  struct Arrived {
    Sequence sequence;
    std::int64_t unix_us = 0;
  };
  std::optional<Stamp> stamp_;  // of a frame that has not been seen here yet
  std::optional<Sequence> last_matched_;
  std::array<Arrived, 1024> arrivals_{};  // of the last frames, by sequence: 10 s at least
  std::optional<Arrival> last_;
  double jitter_ns_ = 0;
  // Latencies as differences to the first one: precise whatever the clocks say.
  std::int64_t first_latency_us_ = 0;
  Histogram<> above_us_;
  Histogram<> below_us_;
};

}  // namespace tiercast::receive
