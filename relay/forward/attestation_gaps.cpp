#include "relay/forward/attestation_gaps.hpp"

#include <algorithm>

namespace tiercast::forward {
namespace {
constexpr Duration kOvertaken = 10ms;  // an attestation that came out of order
}

AttestationGaps::AttestationGaps(SourceId source, std::chrono::milliseconds frame, Duration grace)
    : source_(source),
      patience_(std::min<Duration>(wire::kAttestEvery, static_cast<int>(wire::kAttestFrames) * frame) + grace) {
  arrived_.fill(kNever);
}

void AttestationGaps::note_arrival(Sequence sequence, Time now) {
  if (sequence > newest_) {
    const std::uint64_t skipped = std::min<std::uint64_t>(sequence.value - newest_.value - 1, kArrivals);
    for (std::uint64_t back = 1; back <= skipped; ++back) arrived_[(sequence.value - back) % kArrivals] = kNever;
    newest_ = sequence;
  } else if (newest_.value - sequence.value >= kArrivals) {
    return;
  }
  arrived_[sequence.value % kArrivals] = now;
}

/// Of what is unattested now the first frame may be here for a while: its source has had as much time already.
void AttestationGaps::wait_for_next(Time now) {
  waiting_ = newest_ >= *attested_below_;
  rounds_ = 0;
  ask_at_ = kNever;
  if (!waiting_) return;
  waiting_since_ = now;
  const std::uint64_t oldest = newest_.value + 1 - std::min<std::uint64_t>(newest_.value + 1, kArrivals);
  for (Sequence s{std::max(attested_below_->value, oldest)}; s <= newest_; s = s.next())
    waiting_since_ = std::min(waiting_since_, arrived_[s.value % kArrivals]);
  ask_at_ = waiting_since_ + patience_;
  if (beyond_end_ > *attested_below_) ask_at_ = std::min(ask_at_, now + kOvertaken);
}

void AttestationGaps::on_frame(Sequence sequence, bool jumps, Time now) {
  if (!attested_below_ || (jumps && sequence > *attested_below_)) {  // a jump that was repaired comes late
    attested_below_ = sequence;  // what was before is nobody's business: a joiner has no use for it
    waiting_ = false;
  }
  note_arrival(sequence, now);
  if (!waiting_ && sequence >= *attested_below_) {
    waiting_ = true;
    waiting_since_ = now;
    rounds_ = 0;
    ask_at_ = now + patience_;
  }
}

void AttestationGaps::on_attestation(Sequence first, std::uint8_t count, Time now) {
  const Sequence end = first.plus(count);
  if (!attested_below_ || end <= *attested_below_) return;
  if (first > *attested_below_) {
    // One before it is missing: it may have been overtaken, else ask soon.
    if (first > beyond_end_ || beyond_end_ <= *attested_below_) beyond_ = first;
    beyond_end_ = std::max(beyond_end_, end);
    if (waiting_ && rounds_ == 0) ask_at_ = std::min(ask_at_, waiting_since_ + kOvertaken);
    return;
  }
  attested_below_ = beyond_ <= end ? std::max(end, beyond_end_) : end;
  wait_for_next(now);
}

/// Of the frames that came: who is asked answers for the source whose frame it has there, and one that did not come may
/// be the other source's.
Sequence AttestationGaps::first_unattested() const {
  const std::uint64_t oldest = newest_.value + 1 - std::min<std::uint64_t>(newest_.value + 1, kArrivals);
  for (Sequence s{std::max(attested_below_->value, oldest)}; s <= newest_; s = s.next()) {
    const bool covered = s >= beyond_ && s < beyond_end_;
    if (arrived_[s.value % kArrivals] != kNever && !covered) return s;
  }
  return *attested_below_;
}

std::optional<std::size_t> AttestationGaps::due(GroupId group, std::span<const Askee> parents, wire::Nack& nack,
                                                Time now) {
  if (!waiting_ || now < ask_at_) return std::nullopt;
  // It may have been lost there too; a relay may have it that forwards the other source now.
  const auto only = rounds_ % 3 == 2 ? std::nullopt : std::optional{source_};
  const auto asked = whom_to_ask(parents, *attested_below_, rounds_ > 0 ? last_ : std::nullopt, only);
  if (!asked) return std::nullopt;
  if (++rounds_ > kRounds) {
    counters_.given_up.add();
    attested_below_ = beyond_ > *attested_below_ ? beyond_end_ : newest_.next();
    wait_for_next(now);
    return std::nullopt;
  }
  nack = {};
  nack.group = group;
  nack.kind = wire::NackKind::attestation;
  nack.ranges.push_back({first_unattested(), 1});
  counters_.asked.add();
  ask_at_ = now + parents[*asked].round_trip + wire::kNackMargin * rounds_;
  last_ = asked;
  return asked;
}

void GroupAttestationGaps::on_frame(SourceId source, Sequence sequence, bool jumps, Time now) {
  auto* of = std::find_if(sources_.begin(), sources_.end(), [&](const OfSource& s) { return s.id == source; });
  if (of == sources_.end()) {
    if (!sources_.push_back({source, sequence, AttestationGaps{source, frame_, grace_}})) return;
    of = &sources_.back();
  }
  // Meanwhile the other one was forwarded, and this one's attestations were about frames that are not here.
  const bool again = sequence.value > of->newest.value + wire::kMaxAttested;
  of->newest = std::max(of->newest, sequence);
  of->gaps.on_frame(sequence, jumps || again, now);
}

void GroupAttestationGaps::on_attestation(SourceId source, Sequence first, std::uint8_t count, Time now) {
  for (OfSource& of : sources_)
    if (of.id == source) of.gaps.on_attestation(first, count, now);
}

std::optional<std::size_t> GroupAttestationGaps::due(GroupId group, std::span<const Askee> parents, wire::Nack& nack,
                                                     Time now) {
  for (OfSource& of : sources_)
    if (const auto whom = of.gaps.due(group, parents, nack, now)) return whom;
  return std::nullopt;
}

Time GroupAttestationGaps::next_deadline() const {
  Time next = kNever;
  for (const OfSource& of : sources_) next = std::min(next, of.gaps.next_deadline());
  return next;
}

}  // namespace tiercast::forward
