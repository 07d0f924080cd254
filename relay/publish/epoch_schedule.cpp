// States and their order: proposed, saved, in effect.
#include "relay/publish/epoch_schedule.hpp"

#include <algorithm>
#include <cassert>
#include <limits>

namespace tiercast::publish {

namespace {

constexpr Duration kSaveAgain = 1s;

std::uint64_t unix_seconds(WallTime t) {
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(std::chrono::floor<std::chrono::seconds>(t).time_since_epoch().count(), 0));
}

/// max(last + 1, unix seconds). u32 ends in 2106; the last numbers are kept for counting on from there.
Epoch next_number(Epoch last, WallTime now) {
  constexpr std::uint64_t kLastOfClock = std::numeric_limits<std::uint32_t>::max() - 0xffff;
  assert(last.value != std::numeric_limits<std::uint32_t>::max());
  const std::uint64_t of_clock = std::min(unix_seconds(now), kLastOfClock);
  return Epoch{static_cast<std::uint32_t>(std::max<std::uint64_t>(std::uint64_t{last.value} + 1, of_clock))};
}

}  // namespace

EpochSchedule::EpochSchedule(GroupId group, SourceId source, const EpochState& stored, Duration rotate_every,
                             Random& random, Moment now)
    : group_(group), source_(source), rotate_every_(rotate_every), random_(&random), state_(stored) {
  for (const ScheduledEpoch& epoch : state_.announced) {
    // Its age by the wall: a clock that was set back makes it young, which only costs waiting.
    const std::uint64_t wall = unix_seconds(now.wall);
    const std::uint64_t age = wall > epoch.made_unix_s ? wall - epoch.made_unix_s : 0;
    const auto bounded = static_cast<std::int64_t>(std::min<std::uint64_t>(age, 3600));
    known_since_.push_back(now.mono - std::chrono::seconds{bounded});
  }
  current_since_ = now.mono;
  propose_next(now);
}

void EpochSchedule::fill(EpochState& state, WallTime now) {
  while (!state.announced.full()) {
    ScheduledEpoch made;
    made.number = next_number(state.highest, now);
    made.made_unix_s = unix_seconds(now);
    random_->fill(made.value);
    state.highest = made.number;
    state.announced.push_back(made);
  }
}

void EpochSchedule::propose_next(Moment now) {
  proposed_ = state_;
  fill(proposed_, now.wall);  // the first start has none to take
  proposed_.current = proposed_.announced[0];
  proposed_.announced.erase_at(0);
  fill(proposed_, now.wall);
  save_ = Save::wanted;
  save_from_ = now.mono;
}

void EpochSchedule::propose_discard(Moment now) {
  discard_requested_ = false;
  proposed_ = state_;
  proposed_.announced.clear();
  fill(proposed_, now.wall);
  save_ = Save::wanted;
  save_from_ = now.mono;
}

std::optional<EpochState> EpochSchedule::to_persist(Time now) {
  if (save_ != Save::wanted || now < save_from_) return std::nullopt;
  save_ = Save::under_way;
  return proposed_;
}

void EpochSchedule::on_persisted(Time now) {
  if (save_ != Save::under_way) return;
  save_ = Save::none;
  if (!state_.current || state_.current->number != proposed_.current->number) {
    current_since_ = now;
    // A start is no rotation: one that was asked for in the meantime is still to come.
    if (changes_ > 0) rotation_requested_ = false;
  }
  InlineVector<Time, wire::kEpochsAhead> known_since;
  for (const ScheduledEpoch& epoch : proposed_.announced) {
    Time since = now;
    for (std::size_t i = 0; i < state_.announced.size(); ++i)
      if (state_.announced[i].number == epoch.number) since = known_since_[i];
    known_since.push_back(since);
  }
  known_since_ = known_since;
  state_ = proposed_;
  ++changes_;
}

void EpochSchedule::on_persist_failed(Time now) {
  if (save_ != Save::under_way) return;
  save_ = Save::wanted;
  save_from_ = now + kSaveAgain;
}

Time EpochSchedule::next_usable() const { return known_since_[0] + wire::kEpochAge; }

void EpochSchedule::on_timer(Moment now) {
  if (changes_ == 0 || save_ != Save::none) return;
  if (discard_requested_) return propose_discard(now);
  const bool wanted = rotation_requested_ || (rotate_every_ > 0s && now.mono >= current_since_ + rotate_every_);
  if (wanted && now.mono >= next_usable()) propose_next(now);
}

Time EpochSchedule::next_deadline() const {
  if (save_ == Save::wanted) return save_from_;
  if (save_ == Save::under_way) return kNever;
  if (discard_requested_) return Time::min();
  if (rotation_requested_) return next_usable();
  return rotate_every_ > 0s ? std::max(next_usable(), current_since_ + rotate_every_) : kNever;
}

Time EpochSchedule::request_rotation(Time now) {
  rotation_requested_ = true;
  const bool rotating = save_ != Save::none && changes_ > 0 && proposed_.current != state_.current;
  if (rotating) return now;  // it counts as the one asked for
  // New ones are about to be announced: known from then on, not before.
  if (save_ != Save::none || discard_requested_) return now + wire::kEpochAge;
  return std::max(now, next_usable());
}

void EpochSchedule::discard_announced(Moment now) {
  discard_requested_ = true;
  if (save_ == Save::none && changes_ > 0) propose_discard(now);
}

wire::EpochRecord EpochSchedule::record(const ScheduledEpoch& epoch) const {
  return {group_, source_, epoch.number, epoch.value};
}

std::optional<wire::EpochRecord> EpochSchedule::current() const {
  if (changes_ == 0) return std::nullopt;
  return record(*state_.current);
}

InlineVector<wire::EpochRecord, 1 + wire::kEpochsAhead> EpochSchedule::announced() const {
  InlineVector<wire::EpochRecord, 1 + wire::kEpochsAhead> all;
  if (changes_ == 0) return all;
  all.push_back(record(*state_.current));
  for (const ScheduledEpoch& epoch : state_.announced) all.push_back(record(epoch));
  return all;
}

}  // namespace tiercast::publish
