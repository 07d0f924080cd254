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

Resender::OfLease& Resender::of_lease(LeaseId lease, std::chrono::milliseconds frame, Time now) {
  auto& of = askers_[lease.value];
  if (!of) of = std::make_unique<OfLease>(frame, now);
  return *of;
}

void Resender::group_ended(GroupIndex group) {
  for (auto& [lease, of] : askers_) {
    of->resumed.reset(group.value);
    std::erase_if(of->resumables, [&](const auto& entry) { return entry.first == group; });
  }
  std::erase_if(queue_, [&](const Queued& entry) { return entry.due.group == group; });
  std::make_heap(queue_.begin(), queue_.end());
}

void Resender::lease_moved(LeaseId lease, Time now) {
  const auto of = askers_.find(lease.value);
  if (of == askers_.end() || now - of->second->resumes_since < wire::kLeaseLife) return;
  of->second->resumed.reset();
  of->second->resumes_since = now;
}

/// What this lease may be resumed by of this group.
Credit& Resender::OfLease::resumable(GroupIndex group, Time now) {
  for (auto& [of, credit] : resumables)
    if (of == group) return credit;
  return resumables.emplace_back(group, Credit{wire::kHistory, 0, now}).second;
}

void Resender::on_nack(const Asker& asker, GroupIndex group, std::chrono::milliseconds frame,
                       const forward::History& history, const LateFrames& late, const wire::Nack& nack,
                       Allowance& allowance, Time now) {
  counters_.nacks.add();
  const Sequence oldest = history.oldest();
  const Sequence newest = history.newest();
  const bool of_frames = nack.kind == wire::NackKind::frame;
  const Time left_before = now - std::min<Duration>(asker.round_trip, kMostOnItsWay);
  std::uint64_t& left = of_frames ? allowance.frames : allowance.attestations;
  OfLease& of = of_lease(asker.lease, frame, now);
  std::uint64_t asked = 0;
  for (const wire::NackRange& range : nack.ranges) asked += range.count;
  const bool resumes = asker.relay && of_frames && (asked > wire::kResendBurst || !of.resumed.test(group.value));
  if (resumes) of.resumed.set(group.value);
  Credit* const resumable = resumes ? &of.resumable(group, now) : nullptr;
  std::uint32_t free = 0;
  if (allowance.takes_up && of_frames) {
    if (!of.taken_up || now - *of.taken_up >= wire::kLeaseLife) {
      of.taken_up = now;
      of.freed.reset();
    }
    if (of.taken_up == now && !of.freed.test(group.value)) {
      of.freed.set(group.value);
      free = wire::kResumeFrames;
    }
  }
  // Ranges may claim 65,535 each, and overlap: no more is walked than allowed, and nothing once a budget is empty.
  for (const wire::NackRange& range : nack.ranges) {
    const std::uint64_t first = std::max(range.first.value, oldest.value);
    const std::uint64_t last = std::min(range.first.value + range.count - 1, newest.value);
    for (std::uint64_t s = first; s <= last; ++s) {
      if (left == 0) return counters_.drop_too_much.add();
      --left;
      const bool resume = resumable != nullptr && resumable->has(frame, now) && node_budget_.may_resume(now);
      if (free == 0 && !resume && !node_budget_.available(now)) return counters_.drop_node_budget.add();
      if (free == 0 && !resume && of.budget.empty(now)) return counters_.drop_lease_budget.add();
      counters_.asked.add();
      // A listener is given the frame's own signature where no attestation of its source is here.
      const auto source = of_frames ? std::nullopt : history.source_of(Sequence{s});
      const bool here =
          of_frames ? history.has(Sequence{s})
                    : (source && !asker.relay) || static_cast<bool>(history.attestation_covering(Sequence{s}, source));
      if (!here) {
        counters_.not_here.add();  // it comes to everybody by the normal fan-out if it comes
        continue;
      }
      const Sequence counted = apart(group, nack.kind, Sequence{s});
      // Who takes it up has not been sent what the others have.
      if ((of_frames && free == 0 && late.sent_since(Sequence{s}, left_before)) ||
          (!resume && of.budget.leaves_since(counted, left_before, now))) {
        counters_.on_its_way.add();
        continue;
      }
      Time at = now;
      if (free == 0 && !resume && !of.budget.take(counted, now, at)) {
        counters_.drop_lease_budget.add();  // the seventh time
        continue;
      }
      if (free > 0) {
        --free;
      } else if (resume) {
        (void)resumable->take(frame, now);
        node_budget_.take_resume(now);
      } else {
        (void)node_budget_.take(now);
      }
      if (!queue({at, {asker.lease, group, nack.kind, Sequence{s}}})) return;
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
