// A sender, a network and a player in virtual time, around a jitter buffer.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "relay/receive/jitter_buffer.hpp"
#include "tests/receive/stream.hpp"

namespace tiercast::test {

using receive::JitterBuffer;
using receive::JitterBufferConfig;
using receive::JitterTick;
using receive::Played;
using receive::PlayedKind;

/// Ticks are numbered from 0; number n is sent at n frames of the sender's clock.
class JitterRig {
 public:
  /// Of tick n; nullopt: lost.
  using Delay = std::function<std::optional<Duration>(std::uint64_t n)>;
  static constexpr std::uint64_t kFirst = 85'000'000'000;  // as of a real broadcast

  explicit JitterRig(const JitterBufferConfig& config = {}) : buffer(config), frame(config.frame), clock_(frame) {}

  /// Goes on for so long. `ppm`: the sender's clock is faster than the player's.
  void run(Duration span, const Delay& delay, double ppm = 0) {
    const Time until = now + span;
    while (true) {
      while (sent_at(ppm) <= until) {
        if (const auto by = delay(sent_)) arrivals_.emplace(sent_at(ppm) + *by, sent_);
        last_sent_ = sent_at(ppm);
        ++sent_;
      }
      const Time arrival = arrivals_.empty() ? kNever : arrivals_.begin()->first;
      const Time due = buffer.next_deadline();
      const Time next = std::max(now, std::min(arrival, due));
      if (next > until) break;
      now = next;
      if (arrival <= due) {
        const std::uint64_t n = arrivals_.begin()->second;
        arrivals_.erase(arrivals_.begin());
        arrive(n);
      } else {
        play();
      }
    }
    now = until;
  }
  void arrive(std::uint64_t n) {
    clock_.sample(Sequence{kFirst + n}, now, true);
    buffer.on_ahead(packet(n), now);
  }
  Played packet(std::uint64_t n) const {
    Played p;
    p.sequence = Sequence{kFirst + n};
    p.kind = PlayedKind::frame;
    p.opus = kOpus;
    p.expected = clock_.expected(p.sequence);
    return p;
  }
  void play() {
    JitterTick tick;
    if (!buffer.next(tick, quiet, now)) return;
    if (tick.may_leave_out && quiet) return buffer.leave_out();
    turns.push_back(tick.turn);
    at.push_back(now);
    if (tick.turn == JitterTick::Turn::play) heard.push_back(tick.played.sequence.value - kFirst);
    if (tick.rate != 0) ++corrected;
    shortest = std::min(shortest, buffer.delay());
    longest = std::max(longest, buffer.delay());
    const Duration sound{std::llround(static_cast<double>(Duration{frame}.count()) * (1 - tick.rate))};
    const double slower = pace ? pace(sound) : 0;
    buffer.on_output(Duration{std::llround(static_cast<double>(sound.count()) * (1 + slower))});
  }
  /// What is measured is measured from here on.
  void forget() {
    heard.clear();
    turns.clear();
    at.clear();
    corrected = 0;
    shortest = Duration::max();
    longest = Duration::min();
    before_ = buffer.counters();
  }
  std::uint64_t since(Counter receive::JitterBufferCounters::*counter) const {
    return (buffer.counters().*counter).get() - (before_.*counter).get();
  }
  /// Each tick once, in order, none left out.
  bool whole() const {
    for (std::size_t i = 1; i < heard.size(); ++i)
      if (heard[i] != heard[i - 1] + 1) return false;
    return true;
  }

  JitterBuffer buffer;
  std::chrono::milliseconds frame;
  Time now = test::at(0ms);
  bool quiet = false;  // what is played is silence
  /// Takes what is played; by so much the device is slower than `now`'s clock.
  std::function<double(Duration sound)> pace;
  std::vector<std::uint64_t> heard;
  std::vector<JitterTick::Turn> turns;
  std::vector<Time> at;
  std::uint64_t corrected = 0;
  Duration shortest = Duration::max(), longest = Duration::min();

 private:
  static constexpr std::uint8_t kOpusByte = 0x78;
  static constexpr Bytes kOpus{&kOpusByte, 1};
  Time sent_at(double ppm) const {
    if (sent_ == 0) return test::at(0ms);
    return last_sent_ + Duration{std::llround(static_cast<double>(Duration{frame}.count()) / (1 + ppm * 1e-6))};
  }
  receive::PlayoutClock clock_;
  std::uint64_t sent_ = 0;
  Time last_sent_ = test::at(0ms);
  std::multimap<Time, std::uint64_t> arrivals_;
  receive::JitterBufferCounters before_;
};

}  // namespace tiercast::test
