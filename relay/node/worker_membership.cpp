// Which lease gets which group, where its entry lies, and what the feed hears of it.
#include <algorithm>

#include "relay/node/worker.hpp"

namespace tiercast::node {
namespace {
using wire::kTallyEvery;
constexpr Duration kChildrenEvery = 1s;
}  // namespace

WorkerGroup* Worker::group_by_id(GroupId id) {
  for (WorkerGroup* group : carried_)
    if (group->group.id == id) return group;
  return nullptr;
}

Worker::Membership* Worker::find_membership(const control::Lease& lease, GroupIndex group) {
  for (std::uint32_t m = lease.first_membership; m != kNone; m = memberships_[m].next)
    if (memberships_[m].group == group) return &memberships_[m];
  return nullptr;
}

void Worker::subscribe(control::Lease& lease, GroupIndex group, Time now) {
  if (find_membership(lease, group) != nullptr) return;
  std::uint32_t at;
  if (free_memberships_.empty()) {
    at = static_cast<std::uint32_t>(memberships_.size());
    memberships_.emplace_back();
  } else {
    at = free_memberships_.back();
    free_memberships_.pop_back();
  }
  Membership& member = memberships_[at];
  member = {};
  member.slot = control::slot_of(lease.id).value;
  member.group = group;
  member.relay = lease.role == wire::Role::relay;
  member.next = lease.first_membership;
  lease.first_membership = at;
  WorkerGroup& of = *groups_[group.value];
  ++of.members;
  count(member, lease.confirmed && counts_listener(lease));
  place(lease, at);
  members_changed(of, now);
}

void Worker::unsubscribe(control::Lease& lease, GroupIndex group, Time now) {
  std::uint32_t* link = &lease.first_membership;
  while (*link != kNone && memberships_[*link].group != group) link = &memberships_[*link].next;
  if (*link == kNone) return;
  const std::uint32_t at = *link;
  *link = memberships_[at].next;
  if (memberships_[at].relay) tally_.child_left(lease.id, groups_[group.value]->group.id);
  drop_membership(at, now);
}

void Worker::drop_membership(std::uint32_t at, Time now) {
  displace(at);
  WorkerGroup& of = *groups_[memberships_[at].group.value];
  --of.members;
  count(memberships_[at], false);
  memberships_[at] = {};
  free_memberships_.push_back(at);
  members_changed(of, now);
}

// Puts a membership into its group's table, as the lease's delivery and role ask.
void Worker::place(control::Lease& lease, std::uint32_t at) {
  Membership& member = memberships_[at];
  if (member.index != kNone || member.by_multicast || lease.delivery == wire::Delivery::none) return;
  WorkerGroup& group = *groups_[member.group.value];
  const bool by_multicast = lease.delivery == wire::Delivery::multicast;
  if (member.relay) {
    RelayChild child;
    child.lease = lease.id;
    child.membership = at;
    child.by_multicast = by_multicast;
    leases_.derive_link_key(control::slot_of(lease.id), child.link_key.bytes());
    member.index = static_cast<std::uint32_t>(group.relays.size());
    group.relays.push_back(std::move(child));
    resender_.node_budget().set_relays(relays_placed_ += 1);
  } else if (by_multicast) {
    member.by_multicast = true;
    ++group.by_multicast;
  } else {
    member.socket = lease.local.socket;
    member.index = group.outgoing.listeners(member.socket).add(at, lease.peer, lease.local);
  }
}

void Worker::displace(std::uint32_t at) {
  Membership& member = memberships_[at];
  WorkerGroup& group = *groups_[member.group.value];
  if (member.by_multicast) --group.by_multicast;
  member.by_multicast = false;
  if (member.index == kNone) return;
  if (member.relay) {
    if (member.index + 1 < group.relays.size()) {
      group.relays[member.index] = std::move(group.relays.back());
      memberships_[group.relays[member.index].membership].index = member.index;
    }
    group.relays.pop_back();
    resender_.node_budget().set_relays(relays_placed_ -= 1);
  } else if (const auto moved = group.outgoing.listeners(member.socket).remove(member.index)) {
    memberships_[*moved].index = member.index;
  }
  member.index = kNone;
}

// Who asks for what this node does not do is deceived, and must not go without.
wire::Delivery Worker::offered(wire::Delivery asked) const {
  return asked == wire::Delivery::multicast && !setup_.sends_multicast ? wire::Delivery::unicast : asked;
}

void Worker::count_multicast(const control::Lease& lease, int by) {
  Counter& counter = counters_.multicast_leases;
  if (lease.delivery == wire::Delivery::multicast) counter.set(counter.get() + static_cast<std::uint64_t>(by));
}

bool Worker::set_delivery(control::Lease& lease, wire::Delivery delivery) {
  delivery = offered(delivery);
  if (lease.delivery == delivery) return false;
  const bool takes_up = lease.delivery == wire::Delivery::none;
  counters_.delivery_changes.add();
  count_multicast(lease, -1);
  lease.delivery = delivery;
  count_multicast(lease, 1);
  for (std::uint32_t m = lease.first_membership; m != kNone; m = memberships_[m].next) {
    displace(m);
    place(lease, m);
  }
  return takes_up;
}

std::size_t Worker::memberships_of(const control::Lease& lease) const {
  std::size_t count = 0;
  for (std::uint32_t m = lease.first_membership; m != kNone; m = memberships_[m].next) ++count;
  return count;
}

void Worker::readdress(control::Lease& lease, Time now) {
  resender_.lease_moved(lease.id, now);
  for (std::uint32_t m = lease.first_membership; m != kNone; m = memberships_[m].next) {
    const Membership& member = memberships_[m];
    if (member.index == kNone || member.relay) continue;
    if (member.socket == lease.local.socket) {
      groups_[member.group.value]->outgoing.listeners(member.socket).readdress(member.index, lease.peer, lease.local);
    } else {
      displace(m);
      place(lease, m);
    }
  }
}

void Worker::end_memberships(const control::Lease& lease, Time now) {
  for (std::uint32_t m = lease.first_membership; m != kNone;) {
    const std::uint32_t next = memberships_[m].next;
    drop_membership(m, now);
    m = next;
  }
  tally_.child_left(lease.id);
  forget_lease(lease);
  for (WorkerGroup* group : carried_) group->next_tally = std::min(group->next_tally, now + kTallyEvery);
}

void Worker::end_lease(control::LeaseSlot slot, Time now) {
  control::Lease& lease = leases_.at(slot);
  end_memberships(lease, now);
  resender_.lease_ended(lease.id);
  const control::Lease ended = lease;
  leases_.release(slot);
  counters_.leases.set(leases_.active());
  return_slot(ended);
}

// The feed's ring may be full: then the slot waits here and is returned by the next timer.
void Worker::return_slot(const control::Lease& ended) {
  const SlotFreed freed{control::slot_of(ended.id), ended.stays};
  if (!report(SlotFreed{freed})) to_return_.push_back(freed);
}

// Nobody is counted who may never have got the word that it was admitted.
void Worker::count_confirmed(const control::Lease& lease, Time now) {
  if (!counts_listener(lease)) return;
  for (std::uint32_t m = lease.first_membership; m != kNone; m = memberships_[m].next) {
    count(memberships_[m], true);
    WorkerGroup& group = *groups_[memberships_[m].group.value];
    group.next_tally = std::min(group.next_tally, now + kTallyEvery);
  }
}

void Worker::count(Membership& member, bool counts) {
  if (counts == member.counted) return;
  member.counted = counts;
  const GroupId group = groups_[member.group.value]->group.id;
  counts ? tally_.listener_joined(group) : tally_.listener_left(group);
}

// A child says what is below it. A relay: for the one parent that it counts itself at; a listener with several parents
// says 0 to all but one, so that nobody is counted twice.
void Worker::on_tally(control::Lease& lease, const wire::Tally& tally, Time now) {
  WorkerGroup* group = group_by_id(tally.group);
  Membership* member = group ? find_membership(lease, group->group.index) : nullptr;
  if (member == nullptr) return counters_.drop_not_member.add();
  if (member->relay) {
    tally_.reported(lease.id, tally, now);
  } else {
    count(*member, tally.listeners != 0);
  }
  group->next_tally = std::min(group->next_tally, now + kTallyEvery);
}

void Worker::members_changed(WorkerGroup& group, Time now) {
  counters_.memberships.set(memberships_.size() - free_memberships_.size());
  next_load_ = std::min(next_load_, std::max(now, last_load_ + kLoadEvery));
  if (group.leaving) return;  // the feed waits for nothing but GroupLetGo
  const bool wanted = group.members > 0;
  if (wanted != group.told_wanted && report(GroupWanted{group.group.index, wanted})) group.told_wanted = wanted;
  group.next_tally = std::min(group.next_tally, now + kTallyEvery);
  if (!group.relays.empty() && group.next_info == kNever) group.next_info = now + wire::kGroupInfoEvery;
}

void Worker::report_tallies(Time now) {
  if (now >= next_tally_expiry_) {
    next_tally_expiry_ = now + kTallyEvery;
    tally_.expire(now);
    for (WorkerGroup* group : carried_)
      if (!group->relays.empty()) group->next_tally = std::min(group->next_tally, now);
  }
  for (WorkerGroup* at : carried_) {
    WorkerGroup& group = *at;
    if (now < group.next_tally) continue;
    const wire::Tally total = tally_.total(group.group.id);
    const bool wanted = group.members > 0;
    bool told = true;
    if (total.listeners != group.told_listeners || total.relays != group.told_relays) {
      told = report(TallyChanged{group.group.index, total.listeners, total.relays});
      if (told) {
        group.told_listeners = total.listeners;
        group.told_relays = total.relays;
      }
    }
    if (told && wanted != group.told_wanted) {
      told = report(GroupWanted{group.group.index, wanted});
      if (told) group.told_wanted = wanted;
    }
    group.next_tally = told ? kNever : now + kTallyEvery;
  }
}

// --- what status shows of leases ---

void Worker::lease_installed(const control::Lease& lease, Time now) {
  count_multicast(lease, 1);
  if (lease.role != wire::Role::relay) return counters_.listeners_by_loss[0].add();
  relay_leases_.push_back(control::slot_of(lease.id));
  next_children_ = std::min(next_children_, now + kChildrenEvery);
}

void Worker::forget_lease(const control::Lease& lease) {
  count_multicast(lease, -1);
  if (lease.role != wire::Role::relay) {
    Counter& counted = counters_.listeners_by_loss[lease.loss_class];
    return counted.set(counted.get() - 1);
  }
  std::erase(relay_leases_, control::slot_of(lease.id));
  if (relay_leases_.empty()) next_children_ = kNever;
}

// Moved, not recounted: so what status shows costs a keepalive two additions, however many leases there are.
void Worker::note_loss(control::Lease& lease) {
  if (lease.role == wire::Role::relay) return;
  std::uint8_t of = 0;
  while (lease.reported_loss > kLossBounds[of]) ++of;
  ++of;
  if (of == lease.loss_class) return;
  Counter& before = counters_.listeners_by_loss[lease.loss_class];
  before.set(before.get() - 1);
  counters_.listeners_by_loss[of].add();
  lease.loss_class = of;
}

void Worker::report_children(Time now) {
  if (now < next_children_) return;
  next_children_ = now + kChildrenEvery;
  const std::size_t children = relay_leases_.size();
  for (std::size_t i = 0; i < std::min(children, kChildrenTold) && !setup_.reports->nearly_full(); ++i) {
    next_child_ = next_child_ < children ? next_child_ : 0;
    const control::Lease& lease = leases_.at(relay_leases_[next_child_++]);
    ChildSeen seen{
        .lease = lease.id, .peer = lease.peer, .loss = lease.reported_loss, .round_trip_us = lease.round_trip_us};
    for (std::uint32_t m = lease.first_membership; m != kNone; m = memberships_[m].next) {
      const wire::Tally below = tally_.reported_by(lease.id, groups_[memberships_[m].group.value]->group.id);
      seen.listeners += std::min(below.listeners, 0xffffffff - seen.listeners);
      seen.relays = std::max(seen.relays, below.relays);
      seen.receives = seen.receives || lease.delivery != wire::Delivery::none;
    }
    report(std::move(seen));
  }
}

bool Worker::report(Report&& report) {
  reported_ = true;
  return setup_.reports->push(std::move(report));
}

}  // namespace tiercast::node
