#include "relay/forward/attestation_gaps.hpp"

#include <algorithm>

namespace tiercast::forward {
namespace {
constexpr Duration kOvertaken = 10ms;  // an attestation that came out of order
}

AttestationGaps::AttestationGaps(std::chrono::milliseconds frame, Duration grace)
    : patience_(std::min<Duration>(wire::kAttestEvery, static_cast<int>(wire::kAttestFrames) * frame) + grace) {}

void AttestationGaps::on_frame(Sequence sequence, bool jumps, Time now) {
  if (!attested_below_ || (jumps && sequence > *attested_below_)) {  // a jump that was repaired comes late
    attested_below_ = sequence;  // what was before is nobody's business: a joiner has no use for it
    waiting_ = false;
  }
  newest_ = std::max(newest_, sequence);
  if (!waiting_ && sequence >= *attested_below_) {
    waiting_ = true;
    waiting_since_ = now;
    rounds_ = 0;
    ask_at_ = now + patience_;
  }
}

void AttestationGaps::on_attestation(Sequence first, std::uint8_t count) {
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
  waiting_ = false;
  ask_at_ = kNever;
}

std::optional<std::size_t> AttestationGaps::due(GroupId group, std::span<const Askee> parents, wire::Nack& nack,
                                                Time now) {
  if (!waiting_ || now < ask_at_) return std::nullopt;
  const auto whom = whom_to_ask(parents, *attested_below_, rounds_ > 0 ? last_ : std::nullopt);
  if (!whom) return std::nullopt;
  if (++rounds_ > kRounds) {
    counters_.given_up.add();
    attested_below_ = beyond_ > *attested_below_ ? beyond_end_ : newest_.next();
    waiting_ = false;
    ask_at_ = kNever;
    return std::nullopt;
  }
  nack = {};
  nack.group = group;
  nack.kind = wire::NackKind::attestation;
  nack.ranges.push_back({*attested_below_, 1});
  counters_.asked.add();
  ask_at_ = now + parents[*whom].round_trip + wire::kNackMargin * rounds_;
  last_ = whom;
  return whom;
}

void GroupAttestationGaps::on_frame(SourceId source, Sequence sequence, bool jumps, Time now) {
  auto* of = std::find_if(sources_.begin(), sources_.end(), [&](const OfSource& s) { return s.id == source; });
  if (of == sources_.end()) {
    if (!sources_.push_back({source, sequence, AttestationGaps{frame_, grace_}})) return;
    of = &sources_.back();
  }
  // Meanwhile the other one was forwarded, and this one's attestations were about frames that are not here.
  const bool again = sequence.value > of->newest.value + wire::kMaxAttested;
  of->newest = std::max(of->newest, sequence);
  of->gaps.on_frame(sequence, jumps || again, now);
}

void GroupAttestationGaps::on_attestation(SourceId source, Sequence first, std::uint8_t count) {
  for (OfSource& of : sources_)
    if (of.id == source) of.gaps.on_attestation(first, count);
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
