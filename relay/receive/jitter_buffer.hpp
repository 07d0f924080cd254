// A player's jitter buffer, behind the playout: packets as they come, ticks out at an even pace. Decides what is played
// when, and where time is stretched. Knows no decoder, no sample and no clock.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "relay/base/counter.hpp"
#include "relay/receive/delay_target.hpp"
#include "relay/receive/drift.hpp"
#include "relay/receive/playout.hpp"

namespace tiercast::receive {

struct JitterBufferConfig {
  std::chrono::milliseconds frame{20};
  /// The delay is never made longer than this (but at least two frames and 20 ms).
  Duration most = wire::kPlayout;
  /// Always this delay, instead of what the packets' lateness asks for.
  std::optional<Duration> fixed;
  /// By how much a tick may be shortened or lengthened.
  double most_rate = 0.005;
};

struct JitterBufferCounters {
  Counter played, late, concealed, inserted, left_out, skipped, drop_ahead;
  template <class F>
  void each(F&& f) const {
    f("player_played", played);
    f("player_late", late);            // came when their time was over
    f("player_concealed", concealed);  // ticks made up in place of one that was missing at its time
    f("player_inserted", inserted);    // ticks made up beside all others, which made the delay longer
    f("player_left_out", left_out);    // quiet ones, which made it shorter
    f("player_skipped", skipped);      // since the player itself stood still
    f("player_drop_ahead", drop_ahead);
  }
};

struct JitterTick {
  enum class Turn : std::uint8_t {
    play,
    conceal,  // its packet is missing, and its time is over
    insert,   // time is stretched: something like what was before
  };
  Turn turn = Turn::play;
  /// For a decoder: of what is concealed or inserted `lost`, with the next packet where its FEC may help. Valid until
  /// the buffer's next call.
  Played played;
  /// The delay is too long by a tick: if this one turns out to be quiet, leave it out and say so by leave_out().
  bool may_leave_out = false;
  /// By so much of itself the tick is to be shorter; negative: longer.
  double rate = 0;
};

/// The delay of a tick is from when its packet would have come, had nothing delayed it, to its time. It should be
/// DelayTarget's (or the fixed one), and is brought there so that nothing of speech is cut out:
/// - longer: where a packet is missing that may still come, time stands still and the gap is concealed; else in quiet
///   moments a tick is inserted, and meanwhile ticks are lengthened by up to most_rate;
/// - shorter: ticks are shortened by up to most_rate, and where it is too long by a whole tick, quiet ones are left
/// out. What is within kBand of the target is left alone, so that on a good network every sample is played as decoded.
/// As the sender's clock drifts against the one that `now` is of, so does the delay: the same corrects it.
///
/// A packet that is missing when its time is over is concealed; should it come later, it is counted late and not
/// played. Storage is taken at construction.
class JitterBuffer {
 public:
  static constexpr Duration kBand = 10ms;
  static constexpr Duration kCorrectWithin = 10s;  // unless most_rate forbids
  static constexpr Duration kAsleep = 1s;          // who comes so much too late does not catch up

  explicit JitterBuffer(const JitterBufferConfig& config);

  /// From Playout::each_ahead(), or any packet before its turn; again and again does no harm.
  void on_ahead(const Played& played, Time now);
  /// From Playout::next(): each tick in its turn.
  void on_played(const Played& played, Time now);

  /// When the next tick is to be played; kNever: nothing has come yet, or the end has been played.
  Time next_deadline() const { return running_ ? next_play_ : kNever; }
  /// The tick that is due. `quiet`: nobody would hear if what was last put out went on a little longer. After each call
  /// that gives true either on_output() or leave_out().
  bool next(JitterTick& out, bool quiet, Time now);
  /// The tick's sound lasts so long.
  void on_output(Duration length) { next_play_ += length; }
  void leave_out() { counters_.left_out.add(); }
  /// The next tick without waiting for its time: for the rest, when a player ends. False: there is none.
  bool flush(JitterTick& out);

  /// Nothing is left to be played: before the start and after the end.
  bool idle() const { return !running_; }
  Duration target(Time now) const { return config_.fixed.value_or(lateness_.target(now)); }
  /// Of the last tick.
  Duration delay() const { return delay_; }
  /// Of the sender's clock against ours; positive: it is faster.
  std::optional<double> drift_ppm() const { return drift_.ppm(); }
  const JitterBufferCounters& counters() const { return counters_; }

 private:
  enum class State : std::uint8_t { nothing, held, played, missed };
  struct Slot {
    Sequence sequence;
    State state = State::nothing;
    std::uint16_t size = 0;
    SourceId source;
    std::array<std::uint8_t, wire::kMaxOpus> opus;
  };
  /// When a sequence comes if nothing delays it.
  struct Anchor {
    Sequence sequence;
    Time expected;
  };
  struct Jump {
    Sequence to;
    std::optional<Anchor> anchor;
  };
  Slot& slot(Sequence sequence) { return slots_[static_cast<std::size_t>(sequence.value % slots_.size())]; }
  const Slot* held(Sequence sequence);
  Time expected(const Anchor& anchor, Sequence sequence) const;
  void store(const Played& played, bool in_turn, Time now);
  void follow(const Played& played, Time now);
  void start(Sequence sequence, Time now);
  void jump();
  JitterTick::Turn decide(const Slot* found, Duration goal, bool quiet) const;
  void play(const Slot& from, JitterTick& out);
  void make_up(JitterTick& out);
  void advance();
  double correction(Duration goal);

  const JitterBufferConfig config_;
  const Duration frame_;
  const Duration most_;
  DelayTarget lateness_;
  Drift drift_;
  std::vector<Slot> slots_;

  bool running_ = false;
  bool settling_ = false;  // after a start or jump time stands still until the delay is there
  bool discontinuity_ = false;
  bool correcting_ = false;
  bool waits_ = false;  // time stands still until the next one comes
  Sequence next_;       // to be played
  Sequence end_;        // one past the highest that was stored
  Time next_play_;      // its time
  Duration delay_{0};
  std::optional<Anchor> anchor_;
  std::optional<Jump> jump_;
  std::optional<Sequence> last_;  // of the broadcast
  Time drift_from_;
  JitterBufferCounters counters_;
};

}  // namespace tiercast::receive
