#include "relay/receive/jitter_buffer.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

namespace tiercast::receive {
namespace {

using Turn = JitterTick::Turn;

constexpr Duration kRoom = 3s;        // what comes so far ahead of its time is kept
constexpr Duration kSettled = 10s;    // until then PlayoutClock may still be guessing
constexpr Duration kTooLong = 500ms;  // above the longest delay: only a player that stood still gets there

/// So that FEC in the packet behind a missing one is there at its time, with some jitter.
Duration least_delay(Duration frame) { return 2 * frame + 20ms; }

}  // namespace

JitterBuffer::JitterBuffer(const JitterBufferConfig& config)
    : config_(config),
      frame_(config.frame),
      most_(std::max({config.most, config.fixed.value_or(Duration{0}), least_delay(frame_)})),
      lateness_(least_delay(frame_), most_),
      slots_(static_cast<std::size_t>((most_ + kTooLong + kRoom) / frame_) + 1) {
  assert(frame_ > Duration{0});
}

const JitterBuffer::Slot* JitterBuffer::held(Sequence sequence) {
  const Slot& found = slot(sequence);
  return found.state == State::held && found.sequence == sequence ? &found : nullptr;
}

Time JitterBuffer::expected(const Anchor& anchor, Sequence sequence) const {
  return anchor.expected + frame_ * static_cast<Duration::rep>(sequence.value - anchor.sequence.value);
}

// --- what comes ---

void JitterBuffer::on_ahead(const Played& played, Time now) {
  if (played.kind != PlayedKind::lost) store(played, false, now);
}

void JitterBuffer::on_played(const Played& played, Time now) {
  if (played.discontinuity) {
    last_.reset();
    if (running_) jump_ = Jump{played.sequence, {}};
  }
  follow(played, now);
  if (jump_ && jump_->to < next_) jump();  // what was before was no place in the stream
  if (played.kind != PlayedKind::lost) store(played, true, now);
  if (!played.end) return;
  last_ = played.sequence;
  if (next_ > *last_) running_ = false;
}

void JitterBuffer::store(const Played& played, bool in_turn, Time now) {
  const Sequence sequence = played.sequence;
  follow(played, now);
  if (!anchor_) return;
  if (!running_) {
    if (last_ && sequence <= *last_) return;
    start(sequence, now);
  }
  const bool behind_jump = jump_ && sequence >= jump_->to;
  Slot& into = slot(sequence);
  const bool known = into.sequence == sequence && into.state != State::nothing;
  if (known && into.state != State::missed) return;
  const Anchor& anchor = behind_jump && jump_->anchor ? *jump_->anchor : *anchor_;
  const Duration lateness = now - expected(anchor, sequence);
  if (sequence < next_ && !behind_jump) {
    if (!known) return;  // before the start, or skipped
    into.state = State::played;
    counters_.late.add();
    return lateness_.on_packet(lateness, true, now);
  }
  if (!behind_jump && sequence.value - next_.value >= slots_.size()) {
    if (in_turn) counters_.drop_ahead.add();  // until then it is offered again
    return;
  }
  into.sequence = sequence;
  into.state = State::held;
  into.size = static_cast<std::uint16_t>(std::min(played.opus.size(), into.opus.size()));
  into.source = played.source;
  std::copy_n(played.opus.begin(), into.size, into.opus.begin());
  end_ = std::max(end_, sequence.next());
  lateness_.on_packet(lateness, sequence == next_ && waits_, now);
}

/// The fastest packets' way, as it is now.
void JitterBuffer::follow(const Played& played, Time now) {
  if (played.expected == kNever) return;
  const Anchor anchor{played.sequence, played.expected};
  if (jump_ && played.sequence >= jump_->to) {
    jump_->anchor = anchor;
    return;
  }
  if (anchor_) {
    const Duration step = played.expected - expected(*anchor_, played.sequence);
    if (step >= Drift::kStep) lateness_.shift(step);
  }
  anchor_ = anchor;
  if (running_ && now >= drift_from_)
    drift_.on_expected(frame_ * static_cast<Duration::rep>(played.sequence.value), played.expected, now);
}

void JitterBuffer::start(Sequence sequence, Time now) {
  running_ = discontinuity_ = true;
  next_ = end_ = sequence;
  next_play_ = std::max(now, expected(*anchor_, sequence) + target(now));
  drift_from_ = now + kSettled;
  drift_.restart();
  jump_.reset();
}

/// Other ticks come next, by another clock.
void JitterBuffer::jump() {
  if (jump_->to < next_) {
    for (Slot& s : slots_) s.state = State::nothing;
    end_ = jump_->to;
  }
  next_ = jump_->to;
  end_ = std::max(end_, next_);
  if (jump_->anchor) anchor_ = jump_->anchor;
  jump_.reset();
  settling_ = discontinuity_ = true;
  drift_from_ = next_play_ + kSettled;
  drift_.restart();
}

// --- what is played ---

bool JitterBuffer::next(JitterTick& out, bool quiet, Time now) {
  if (!running_ || now < next_play_) return false;
  if (now - next_play_ > kAsleep) next_play_ = now;
  if (jump_ && jump_->anchor && (next_ == jump_->to || held(next_) == nullptr)) jump();
  const Duration goal = target(now);
  delay_ = next_play_ - expected(*anchor_, next_);
  if (delay_ > most_ + kTooLong) {
    const auto ticks = static_cast<std::uint64_t>((delay_ - goal) / frame_);
    counters_.skipped.add(ticks);
    next_ = next_.plus(ticks);
    end_ = std::max(end_, next_);
    delay_ -= frame_ * static_cast<Duration::rep>(ticks);
    discontinuity_ = true;
  }
  out = JitterTick{};
  const Slot* found = held(next_);
  out.turn = decide(found, goal, quiet);
  if (settling_ && out.turn != Turn::insert) settling_ = false;
  if (out.turn != Turn::play) {
    make_up(out);
    return true;
  }
  out.may_leave_out = !config_.fixed && delay_ > goal + frame_ + kBand && held(next_.next()) != nullptr;
  out.rate = correction(goal);
  play(*found, out);
  return true;
}

Turn JitterBuffer::decide(const Slot* found, Duration goal, bool quiet) const {
  if (settling_ && delay_ + frame_ / 2 < goal) return Turn::insert;
  if (found != nullptr) {
    const bool unheard = quiet || found->size == 0;
    return !config_.fixed && unheard && delay_ + frame_ <= goal ? Turn::insert : Turn::play;
  }
  if (config_.fixed) return Turn::conceal;
  const bool stalled = end_ <= next_;
  const bool may_wait = delay_ + frame_ <= most_;
  return may_wait && (stalled || delay_ + frame_ / 2 < goal) ? Turn::insert : Turn::conceal;
}

void JitterBuffer::play(const Slot& from, JitterTick& out) {
  out.played.sequence = next_;
  out.played.kind = from.size == 0 ? PlayedKind::empty : PlayedKind::frame;
  out.played.opus = Bytes{from.opus}.first(from.size);
  out.played.source = from.source;
  out.played.discontinuity = std::exchange(discontinuity_, false);
  out.played.end = last_ == next_;
  counters_.played.add();
  slot(next_).state = State::played;
  advance();
}

void JitterBuffer::make_up(JitterTick& out) {
  out.played.sequence = next_;
  out.played.kind = PlayedKind::lost;
  if (out.turn == Turn::insert) {
    waits_ = held(next_) == nullptr;
    return counters_.inserted.add();
  }
  counters_.concealed.add();
  out.played.discontinuity = std::exchange(discontinuity_, false);
  if (const Slot* after = held(next_.next())) out.played.next_opus = Bytes{after->opus}.first(after->size);
  Slot& missing = slot(next_);
  missing.sequence = next_;
  missing.state = State::missed;
  advance();
}

void JitterBuffer::advance() {
  if (last_ == next_) running_ = false;
  waits_ = false;
  next_ = next_.next();
  end_ = std::max(end_, next_);
}

double JitterBuffer::correction(Duration goal) {
  const Duration error = delay_ - goal;
  const Duration off = error < Duration{0} ? -error : error;
  if (off > kBand) correcting_ = true;
  if (off < 1ms) correcting_ = false;
  if (!correcting_) return 0;
  const double wanted = static_cast<double>(error.count()) / static_cast<double>(kCorrectWithin.count());
  return std::clamp(wanted, -config_.most_rate, config_.most_rate);
}

bool JitterBuffer::flush(JitterTick& out) {
  if (!running_) return false;
  if (jump_ && jump_->anchor && held(next_) == nullptr) jump();
  if (next_ == end_) return false;
  out = JitterTick{};
  const Slot* found = held(next_);
  if (found != nullptr) {
    play(*found, out);
  } else {
    out.turn = Turn::conceal;
    make_up(out);
  }
  return true;
}

}  // namespace tiercast::receive
