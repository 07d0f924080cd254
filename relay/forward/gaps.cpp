#include "relay/forward/gaps.hpp"

#include <algorithm>

namespace tiercast::forward {
namespace {

// Asks that are due so soon anyway ride along: fewer NACKs, and still later than a round trip.
constexpr Duration kRideAlong = wire::kNackMargin / 4;
constexpr double kMarginJitter = 0.5;

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
  floor_ = proven_ = end_ = 0;
}

/// Everything begins at `sequence`.
void Gaps::anchor(std::uint64_t sequence) {
  forget_below(end_);
  started_ = true;
  floor_ = proven_ = end_ = sequence;
}

void Gaps::on_frame(Sequence sequence, bool jumps, Time now) {
  const std::uint64_t s = sequence.value;
  // A start that was said to be later than what comes was no start.
  if (!framed_ && (!started_ || s < proven_)) anchor(s);
  framed_ = true;
  if (is_missing(s)) {
    slot(s).sequence = Sequence{};
    --missing_count_;
    counters_.repaired.add();
  }
  if (jumps) {
    // The jump may itself have been lost and repaired: what was missed below it, down to the last frame that came,
    // never was.
    for (std::uint64_t q = std::min(s, end_); q > floor_ && (q > proven_ || is_missing(q - 1)); --q)
      if (is_missing(q - 1)) give_up(slot(q - 1));
    proven_ = std::max(proven_, s);
  }
  if (s < proven_) return;
  reach(s + 1);
  // What was only claimed and has been given up counts anew now that it is certain to exist.
  miss(proven_, s, now);
  proven_ = s + 1;
  if (missing_count_ == 0) floor_ = end_;
}

void Gaps::on_refuted(Sequence sequence, Time now) {
  const std::uint64_t s = sequence.value;
  if (framed_ && s < proven_ && s + window_ >= end_ && !is_missing(s)) miss(s, s + 1, now);
}

void Gaps::on_newest(Sequence newest, Time now) {
  if (!started_) return;
  const std::uint64_t first = end_;
  const std::uint64_t end = std::min(newest.value + 1, proven_ + window_ / 2);
  if (end <= first) return;
  reach(end);
  miss(first, end, now);
}

/// The window moves up: what falls out of it is given up.
void Gaps::reach(std::uint64_t end) {
  end_ = std::max(end_, end);
  if (end_ > window_) forget_below(end_ - window_);
}

/// All of [first, end), which is within reach, is missing from now on, if it is not yet.
void Gaps::miss(std::uint64_t first, std::uint64_t end, Time now) {
  const std::uint64_t oldest = end_ > window_ ? end_ - window_ : 0;
  if (first < std::min(oldest, end)) {
    const std::uint64_t beyond = std::min(oldest, end) - first;
    counters_.missing.add(beyond);
    counters_.given_up.add(beyond);
    first += beyond;
  }
  if (first >= end) return;
  if (missing_count_ == 0) wake_ = kNever;
  floor_ = std::min(floor_, first);
  for (std::uint64_t q = first; q < end; ++q) {
    if (is_missing(q)) continue;
    slot(q) = {Sequence{q}, now + config_.reorder, now + config_.deadline, 0};
    ++missing_count_;
    counters_.missing.add();
  }
  wake_ = std::min(wake_, now + std::min(config_.reorder, config_.deadline));
}

void Gaps::forget_below(std::uint64_t sequence) {
  for (std::uint64_t q = floor_; q < sequence && missing_count_ > 0; ++q)
    if (is_missing(q)) give_up(slot(q));
  floor_ = std::max(floor_, sequence);
}

void Gaps::give_up(Missing& missing) {
  missing.sequence = Sequence{};
  --missing_count_;
  counters_.given_up.add();
}

/// Jitter is in the margin alone: asking before the answer can have come would get it twice.
Duration Gaps::interval(Duration round_trip) {
  const Duration wanted = std::max(round_trip, Duration{0}) + random_->jitter(wire::kNackMargin, kMarginJitter);
  const Duration longest = std::max<Duration>((config_.deadline - config_.reorder) / wire::kNackRounds, 1ms);
  return std::min(wanted, longest);
}

bool Gaps::due(GroupId group, Duration round_trip, wire::Nack& nack, Time now) {
  if (now < next_deadline()) return false;
  nack.group = group;
  nack.kind = wire::NackKind::frame;
  nack.ranges.clear();
  // What is asked for together is asked for again together: one interval for all keeps ranges whole.
  const Time again = now + interval(round_trip);
  wake_ = kNever;
  std::uint64_t lowest = end_;
  std::uint64_t asked = 0;
  for (std::uint64_t q = floor_; q < end_; ++q) {
    if (!is_missing(q)) continue;
    Missing& missing = slot(q);
    if (now >= missing.give_up) {
      give_up(missing);
      continue;
    }
    lowest = std::min(lowest, q);
    if (now >= missing.ask_at - (missing.rounds > 0 ? kRideAlong : Duration{0})) {
      const bool joins = !nack.ranges.empty() && nack.ranges.back().first.value + nack.ranges.back().count == q;
      if (joins) {
        ++nack.ranges.back().count;
      } else if (!nack.ranges.push_back({Sequence{q}, 1})) {
        wake_ = now;  // the next NACK's
        continue;
      }
      ++missing.rounds;
      missing.ask_at = again;
      ++asked;
    }
    wake_ = std::min({wake_, missing.ask_at, missing.give_up});
  }
  floor_ = lowest;
  if (asked == 0) return false;
  counters_.asked.add(asked);
  counters_.nacks.add();
  return true;
}

unsigned Gaps::rounds(Sequence sequence) const { return is_missing(sequence.value) ? slot(sequence.value).rounds : 0; }

}  // namespace tiercast::forward
