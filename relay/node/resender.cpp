#include "relay/node/resender.hpp"

#include <algorithm>

namespace tiercast::node {

bool Resender::queue(const Queued& entry) {
  if (queue_.size() >= kQueue) {
    counters_.drop_queue_full.add();
    return false;
  }
  queue_.push_back(entry);
  std::push_heap(queue_.begin(), queue_.end());
  return true;
}

namespace {

constexpr Duration kMostOnItsWay = 200ms;  // a child's word on its round trip is believed so far

// The budget counts how often each sequence was sent. At the same time all groups of a frame length have the same
// sequence, which must not be one to it; nor are a frame and its attestation.
Sequence apart(GroupIndex group, wire::NackKind kind, Sequence sequence) {
  static_assert(wire::kMaxGroups <= 256,
                "8 bits of group and 1 of kind above 39 of sequence: enough for 170 years of 10 ms");
  const std::uint64_t tag = std::uint64_t{group.value} << 1 | (kind == wire::NackKind::attestation ? 1U : 0U);
  return Sequence{(sequence.value ^ tag << 39) & 0xffffffffffff};
}

}  // namespace

bool Resender::allowed(LeaseId lease, bool resume, GroupIndex group, std::chrono::milliseconds frame,
                       wire::NackKind kind, Sequence sequence, Time now, Time& at) {
  if (!node_budget_.available(now)) {
    counters_.drop_node_budget.add();
    return false;
  }
  if (!resume) {
    auto& budget = budgets_[lease.value];
    if (!budget) budget = std::make_unique<forward::LeaseResendBudget>(frame, now);
    if (!budget->take(apart(group, kind, sequence), now, at)) {
      counters_.drop_lease_budget.add();
      return false;
    }
  }
  return node_budget_.take(now);
}

void Resender::on_nack(LeaseId lease, bool resume, GroupIndex group, std::chrono::milliseconds frame,
                       const forward::History& history, const LateFrames& late, Duration round_trip,
                       const wire::Nack& nack, Time now) {
  counters_.nacks.add();
  const Sequence oldest = history.oldest();
  const Sequence newest = history.newest();
  const bool of_frames = nack.kind == wire::NackKind::frame;
  // Ranges may claim 65,535 each, and overlap: no more is walked than can be missing.
  std::uint64_t left = of_frames ? history.frames() : kAttestationsPerNack;
  for (const wire::NackRange& range : nack.ranges) {
    const std::uint64_t first = std::max(range.first.value, oldest.value);
    const std::uint64_t last = std::min(range.first.value + range.count - 1, newest.value);
    for (std::uint64_t s = first; s <= last; ++s) {
      if (left-- == 0) return counters_.drop_too_much.add();
      counters_.asked.add();
      const bool here =
          of_frames ? history.has(Sequence{s}) : static_cast<bool>(history.attestation_covering(Sequence{s}));
      if (!here) {
        counters_.not_here.add();  // it comes to everybody by the normal fan-out if it comes
        continue;
      }
      if (of_frames && late.sent_since(Sequence{s}, now - std::min<Duration>(round_trip, kMostOnItsWay))) {
        counters_.on_its_way.add();
        continue;
      }
      Time at = now;
      if (!allowed(lease, resume, group, frame, nack.kind, Sequence{s}, now, at)) continue;
      if (!queue({at, {lease, group, nack.kind, Sequence{s}}})) return;
      if (!of_frames) break;  // one covers the range's frames, or most of them
    }
  }
}

bool Resender::next(Due& due, Time now) {
  if (queue_.empty() || queue_.front().at > now) return false;
  due = queue_.front().due;
  std::pop_heap(queue_.begin(), queue_.end());
  queue_.pop_back();
  return true;
}

}  // namespace tiercast::node
