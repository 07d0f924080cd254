// Asking: which sequences are missing, and when to ask a parent for them again. Used by relays and listeners.
// Sans-IO; the caller seals the NACK and tells what its parents are like.
#pragma once

#include <array>
#include <optional>

#include "relay/base/counter.hpp"
#include "relay/base/random.hpp"
#include "relay/forward/askee.hpp"
#include "relay/forward/parity_shape.hpp"
#include "relay/wire/records.hpp"

namespace tiercast::forward {

struct GapCounters {
  Counter missing, resent, parity, late, given_up, skipped, asked, nacks;
  std::uint64_t repaired() const { return resent.get() + parity.get() + late.get(); }
  template <class F>
  void each(F&& f) const {
    // missing = resent + parity + late + given_up + skipped + those still waited for.
    f("repair_missing", missing);    // a later frame came before it, or it had to be asked for
    f("repair_resent", resent);      // brought by who was asked, no sooner than an answer takes
    f("repair_parity", parity);      // rebuilt
    f("repair_late", late);          // came by itself: out of order, or by another parent's way
    f("repair_given_up", given_up);  // not in time
    f("repair_skipped", skipped);    // the media clock jumped: there never was such a frame
    f("repair_asked", asked);
    f("repair_nack", nacks);
  }
};

/// How a frame came to be here.
struct Way {
  enum class Kind : std::uint8_t { unicast, multicast, parity, other_source };
  Kind kind = Kind::unicast;
  std::size_t parent = 0;
};

class Gaps {
 public:
  struct Config {
    std::chrono::milliseconds frame{20};
    Duration deadline = wire::kPlayout;  // a missing frame is asked for so long after it was missed …
    /// … and every kNackLate so long, if that is longer and it is certain that it exists.
    Duration patience{};
    Duration reorder = 5ms;  // a gap younger than this may be mere reordering (several parents, several paths)
    Duration spread{};       // the first question is put off by up to this: many lose the same frame at once
    /// So long without a word from above, and frames that are due are presumed to exist; 0: never.
    Duration silence{};
    Duration presumed_every = wire::kNackMargin;  // they are not asked for more often
  };
  Gaps(const Config& config, Random& random);

  /// The first sequence wanted: a joiner's resume is a gap from here to the first frame that comes. It may be a
  /// parent's word: until a frame has come it can be called again, and a first frame below it counts for more. After
  /// that it only gives up what lies below.
  void start_from(Sequence first, Time now);
  /// Forgets everything: what is missing, and where the stream was. As after construction.
  void restart();
  /// A proven frame came, fresh or repaired. `jumps`: the discontinuity flag; nothing between is missing.
  void on_frame(Sequence sequence, bool jumps, Time now, const Way& way = {});
  /// The newest frame says that it is the last one: silence means nothing until another one comes.
  void on_end(Sequence last);
  /// PARITYs of this shape come: what they may make good in time is not asked for until they should have.
  void expect_parity(ParityShape shape) { parity_ = shape; }
  /// What lies below is of no use any more, whether it came, is missing or is only said to exist: it is waited for no
  /// longer.
  void forget(Sequence below);
  /// What came for this sequence turned out to be nothing of its source's: it is missing still.
  void on_refuted(Sequence sequence, Time now);
  /// It is said that frames up to `newest` exist (IDLE, group info, an attestation): those not here are missing. Only a
  /// parent's word, so believed for half a window beyond the last proven frame; without a start or a frame it means
  /// nothing. Whoever says so lives: what it has not named is not due.
  void on_newest(Sequence newest, Time now);

  /// The ranges to ask one parent for now, marked as asked; whom of `parents`. nullopt: none is due, or nobody has a
  /// lease. Asked again every round trip + kNackMargin (never later than what gives kNackRounds within the deadline),
  /// jittered, if it can be at another parent; at most kMaxNackRanges at once: call until nullopt.
  ///
  /// When frames flowed and nothing at all has come for Config::silence, those that were due by the media clock are
  /// asked for as well: whoever has lost the last ones is told of no gap, and an outage may be over on one way only.
  std::optional<std::size_t> due(GroupId group, std::span<const Askee> parents, wire::Nack& nack, Time now);
  /// Not later than the next thing to do in due(); it may be earlier.
  Time next_deadline() const { return std::min(missing_count_ == 0 ? kNever : wake_, presume_at_); }
  std::size_t missing() const { return missing_count_; }
  unsigned rounds(Sequence sequence) const;  // how often it was asked for; 0: not missing
  const GapCounters& counters() const { return counters_; }

  /// Sequences tracked, the newest ones: what a parent's history holds (kHistory), and never more than kMax.
  std::size_t window() const { return window_; }
  static constexpr std::size_t kMax = 1024;

 private:
  struct Missing {
    Sequence sequence;  // 0: the slot is free
    Time ask_at, missed_at;
    Time answer_at;           // an answer cannot be here sooner
    std::uint32_t asked = 0;  // parents, by bits
    std::uint16_t rounds = 0;
    std::uint8_t last = 0;      // who was asked last, if rounds > 0
    bool certain = false;       // that it exists: a later frame came
    bool presumed : 1 = false;  // by the clock alone
  };
  static constexpr Duration kOvertaken = 30ms;  // so much may another parent's way be longer
  static std::uint32_t bit(std::size_t parent) { return std::uint32_t{1} << std::min<std::size_t>(parent, 31); }
  Missing& slot(std::uint64_t sequence) { return slots_[sequence % kMax]; }
  const Missing& slot(std::uint64_t sequence) const { return slots_[sequence % kMax]; }
  bool is_missing(std::uint64_t sequence) const { return sequence != 0 && slot(sequence).sequence.value == sequence; }
  void anchor(std::uint64_t sequence);
  void reach(std::uint64_t end);
  enum class Known : std::uint8_t { certain, told, presumed };
  void miss(std::uint64_t first, std::uint64_t end, Known known, Time now);
  void came(Missing& missing, const Way& way, Time now);
  void presume(Time now);
  void heard(Time now);
  void forget_below(std::uint64_t sequence);
  void give_up(Missing& missing);
  void drop(Missing& missing, Counter& why);
  std::uint64_t hole_end(std::uint64_t sequence) const;
  bool may_never_have_been(const Missing& missing, std::uint64_t hole_end, Time now) const;
  bool asks_now(Missing& missing, std::span<const Askee> parents, Time now) const;
  Time parity_until(const Missing& missing, std::span<const Askee> parents, Time now) const;
  Duration interval(Duration round_trip);
  Time in_time_until(const Missing& missing) const { return missing.missed_at + config_.deadline; }
  Time gives_up_at(const Missing& missing) const {
    return missing.missed_at + (missing.certain ? std::max(config_.deadline, config_.patience) : config_.deadline);
  }

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
  bool held_back_ = false;    // of a long hole only the end is asked for now
  Time advanced_;             // when proven_ was
  Time presume_at_ = kNever;  // when more frames than end_ tells of are due
  ParityShape parity_;
  bool over_ = false;  // the stream has ended
  GapCounters counters_;
};

}  // namespace tiercast::forward
