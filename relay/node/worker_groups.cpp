// Groups that come and go while a worker runs, and the ends that a node decides on.
#include <algorithm>

#include "relay/node/worker.hpp"

namespace tiercast::node {
namespace {
// A turn's share, so that a removed group with very many members delays no other group's frame.
constexpr unsigned kGoodbyesPerTurn = 64;
constexpr unsigned kLooksPerTurn = 8192;
constexpr Duration kTellFeedAgain = 10ms;
// Who has nothing else from this node tries again so much later: the group may be back, or another edge carries it.
constexpr std::uint16_t kRemovedRetry = 5;  // s
}  // namespace

void Worker::add_group(const AddGroup& added) {
  WorkerGroup& group = *added.at;
  const std::chrono::duration<double> spread = setup_.spread * group.group.frame;
  group.outgoing.open(setup_.fan_outs->make_fan_outs(), std::chrono::duration_cast<Duration>(spread));
  groups_[added.group.value] = &group;
  carried_.push_back(&group);
}

void Worker::close() {
  for (WorkerGroup* group : groups_)
    if (group != nullptr) group->outgoing.close();
}

void Worker::remove_group(GroupIndex index, Time now) {
  WorkerGroup* group = groups_[index.value];
  if (group == nullptr || group->leaving) return;
  group->leaving = true;
  std::erase(carried_, group);
  leaving_.push_back(group);
  say_goodbyes(now);
}

void Worker::say_goodbyes(Time now) {
  if (leaving_.empty()) return;
  WorkerGroup& group = *leaving_.front();
  const GroupIndex index = group.group.index;
  unsigned told = 0;
  for (unsigned seen = 0; group.next_goodbye < memberships_.size(); ++seen) {
    if (told == kGoodbyesPerTurn || seen == kLooksPerTurn) {
      next_goodbye_ = now;
      return;
    }
    const Membership member = memberships_[group.next_goodbye++];
    if (member.slot == kNone || member.group != index) continue;
    ++told;
    remove_member(member, now);
  }
  group.outgoing.close();
  if (!report(GroupLetGo{index})) {
    next_goodbye_ = now + kTellFeedAgain;
    return;
  }
  resender_.group_ended(index);
  tally_.group_ended(group.group.id);
  groups_[index.value] = nullptr;
  leaving_.erase(leaving_.begin());
  next_goodbye_ = leaving_.empty() ? kNever : now;
}

// A listener that has nothing else here loses its lease too: it is told why, and may find the group elsewhere.
void Worker::remove_member(const Membership& member, Time now) {
  const control::LeaseSlot slot = slot_of_member(member);
  control::Lease& lease = leases_.at(slot);
  counters_.removed_members.add();
  unsubscribe(lease, member.group, now);
  std::array<std::uint8_t, 32> buffer;
  Writer records{buffer};
  wire::write_record(records, wire::Subscribed{groups_[member.group.value]->group.id,
                                               static_cast<std::uint8_t>(wire::DenyReason::unknown_group)});
  const bool ends = lease.role == wire::Role::listener && lease.first_membership == kNone;
  if (ends) wire::write_record(records, wire::GoAway{wire::LeaveReason::stop, kRemovedRetry, {}});
  send_records(slot, records.written());
  if (!ends) return;
  counters_.ended_leases.add();
  end_lease(slot, now);
}

void Worker::end_lease_of(LeaseId id, Time now) {
  if (leases_.find(id) == nullptr) return;
  const control::LeaseSlot slot = control::slot_of(id);
  std::array<std::uint8_t, 16> buffer;
  Writer records{buffer};
  wire::write_record(records, wire::GoAway{wire::LeaveReason::stop, 0, {}});
  send_records(slot, records.written());
  counters_.ended_leases.add();
  end_lease(slot, now);
}

}  // namespace tiercast::node
