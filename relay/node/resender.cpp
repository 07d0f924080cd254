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

void Resender::on_nack(LeaseId lease, bool resume, GroupIndex group, std::chrono::milliseconds frame,
                       const forward::History& history, const wire::Nack& nack, Time now) {
  counters_.nacks.add();
  auto& budget = budgets_[lease.value];
  if (!budget) budget = std::make_unique<forward::LeaseResendBudget>(frame, now);
  const Sequence oldest = history.oldest();
  const Sequence newest = history.newest();
  for (const wire::NackRange& range : nack.ranges) {
    // Only what history can hold is walked: a range may claim 65,535.
    const std::uint64_t first = std::max(range.first.value, oldest.value);
    const std::uint64_t last = std::min(range.first.value + range.count - 1, newest.value);
    for (std::uint64_t s = first; s <= last; ++s) {
      counters_.asked.add();
      const bool here = nack.kind == wire::NackKind::frame ? history.has(Sequence{s})
                                                           : static_cast<bool>(history.attestation_covering(Sequence{s}));
      if (!here) {
        counters_.not_here.add();  // it comes to everybody by the normal fan-out if it comes
        continue;
      }
      Time at = now;
      if (!resume && !budget->take(Sequence{s}, now, at)) {
        counters_.drop_lease_budget.add();
        continue;
      }
      if (!node_budget_.take(now)) {
        counters_.drop_node_budget.add();
        continue;
      }
      if (!queue({at, {lease, group, nack.kind, Sequence{s}}})) return;
      if (nack.kind == wire::NackKind::attestation) break;  // one covers the range's frames, or most of them
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
