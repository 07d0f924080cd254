#include "relay/node/origin.hpp"

#include <algorithm>

#include "relay/node/feed_group.hpp"

namespace tiercast::node {
namespace {
constexpr Duration kSaveSequenceEvery = 5s;
// Of saves because the stream is ahead of what the last one promised.
constexpr Duration kSaveAheadEvery = 250ms;
constexpr std::uint64_t kAhead = 2;  // frames
// After another boot nobody knows how long ago the last save was: so long at most before that process's end.
constexpr Duration kUnsaved = 2 * kSaveSequenceEvery;

/// What the last process may have sealed since its last save is not sealed again: those below would take it for stale.
/// The wall says nothing of it: it may have been set back, or the stream be ahead of it.
Sequence used_before(const Origin::Setup& setup) {
  if (setup.last.value == 0) return setup.last;
  const Duration since = std::max(setup.since.value_or(kUnsaved), Duration{0});
  // That process may have had shorter frames.
  const std::uint8_t frame_ms = setup.point ? std::min(setup.point->frame_ms, setup.frame_ms) : setup.frame_ms;
  return setup.last.plus(kAhead + static_cast<std::uint64_t>(since / std::chrono::milliseconds{frame_ms}));
}

std::optional<publish::ClockPoint> numbered_before(const Origin::Setup& setup) {
  return setup.point && setup.point->frame_ms == setup.frame_ms ? setup.point : std::nullopt;
}

}  // namespace

Origin::Origin(const Setup& setup, Moment now)
    : source_(setup.source),
      frame_(std::chrono::milliseconds{setup.frame_ms}),
      ingest_(setup.frame_ms, used_before(setup).next(), now, numbered_before(setup)),
      epochs_(setup.group, setup.source, setup.epochs, setup.rotate_every, *setup.random, now),
      publisher_(setup.group, setup.source, *setup.signing_key, used_before(setup)),
      saved_epochs_(setup.epochs),
      saved_{publisher_.last(), now.mono},
      furthest_(saved_),
      next_sequence_save_(now.mono + kSaveSequenceEvery) {
  statement_.group = setup.group;
  statement_.source = setup.source;
  statement_.frame_ms = setup.frame_ms;
  if (!setup.align) return;
  alignment_.emplace(std::chrono::milliseconds{setup.frame_ms}, setup.source.value < setup.align->value, now.mono);
  ingest_.hold_back();
}

void Origin::on_rtp(Bytes datagram, Moment now) {
  ingest_.on_datagram(datagram, now);
  if (!alignment_) return;
  if (const auto taken = ingest_.take_taken())
    alignment_->on_packet(*taken, publish::Alignment::hash(taken->opus), now.mono);
  align(now);
}

void Origin::on_other_statement(const wire::GroupInfo& info, Moment now) {
  alignment_->on_statement(info, now.mono);
  align(now);
}

void Origin::on_other_frame(Sequence sequence, Bytes opus, Moment now) {
  alignment_->on_frame(sequence, publish::Alignment::hash(opus), now.mono);
  align(now);
}

void Origin::align(Moment now) {
  alignment_->run(ingest_, now);
  ingest_.set_locked(alignment_->agree() && alignment_->other_lives(now.mono));
}

void Origin::on_timer(Moment now) {
  ingest_.on_timer(now);
  if (alignment_) align(now);
  epochs_.on_timer(now);
}

void Origin::use_current_epoch() {
  const auto current = epochs_.current();
  if (current && current->epoch.value != epoch_in_use_) {
    if (publisher_.use_epoch(*current)) epoch_in_use_ = current->epoch.value;
  }
}

void Origin::store_attestation(FeedGroup& group, FrameSink& sink, Time now) {
  while (const auto attest = publisher_.take_attestation(now)) {
    if (const auto number = group.group.history.add_attestation(*attest)) {
      sink.on_attestation_stored(group, *number);
    } else {
      counters_.drop_pinned.add();
    }
  }
}

void Origin::run(FeedGroup& group, FrameSink& sink, Moment now) {
  use_current_epoch();
  store_attestation(group, sink, now.mono);
  publish::Tick tick;
  while (ingest_.next(tick)) {
    tick.flags |= std::exchange(untold_flags_, std::uint8_t{0});
    const auto slot = group.group.history.claim_frame(tick.sequence);
    if (!slot) {
      counters_.drop_pinned.add();
      untold_flags_ = tick.flags;
      continue;
    }
    const auto length = publisher_.publish(tick, *slot, now.mono);
    if (!length) {
      counters_.drop_publish.add();
      untold_flags_ = tick.flags;
      continue;
    }
    group.group.history.publish_frame(tick.sequence, *length);
    sink.on_frame_stored(group, tick.sequence);
    watch_pace(tick.sequence, now.mono);
    state(tick, now);
    store_attestation(group, sink, now.mono);
  }
}

Sequence Origin::later(const Mark& mark, Time now) const {
  return mark.sequence.plus(static_cast<std::uint64_t>((now - mark.at) / frame_));
}

/// What would be used again if the process died now, and the next one went by the last save, is saved soon; so is how
/// it numbers, when that is another way.
void Origin::watch_pace(Sequence sealed, Time now) {
  if (sealed > later(furthest_, now)) furthest_ = {sealed, now};
  if (later(furthest_, now) > later(saved_, now).plus(kAhead) || ingest_.moves() != saved_moves_)
    next_sequence_save_ = std::min(next_sequence_save_, std::max(now, next_ahead_save_));
}

/// The statement of what the tick is, and when it was: children tell latency by it, a second origin its place.
void Origin::state(const publish::Tick& tick, Moment now) {
  // An empty tick has the timestamp that a packet would have had.
  const auto ticks = static_cast<std::uint32_t>(tick.sequence.value - statement_.stamped.value);
  const std::uint32_t step = statement_.frame_ms * 48U;
  if (statement_.ssrc != 0) statement_.rtp_timestamp += ticks * step;
  if (tick.ssrc != 0 || tick.rtp_timestamp != 0) {
    const std::uint32_t off = tick.rtp_timestamp - statement_.rtp_timestamp + step / 2;
    statement_changed_ = statement_changed_ || statement_.ssrc != tick.ssrc || off > step;
    statement_.ssrc = tick.ssrc;
    statement_.rtp_timestamp = tick.rtp_timestamp;
  }
  if ((tick.flags & wire::kFlagDiscontinuity) != 0 && tick.ssrc == 0) statement_.ssrc = statement_.rtp_timestamp = 0;
  statement_.stamped = tick.sequence;
  statement_.stamped_unix_us = static_cast<std::uint64_t>(now.wall.time_since_epoch().count());
  statement_.flags = wire::kInfoStamped;
  if ((tick.flags & wire::kFlagEnd) != 0) statement_.flags |= wire::kInfoEnded;
}

Time Origin::next_deadline() const {
  // While a save is under way nothing about saving can be done.
  const Time of_saving = saving_ ? kNever : std::min(epochs_.next_deadline(), next_sequence_save_);
  const Time of_alignment = alignment_ ? alignment_->next_deadline() : kNever;
  return std::min({ingest_.next_deadline(), publisher_.next_deadline(), of_saving, of_alignment});
}

std::optional<Origin::SaveJob> Origin::take_save(Time now) {
  if (saving_) return std::nullopt;
  auto state = epochs_.to_persist(now);
  if (!state && now < next_sequence_save_) return std::nullopt;
  saving_ = SaveJob{state.value_or(saved_epochs_), later(furthest_, now), now, ingest_.point(), state.has_value()};
  saved_moves_ = ingest_.moves();
  furthest_ = {publisher_.last(), now};
  if (!state) next_ahead_save_ = now + kSaveAheadEvery;
  return saving_;
}

void Origin::on_saved(bool well, Moment now) {
  if (!saving_) return;
  if (well) saved_ = {saving_->last, saving_->at};
  if (saving_->of_epochs) {
    if (well) {
      saved_epochs_ = saving_->epochs;
      epochs_.on_persisted(now.mono);
      use_current_epoch();
    } else {
      epochs_.on_persist_failed(now.mono);
    }
  }
  next_sequence_save_ = now.mono + kSaveSequenceEvery;
  saving_.reset();
  watch_pace(publisher_.last(), now.mono);  // what was sealed meanwhile
}

std::string Origin::rotate(Moment now) {
  const Time at = epochs_.request_rotation(now.mono);
  if (at <= now.mono) return {};
  const auto wait = std::chrono::ceil<std::chrono::seconds>(at - now.mono);
  return "rotates in " + std::to_string(wait.count()) +
         " s: the next epoch must be known below for 30 s before its use";
}

bool Origin::epochs_changed() { return std::exchange(changes_seen_, epochs_.changes()) != epochs_.changes(); }

}  // namespace tiercast::node
