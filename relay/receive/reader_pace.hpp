// The pace of who reads samples from a pipe: a player's sound card has a clock of its own, and all that shows of it is
// how much of what was written has not been read yet. Knows no pipe.
#pragma once

#include <array>
#include <optional>

#include "relay/base/types.hpp"

namespace tiercast::receive {

/// A player begins when its buffer is full, and from then on takes as much as it plays. If ever less has been written
/// than that, there is a hole; so its buffer is filled by silence before the first word, and a reserve behind that. Who
/// takes whatever there is, such as a program that writes a file, gets kMost more than it could play.
class Prefill {
 public:
  static constexpr Duration kMost = 1250ms;  // aplay's buffers are 625 ms, ffplay's some 1,100
  static constexpr Duration kReserve = 60ms;
  static constexpr Duration kWindow = 300ms;
  static constexpr double kPaced = 1.6;      // times real time in a window; aplay's chunks are 125 ms
  static constexpr Duration kPatience = 2s;  // for one that has not begun to read
  static constexpr Duration kLook = 2ms;

  explicit Prefill(Time now) : began_(now), window_began_(now) {}
  /// How much silence to write now; call at least every kLook until the first word. `backlog`: what was written and has
  /// not been read.
  Duration more(Duration backlog, Time now);
  /// It is full: the word may come.
  bool done() const { return done_; }

 private:
  Time began_, window_began_;
  Duration given_{0}, given_before_{0};  // in all, and before this window
  bool done_ = false;
};

/// Afterwards. A reader takes a chunk when its card has room for one: what has to wait for that, the most of the
/// backlog in a window, should be the reserve. What its median over kWindows is off by tells how much faster or slower
/// than our clock the card runs, and is corrected by writing at another pace. Who lets nothing wait has no pace of its
/// own, and one whose backlog is beyond kAsleep has stopped.
class ReaderPace {
 public:
  static constexpr Duration kWindow = 2s;
  static constexpr std::size_t kWindows = 5;
  static constexpr Duration kBand = 20ms;
  static constexpr Duration kCorrectWithin = 30s;  // the median comes late: not faster than three times that
  static constexpr Duration kAsleep = 1s;
  static constexpr Duration kMostAhead = 1s;  // written ahead to one that may have no pace at all
  static constexpr double kMost = 0.005;

  /// Before each write.
  void on_backlog(Duration backlog, Time now);
  /// By so much of itself each piece should last longer than by our clock: positive: the reader is slow.
  double pace() const { return pace_; }
  /// It takes samples as it plays them.
  bool paced() const { return paced_; }

 private:
  void judge();
  std::optional<Time> window_began_;
  Duration most_{0};
  std::array<Duration, kWindows> windows_{};
  std::size_t count_ = 0;
  bool paced_ = false;
  bool correcting_ = false;
  Duration ahead_{0};
  double pace_ = 0;
};

}  // namespace tiercast::receive
