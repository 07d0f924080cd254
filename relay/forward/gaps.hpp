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
    Duration reorder = 5ms;  // a gap younger than this may be mere reordering (several parents, several paths)
  };
  Gaps(const Config& config, Random& random);

  /// The first sequence wanted: a joiner's resume is a gap from here to the first frame that comes. It may be a
  /// parent's word: until a frame has come it can be called again, and a first frame below it counts for more. After
  /// that it only gives up what lies below.
  void start_from(Sequence first, Time now);
  /// Forgets everything: what is missing, and where the stream was. As after construction.
  void restart();
  /// A proven frame came, fresh or repaired. `jumps`: the discontinuity flag; nothing between is missing.
  void on_frame(Sequence sequence, bool jumps, Time now);
  /// What came for this sequence turned out to be nothing of its source's: it is missing still.
  void on_refuted(Sequence sequence, Time now);
  /// It is said that frames up to `newest` exist (IDLE, group info, an attestation): those not here are missing. Only a
  /// parent's word, so believed for half a window beyond the last proven frame; without a start or a frame it means
  /// nothing.
  void on_newest(Sequence newest, Time now);

  /// The ranges to ask for now, marked as asked; false: none due. Asked again every `round_trip` + kNackMargin (never
  /// later than what gives kNackRounds within the deadline), jittered; at most kMaxNackRanges at once: call until
  /// false.
  bool due(GroupId group, Duration round_trip, wire::Nack& nack, Time now);
  /// Not later than the next thing to do in due(); it may be earlier.
  Time next_deadline() const { return missing_count_ == 0 ? kNever : wake_; }
  std::size_t missing() const { return missing_count_; }
  unsigned rounds(Sequence sequence) const;  // how often it was asked for; 0: not missing
  const GapCounters& counters() const { return counters_; }

  /// Sequences tracked, the newest ones: what a parent's history holds (kHistory), and never more than kMax.
  std::size_t window() const { return window_; }
  static constexpr std::size_t kMax = 1024;

 private:
  struct Missing {
    Sequence sequence;  // 0: the slot is free
    Time ask_at, give_up;
    std::uint16_t rounds = 0;
  };
  Missing& slot(std::uint64_t sequence) { return slots_[sequence % kMax]; }
  const Missing& slot(std::uint64_t sequence) const { return slots_[sequence % kMax]; }
  bool is_missing(std::uint64_t sequence) const { return sequence != 0 && slot(sequence).sequence.value == sequence; }
  void anchor(std::uint64_t sequence);
  void reach(std::uint64_t end);
  void miss(std::uint64_t first, std::uint64_t end, Time now);
  void forget_below(std::uint64_t sequence);
  void give_up(Missing& missing);
  Duration interval(Duration round_trip);

  Config config_;
  Random* random_;
  std::size_t window_;
  std::array<Missing, kMax>
      slots_{};  // by sequence % kMax; only [floor_, end_) can be missing, never over window_ wide
  std::size_t missing_count_ = 0;
  bool started_ = false;
  bool framed_ = false;       // a frame has come
  std::uint64_t floor_ = 0;   // nothing below is missing
  std::uint64_t proven_ = 0;  // one past the highest frame that came
  std::uint64_t end_ = 0;     // one past the highest known of, >= proven_
  Time wake_ = kNever;
  GapCounters counters_;
};

}  // namespace tiercast::forward
