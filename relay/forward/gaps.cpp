#include "relay/forward/gaps.hpp"

#include <algorithm>

namespace tiercast::forward {
namespace {

// Asks that are due so soon anyway ride along: fewer NACKs, and still later than a round trip.
constexpr Duration kRideAlong = wire::kNackMargin / 4;
constexpr double kMarginJitter = 0.5;
// The whole of a long hole is asked for so often: a relay's history is to be whole, and a question may be lost.
constexpr unsigned kWholeRounds = 2;

}  // namespace

Gaps::Gaps(const Config& config, Random& random)
    : config_(config),
      random_(&random),
      window_(std::clamp<std::size_t>(static_cast<std::size_t>(wire::kHistory / config.frame), 2, kMax)) {}

void Gaps::start_from(Sequence first, Time) {
  if (!framed_) return anchor(first.value);
  forget_below(first.value);
  proven_ = std::max(proven_, first.value);
  end_ = std::max(end_, proven_);
}

void Gaps::restart() {
  forget_below(end_);
  started_ = framed_ = false;
  presume_at_ = kNever;
  floor_ = proven_ = end_ = 0;
}

/// Everything begins at `sequence`.
void Gaps::anchor(std::uint64_t sequence) {
  forget_below(end_);
  started_ = true;
  floor_ = proven_ = end_ = sequence;
}

void Gaps::on_frame(Sequence sequence, bool jumps, Time now, const Way& way) {
  const std::uint64_t s = sequence.value;
  // A start that was said to be later than what comes was no start.
  if (!framed_ && (!started_ || s < proven_)) anchor(s);
  framed_ = true;
  if (is_missing(s)) came(slot(s), way, now);
  if (jumps) {
    // The jump may itself have been lost and repaired: what was missed below it, down to the last frame that came,
    // never was.
    for (std::uint64_t q = std::min(s, end_); q > floor_ && (q > proven_ || is_missing(q - 1)); --q)
      if (is_missing(q - 1)) drop(slot(q - 1), counters_.skipped);
    proven_ = std::max(proven_, s);
  }
  if (s >= proven_) {
    over_ = false;
    advanced_ = now;
    reach(s + 1);
    // What was only claimed and has been given up counts anew now that it is certain to exist.
    miss(proven_, s, Known::certain, now);
    proven_ = s + 1;
    if (missing_count_ == 0) floor_ = end_;
  }
  heard(now);
}

/// What is missing no more, and which way it was repaired. What was only claimed to exist counts when it had to be
/// asked for: else it was just about to come.
void Gaps::came(Missing& missing, const Way& way, Time now) {
  Counter* how = &counters_.late;
  if (way.kind == Way::Kind::parity) {
    how = &counters_.parity;
  } else if (way.kind == Way::Kind::unicast && missing.rounds > 0 && (missing.asked & bit(way.parent)) != 0 &&
             now >= missing.answer_at) {
    how = &counters_.resent;
  }
  if (!missing.certain && how != &counters_.late) {
    missing.certain = true;
    counters_.missing.add();
  }
  drop(missing, *how);
  if (held_back_) wake_ = std::min(wake_, now + wire::kNackMargin);
}

void Gaps::on_end(Sequence last) {
  over_ = true;
  presume_at_ = kNever;
  for (std::uint64_t q = std::max(last.value + 1, proven_); q < end_; ++q)
    if (is_missing(q)) give_up(slot(q));
  end_ = std::max(proven_, std::min(end_, last.value + 1));
}

void Gaps::forget(Sequence below) {
  if (framed_) forget_below(below.value);
}

/// Something lives above. If it falls silent now, more frames may be due than anybody tells of.
void Gaps::heard(Time now) {
  const bool silence_tells = framed_ && !over_ && config_.silence > Duration{0};
  presume_at_ = silence_tells ? now + config_.silence : kNever;
}

/// The frames that the media clock says are due, one left out: they may come late.
void Gaps::presume(Time now) {
  if (now < presume_at_) return;
  const Duration since = now - advanced_;
  if (since > config_.deadline) {
    presume_at_ = kNever;
    return;
  }
  presume_at_ = now + std::max<Duration>(config_.frame, config_.presumed_every);
  const std::uint64_t first = end_;
  const std::uint64_t end = proven_ + static_cast<std::uint64_t>(std::max<std::int64_t>(since / config_.frame - 1, 0));
  if (end <= first) return;
  reach(end);
  miss(first, end, Known::presumed, now);
}

void Gaps::on_refuted(Sequence sequence, Time now) {
  const std::uint64_t s = sequence.value;
  if (framed_ && s < proven_ && s + window_ >= end_ && !is_missing(s)) miss(s, s + 1, Known::certain, now);
}

void Gaps::on_newest(Sequence newest, Time now) {
  if (!started_) return;
  heard(now);
  const std::uint64_t first = end_;
  const std::uint64_t end = std::min(newest.value + 1, proven_ + window_ / 2);
  if (end <= first) return;
  reach(end);
  miss(first, end, Known::told, now);
}

/// The window moves up: what falls out of it is given up.
void Gaps::reach(std::uint64_t end) {
  end_ = std::max(end_, end);
  if (end_ > window_) forget_below(end_ - window_);
}

/// All of [first, end), which is within reach, is missing from now on, if it is not yet.
void Gaps::miss(std::uint64_t first, std::uint64_t end, Known known, Time now) {
  const std::uint64_t oldest = end_ > window_ ? end_ - window_ : 0;
  const bool certain = known == Known::certain;
  if (first < std::min(oldest, end)) {
    const std::uint64_t beyond = std::min(oldest, end) - first;
    if (certain) {
      counters_.missing.add(beyond);
      counters_.given_up.add(beyond);
    }
    first += beyond;
  }
  if (first >= end) return;
  if (missing_count_ == 0) wake_ = kNever;
  floor_ = std::min(floor_, first);
  const Duration spread{static_cast<Duration::rep>(
      config_.spread.count() > 0 ? random_->below(static_cast<std::uint64_t>(config_.spread.count())) : 0)};
  const bool presumed = known == Known::presumed;
  const Time ask_at = now + spread + (presumed ? Duration{0} : config_.reorder);
  for (std::uint64_t q = first; q < end; ++q) {
    Missing& missing = slot(q);
    if (!is_missing(q)) {
      missing = Missing{};
      missing.sequence = Sequence{q};
      missing.ask_at = ask_at;
      missing.missed_at = now;
      missing.presumed = presumed;
      ++missing_count_;
    }
    if (!certain || missing.certain) continue;
    missing.certain = true;
    missing.presumed = false;
    counters_.missing.add();
  }
  wake_ = std::min({wake_, ask_at, now + config_.deadline});
}

void Gaps::forget_below(std::uint64_t sequence) {
  for (std::uint64_t q = floor_; q < sequence && missing_count_ > 0; ++q)
    if (is_missing(q)) give_up(slot(q));
  floor_ = std::max(floor_, sequence);
}

void Gaps::give_up(Missing& missing) { drop(missing, counters_.given_up); }

void Gaps::drop(Missing& missing, Counter& why) {
  missing.sequence = Sequence{};
  --missing_count_;
  if (missing.certain) why.add();
}

/// Jitter is in the margin alone: asking before the answer can have come would get it twice.
Duration Gaps::interval(Duration round_trip) {
  const Duration wanted = std::max(round_trip, Duration{0}) + random_->jitter(wire::kNackMargin, kMarginJitter);
  const Duration longest = std::max<Duration>((config_.deadline - config_.reorder) / wire::kNackRounds, 1ms);
  return std::min(wanted, longest);
}

/// One past the last of the missing ones that `sequence` is among.
std::uint64_t Gaps::hole_end(std::uint64_t sequence) const {
  while (sequence < end_ && is_missing(sequence)) ++sequence;
  return sequence;
}

/// A hole that is longer than what anybody resends at once, and that two questions have not made shorter, may be a leap
/// of the media clock over an outage, whose frame that says so is not here: then only its last ones ever were. Below
/// them goes on who has got them, and later who is patient: it asks for all of it, seldom.
bool Gaps::may_never_have_been(const Missing& missing, std::uint64_t hole_end, Time now) const {
  return missing.rounds >= kWholeRounds && now < in_time_until(missing) &&
         missing.sequence.value + wire::kResendBurst < hole_end;
}

/// Its time has come, and no other parent is about to bring it by itself.
bool Gaps::asks_now(Missing& missing, std::span<const Askee> parents, Time now) const {
  if (now < missing.ask_at - (missing.rounds > 0 ? kRideAlong : Duration{0})) return false;
  if (missing.rounds > 0) return true;
  Time until = parity_until(missing, parents, now);
  if (until == now && may_still_come(parents, missing.sequence)) until = std::max(now, missing.missed_at + kOvertaken);
  if (until == now) return true;
  missing.ask_at = std::min(until, now + config_.reorder);
  return false;
}

/// When the block's last PARITY that is needed should be here; now: it is no use waiting. Index i goes out behind the
/// i-th frame after the block, and two rounds of questions must fit in behind it.
Time Gaps::parity_until(const Missing& missing, std::span<const Askee> parents, Time now) const {
  if (!parity_.on()) return now;
  const std::uint64_t q = missing.sequence.value;
  const std::uint64_t first = q - q % parity_.data;
  std::uint64_t lost = 0;
  for (std::uint64_t s = first; s < first + parity_.data; ++s) lost += is_missing(s) ? 1 : 0;
  const std::uint64_t last = first + parity_.data + lost;  // with a frame's time to spare
  if (lost > parity_.repair || proven_ > last) return now;
  const Time here = now + static_cast<std::int64_t>(last - proven_ + 1) * config_.frame;
  Duration round_trip{};
  for (const Askee& parent : parents)
    if (parent.live) round_trip = std::max(round_trip, parent.round_trip);
  return here + 2 * (round_trip + 2 * wire::kNackMargin) <= in_time_until(missing) ? here : now;
}

std::optional<std::size_t> Gaps::due(GroupId group, std::span<const Askee> parents, wire::Nack& nack, Time now) {
  if (now < next_deadline()) return std::nullopt;
  presume(now);
  if (missing_count_ == 0) return std::nullopt;
  nack.group = group;
  nack.kind = wire::NackKind::frame;
  nack.ranges.clear();
  std::optional<std::size_t> parent;
  Time again, again_presumed, again_late, answer_at;
  wake_ = kNever;
  held_back_ = false;
  std::uint64_t lowest = end_;
  std::uint64_t asked = 0;
  std::uint64_t hole = floor_;  // the end of the one that q is in
  for (std::uint64_t q = floor_; q < end_; ++q) {
    if (!is_missing(q)) continue;
    if (q >= hole) hole = hole_end(q);
    Missing& missing = slot(q);
    const Time in_time = in_time_until(missing), given_up = gives_up_at(missing);
    if (now >= given_up) {
      give_up(missing);
      continue;
    }
    lowest = std::min(lowest, q);
    if (may_never_have_been(missing, hole, now)) {
      wake_ = std::min(wake_, std::min(in_time, given_up));
      held_back_ = true;
      continue;
    }
    if (asks_now(missing, parents, now)) {
      const auto whom = whom_to_ask(parents, Sequence{q},
                                    missing.rounds > 0 ? std::optional<std::size_t>{missing.last} : std::nullopt);
      if (!whom) {
        wake_ = now;
        return std::nullopt;
      }
      if (!parent) {
        parent = whom;
        // What is asked for together is asked for again together: one interval for all keeps ranges whole.
        const Duration round_trip = parents[*whom].round_trip;
        again = now + interval(round_trip);
        again_presumed = std::max(again, now + config_.presumed_every);
        if (config_.patience > config_.deadline) again_late = now + random_->jitter(wire::kNackLate, kMarginJitter);
        answer_at = now + round_trip * 3 / 4;
      }
      const bool joins = !nack.ranges.empty() && nack.ranges.back().first.value + nack.ranges.back().count == q;
      if (whom != parent || (!joins && nack.ranges.size() == wire::kMaxNackRanges)) {
        wake_ = now;  // the next NACK's
        continue;
      }
      if (joins) {
        ++nack.ranges.back().count;
      } else {
        nack.ranges.push_back({Sequence{q}, 1});
      }
      if (missing.rounds++ == 0) missing.answer_at = answer_at;
      missing.asked |= bit(*parent);
      missing.last = static_cast<std::uint8_t>(std::min<std::size_t>(*parent, 255));
      missing.ask_at = missing.presumed ? again_presumed : now < in_time ? again : std::max(again, again_late);
      ++asked;
    }
    wake_ = std::min({wake_, missing.ask_at, given_up});
  }
  floor_ = lowest;
  if (asked == 0) return std::nullopt;
  counters_.asked.add(asked);
  counters_.nacks.add();
  return parent;
}

unsigned Gaps::rounds(Sequence sequence) const { return is_missing(sequence.value) ? slot(sequence.value).rounds : 0; }

}  // namespace tiercast::forward
