// Asking: which sequences are missing, and when to ask a parent for them again. Used by relays and listeners.
// Sans-IO; the caller seals the NACK and picks the parent from what is offered.
#pragma once

#include <array>
#include <optional>

#include "relay/base/counter.hpp"
#include "relay/base/random.hpp"
#include "relay/wire/records.hpp"

namespace tiercast::forward {

struct GapCounters {
  Counter missing, repaired, given_up, asked, nacks;
  template <class F>
  void each(F&& f) const {
    f("repair_missing", missing);
    f("repair_repaired", repaired);
    f("repair_given_up", given_up);
    f("repair_asked", asked);
    f("repair_nack", nacks);
  }
};

class Gaps {
 public:
  struct Config {
    std::chrono::milliseconds frame{20};
    Duration deadline = wire::kPlayout;  // a missing frame is asked for so long after it was missed
    Duration reorder = 5ms;              // a gap younger than this may be mere reordering (several parents, several paths)
  };
  Gaps(const Config& config, Random& random);

  /// The first sequence wanted: a joiner's resume is a gap from here to the first frame that comes.
  void start_from(Sequence first, Time now);
  /// A proven frame came, fresh or repaired. `jumps`: the discontinuity flag; nothing between is missing.
  void on_frame(Sequence sequence, bool jumps, Time now);
  /// It is known that frames up to `newest` exist (IDLE, group info, an attestation): those not here are missing.
  void on_newest(Sequence newest, Time now);

  /// The ranges to ask for now, marked as asked; false: none due. Asked again every `round_trip` + kNackMargin (never
  /// later than what gives kNackRounds within the deadline), jittered; at most kMaxNackRanges at once.
  bool due(GroupId group, Duration round_trip, wire::Nack& nack, Time now);
  Time next_deadline() const;
  std::size_t missing() const;
  unsigned rounds(Sequence sequence) const;  // how often it was asked for; 0: not missing
  const GapCounters& counters() const { return counters_; }

 private:
  static constexpr std::size_t kMax = 1024;  // missing sequences tracked: 10 s at 10 ms; older ones are given up first
  struct Missing {
    Sequence sequence;
    Time since, ask_at, give_up;
    std::uint16_t rounds = 0;
  };
  void miss(Sequence sequence, Time now);
  void give_up_old(Time now);
  Config config_;
  Random* random_;
  std::array<Missing, kMax> missing_{};  // ordered by sequence, a ring: [head_, head_ + size_)
  std::size_t head_ = 0, size_ = 0;
  std::optional<Sequence> newest_;
  std::optional<Sequence> from_;
  GapCounters counters_;
};

}  // namespace tiercast::forward
