// Joins, commands to workers, the origin's frames, time. The parents' side is in feed_uplinks.cpp.
#include "relay/node/feed.hpp"

#include <algorithm>

#include "relay/control/drain.hpp"
#include "relay/control/elsewhere.hpp"

namespace tiercast::node {
namespace {
constexpr Duration kInfoEvery = 1s;
constexpr Duration kResyncAfter = 100ms;  // a stalled worker is not talked to all the time

// What children report is their word: absurd numbers must not become small ones.
std::uint32_t saturated(std::uint32_t a, std::uint32_t b) { return a + b < a ? 0xffffffff : a + b; }
}  // namespace

Feed::Feed(Setup setup, Moment now)
    : setup_(std::move(setup)),
      moment_(now),
      id_(crypto::node_id(crypto::node_public_key(*setup_.key))),
      choice_({.live = setup_.live_parents, .relay = true}, *setup_.random),
      edges_(std::move(setup_.edges), crypto::node_public_key(*setup_.key)),
      responder_(*setup_.key, *setup_.random, now.mono),
      next_tally_up_(now.mono),
      next_info_(now.mono) {
  standing_.path.push_back(id_);
  for (auto& group : setup_.groups) adopt(std::move(group));
  setup_.groups.clear();
  for (const auto& parent : setup_.parents) add_parent(parent, parents_.size(), now);
  standing_.seeking = !parents_.empty();
  command_all(standing_);
  wake_workers();
}

Feed::~Feed() = default;

// --- commands ---

bool Feed::command(std::size_t worker, Command&& command) {
  WorkerLink& link = setup_.workers[worker];
  link.watch(moment_.mono);
  if (!link.commands->push(std::move(command))) {
    counters_.drop_worker_ring_full.add();
    ++link.untold;
    return false;
  }
  link.rung = true;
  return true;
}

void Feed::command_all(const Command& command) {
  for (std::size_t w = 0; w < setup_.workers.size(); ++w) {
    // A frame that a stalled worker misses is gone for it; what it must know is told again (resync_at_).
    if (!this->command(w, Command{command}) && !std::holds_alternative<FrameReady>(command))
      resync_at_ = std::min(resync_at_, moment_.mono + kResyncAfter);
  }
}

void Feed::wake_workers() {
  for (WorkerLink& link : setup_.workers)
    if (std::exchange(link.rung, false)) link.wake();
}

void Feed::on_reports(Moment now) {
  moment_ = now;
  for (std::size_t w = 0; w < setup_.workers.size(); ++w) {
    WorkerLink& link = setup_.workers[w];
    while (auto report = link.reports->pop()) {
      if (const auto* freed = std::get_if<SlotFreed>(&*report)) {
        link.free.give_back(freed->slot);
        if (freed->stayed) --link.staying;
        child_left(link.boot_tag, freed->slot);
      } else if (std::holds_alternative<LeaseStays>(*report)) {
        ++link.staying;
      } else if (const auto* wanted = std::get_if<GroupWanted>(&*report)) {
        FeedGroup* group = group_at(wanted->group);
        if (group == nullptr) continue;  // it leaves
        group->wanted_by[w] = wanted->wanted;
        update_wanted(*group, now.mono);
      } else if (const auto* tally = std::get_if<TallyChanged>(&*report)) {
        if (FeedGroup* group = group_at(tally->group)) group->below[w] = {tally->listeners, tally->relays};
      } else if (const auto* child = std::get_if<ChildSeen>(&*report)) {
        child_seen(*child);
      } else if (const auto* load = std::get_if<WorkerLoad>(&*report)) {
        link.load.told(*load);
      } else if (const auto* gone = std::get_if<GroupLetGo>(&*report)) {
        on_let_go(w, gone->group);
      } else if (std::holds_alternative<Stopped>(*report)) {
        link.stopped = true;
      }
    }
  }
}

wire::Tally Feed::tally(GroupIndex index) const {
  const FeedGroup& group = *group_at(index);
  wire::Tally sum{group.group.id, 0, 0};
  for (const auto& below : group.below) {
    sum.listeners = saturated(sum.listeners, below.listeners);
    sum.relays = saturated(sum.relays, below.relays);
  }
  return sum;
}

// --- joins ---

void Feed::on_join(Bytes datagram, const Endpoint& from, const LocalAddress& local, Moment now) {
  moment_ = now;
  if (stopping_) return;  // silence sends a joiner to the next process here sooner than a refusal
  std::array<std::uint8_t, wire::kMaxDatagram> reply;
  const Bytes answer = responder_.on_datagram(datagram, from, local, now.mono, *this, reply);
  wake_workers();  // before the answer: who has it may send CONTROL at once
  if (!answer.empty()) setup_.outlet->send(answer, {}, from, local);
}

/// It has the other source of a group: to number as this node does it has to hear it to its end.
bool Feed::aligns(const control::Joiner& joiner) const {
  return std::any_of(groups_.begin(), groups_.end(),
                     [&](const auto& group) { return group->align && group->align->node_key() == joiner.relay_key; });
}

std::optional<wire::DenyReason> Feed::refuse(const control::Joiner& joiner, const Standing& standing) const {
  if (drain_ && !aligns(joiner)) return wire::DenyReason::draining;
  const GroupId wanted = joiner.request.group;
  const bool known = group_by_id(wanted) != nullptr;
  if (joiner.request.role == wire::Role::relay) {
    if (!joiner.relay_key ||
        std::find(setup_.relay_keys.begin(), setup_.relay_keys.end(), *joiner.relay_key) == setup_.relay_keys.end())
      return wire::DenyReason::not_allowed;
    const NodeId child = crypto::node_id(*joiner.relay_key);
    // It is above this node, or would be so far down that nobody below could tell.
    if (standing.path.size() == wire::kMaxPath ||
        std::find(standing.path.begin(), standing.path.end(), child) != standing.path.end())
      return wire::DenyReason::loop;
    if (wanted.value != 0 && !known) return wire::DenyReason::unknown_group;
  } else if (!known) {
    return wire::DenyReason::unknown_group;
  }
  return std::nullopt;
}

bool Feed::has_room(const WorkerLink& worker, const control::Joiner& joiner) const {
  const FeedGroup* group = group_by_id(joiner.request.group);
  return joiner.request.role == wire::Role::relay || group == nullptr ||
         worker.load.has_room(with_parity(group->group.frame, group->parity_shape()));
}

std::optional<LeaseId> Feed::admit(const control::Joiner& joiner, Writer& records, Time now) {
  const Standing standing = joiner.relay_key ? stand(now, crypto::node_id(*joiner.relay_key)) : standing_;
  auto refusal = refuse(joiner, standing);
  auto best = setup_.workers.end();
  for (auto link = setup_.workers.begin(); link != setup_.workers.end(); ++link) {
    if (link->commands->nearly_full() || link->stands_still(now) || !has_room(*link, joiner)) continue;
    if (best == setup_.workers.end() || link->free.taken() < best->free.taken()) best = link;
  }
  std::optional<control::LeaseSlot> slot;
  if (!refusal) {
    if (best != setup_.workers.end()) slot = best->free.take();
    if (!slot) refusal = wire::DenyReason::full;
  }
  if (refusal) {
    const std::uint16_t retry = *refusal == wire::DenyReason::draining ? back_after(joiner.request.role, now) : 0;
    const bool here_only = *refusal == wire::DenyReason::full || *refusal == wire::DenyReason::draining;
    control::EdgeIndices where_else;
    if (here_only && !setup_.elsewhere.empty()) where_else = control::some_of(setup_.elsewhere, setup_.random->u64());
    wire::write_record(records, wire::Denied{*refusal, retry, where_else.bytes()});
    return std::nullopt;
  }
  const LeaseId id = control::make_lease_id(best->boot_tag, *slot, static_cast<std::uint32_t>(setup_.random->u64()));
  wire::Accepted accepted{best->lane, id, crypto::make_token(*setup_.token_key, id, joiner.from, now), standing.path};
  wire::write_record(records, accepted);
  if (FeedGroup* group = group_by_id(joiner.request.group)) {
    wire::GroupInfo info = info_of(group->group, group->info, group->last_frame, now);
    if (group->ended) info.flags |= wire::kInfoEnded;
    wire::write_record(records, info);
    group->epochs.write(records);  // those left out come with the first acknowledgement
  }
  return id;
}

void Feed::seat(LeaseId lease, const control::Joiner& joiner, const crypto::TransportKeys& keys, Time now) {
  FeedGroup* group = group_by_id(joiner.request.group);
  for (std::size_t w = 0; w < setup_.workers.size(); ++w) {
    WorkerLink& link = setup_.workers[w];
    if (link.boot_tag != control::boot_tag_of(lease)) continue;
    if (group && !tell_worker(*group, w)) return withdraw(lease);
    link.secrets->store(control::slot_of(lease), keys);
    const bool told = command(w, Install{lease, joiner.from, joiner.local, joiner.request.role, joiner.request.delivery,
                                         group ? group->group.index : kNoGroup});
    if (!told) return withdraw(lease);  // not while admit() takes no worker whose ring is nearly full
    link.load.installed();
    child_joined(lease, joiner, now);
    if (group) {
      group->wanted_by[w] = true;  // the worker says so too, a moment later
      update_wanted(*group, now);
    }
  }
}

void Feed::withdraw(LeaseId lease) {
  for (WorkerLink& link : setup_.workers)
    if (link.boot_tag == control::boot_tag_of(lease)) link.free.give_back(control::slot_of(lease));
}

// --- relays below ---

void Feed::child_joined(LeaseId lease, const control::Joiner& joiner, Time now) {
  if (joiner.request.role != wire::Role::relay) return;
  children_.push_back({lease, *joiner.relay_key, joiner.from, now, std::nullopt, false});
  for (const auto& group : groups_)
    if (group->align && group->align->node_key() == *joiner.relay_key) group->align->on_there(now);
  below_.insert(crypto::node_id(*joiner.relay_key));
  update_standing(now);  // as it was told
}

void Feed::child_left(std::uint16_t boot_tag, control::LeaseSlot slot) {
  std::erase_if(children_, [&](const Child& child) {
    const bool left = control::boot_tag_of(child.lease) == boot_tag && control::slot_of(child.lease) == slot;
    if (left) below_.erase(below_.find(crypto::node_id(child.key)));
    return left;
  });
}

void Feed::child_seen(const ChildSeen& seen) {
  const auto child =
      std::find_if(children_.begin(), children_.end(), [&](const Child& c) { return c.lease == seen.lease; });
  if (child == children_.end()) return;
  child->peer = seen.peer;
  child->seen = seen;
}

// --- the origin's frames ---

void Feed::on_rtp(GroupIndex group, Bytes datagram, Moment now) {
  moment_ = now;
  FeedGroup& of = *group_at(group);
  of.origin->on_rtp(datagram, now);
  run_origin(of, now);
  wake_workers();
}

void Feed::run_origin(FeedGroup& group, Moment now) {
  group.origin->run(group, *this, now);
  if (!group.origin->take_statement_changed()) return;
  group.info = group.origin->statement();
  publish_info(group, now);
}

// --- the group's other origin ---

void Feed::on_align(std::size_t link, Bytes datagram, Moment now) {
  moment_ = now;
  FeedGroup& group = *align_group(link);
  group.align->on_datagram(datagram, *group.origin, now);
  run_origin(group, now);
  pump_align(group, now);
  wake_workers();
}

void Feed::on_align_unreachable(std::size_t link, Moment now) { align_group(link)->align->on_unreachable(now.mono); }

/// Links are numbered in the groups' order.
FeedGroup* Feed::align_group(std::size_t link) const {
  for (const auto& group : groups_)
    if (group->align && link-- == 0) return group.get();
  return nullptr;
}

void Feed::pump_align(FeedGroup& group, Moment now) {
  std::size_t link = 0;
  for (const auto& other : groups_) {
    if (other.get() == &group) break;
    link += other->align ? 1U : 0U;
  }
  std::array<std::uint8_t, wire::kMaxDatagram> buffer;
  while (true) {
    const Bytes datagram = group.align->take_datagram(buffer, now.mono);
    if (datagram.empty()) return;
    setup_.align_links->send_up(link, datagram);
  }
}

void Feed::run_origins(Moment now) {
  for (auto& group : groups_) {
    if (!group->origin) continue;
    group->origin->on_timer(now);
    run_origin(*group, now);
    if (group->align) {
      group->align->on_timer(now.mono);
      pump_align(*group, now);
    }
    if (group->origin->epochs_changed()) {
      if (const auto current = group->origin->current_epoch()) use_epoch(*group, current->source, current->epoch);
      for (const auto& epoch : group->origin->announced()) learn_epoch(*group, epoch);
    }
    if (now.mono >= next_info_) {
      group->info = group->origin->statement();
      publish_info(*group, now);
    }
  }
  if (now.mono >= next_info_) next_info_ = now.mono + kInfoEvery;
}

void Feed::on_frame_stored(FeedGroup& group, Sequence sequence) {
  const bool stale = sequence.plus(static_cast<std::uint64_t>(wire::kStrictPlayout / group.group.frame)) <
                     group.group.history.newest();
  command_all(FrameReady{group.group.index, sequence, moment_.mono, received_.value_or(moment_.mono),
                         group.parity_shape(), stale});
  if (!stale) {
    group.last_frame = moment_.mono;
    group.latency.on_frame(sequence, moment_.wall);
    // Also at an origin: where input stops, the first empty tick comes later than children wait.
    group.next_idle = moment_.mono + wire::kIdleIntervals * group.group.frame;
  }
  if (group.recorder) {
    if (const auto pin = group.group.history.frame(sequence)) group.recorder->on_frame(pin.datagram(), moment_);
  }
  if (group.parity && !stale) make_parity(group, sequence);
}

void Feed::make_parity(FeedGroup& group, Sequence sequence) {
  group.parity->on_frame(group.group.history, sequence);
  const Bytes parity = group.parity->take();
  if (parity.empty()) return;
  if (const auto number = group.group.history.add_opaque(parity)) {
    command_all(OpaqueReady{group.group.index, *number, moment_.mono, true});
  } else {
    counters_.drop_opaque_pinned.add();
  }
}

void Feed::on_attestation_stored(FeedGroup& group, std::uint64_t number) {
  command_all(AttestReady{group.group.index, number, moment_.mono});
  if (group.recorder) {
    if (const auto pin = group.group.history.attestation(number)) group.recorder->on_attest(pin.datagram(), moment_);
  }
}

void Feed::on_opaque_stored(FeedGroup& group, std::uint64_t number) {
  command_all(OpaqueReady{group.group.index, number, moment_.mono});
}

void Feed::learn_epoch_from(std::size_t p, const wire::EpochRecord& epoch) {
  FeedGroup* group = group_by_id(epoch.group);
  if (group == nullptr || group->origin || group->epochs.knows(epoch.source, epoch.epoch)) return;
  const auto source = std::find_if(group->group.sources.begin(), group->group.sources.end(),
                                   [&](const forward::Source& s) { return s.id == epoch.source; });
  if (source == group->group.sources.end() || uplinks_[p].distrust.exhausted(moment_.mono))
    return counters_.drop_epoch.add();
  if (!crypto::verify_epoch(source->key, epoch)) {
    uplinks_[p].distrust.failed(moment_.mono);
    return counters_.drop_epoch.add();
  }
  learn_epoch(*group, epoch);
}

void Feed::use_epoch(FeedGroup& group, SourceId source, Epoch epoch) {
  if (group.epochs.in_use(source, epoch)) command_all(EpochInUse{group.group.index, source, epoch});
}

void Feed::learn_epoch(FeedGroup& group, const wire::EpochRecord& epoch) {
  if (!group.epochs.learn(epoch)) return;
  group.epoch_question.answered();
  if (group.recorder) group.recorder->on_epoch(epoch);
  command_all(EpochKnown{group.group.index, epoch});
}

void Feed::publish_info(FeedGroup& group, Moment) {
  if (group.info) command_all(GroupInfoKnown{group.group.index, *group.info});
}

bool Feed::end_group(GroupIndex group, Moment now) {
  moment_ = now;
  FeedGroup& of = *group_at(group);
  if (!of.origin) return false;
  of.origin->end(now);
  of.origin->run(of, *this, now);
  of.info = of.origin->statement();
  of.next_idle = kNever;
  publish_info(of, now);
  wake_workers();
  return true;
}

std::string Feed::rotate(GroupIndex group, Moment now) {
  FeedGroup& of = *group_at(group);
  return of.origin ? of.origin->rotate(now) : std::string{"no source of this group is here: rotate at its origin"};
}

// --- time ---

void Feed::on_timer(Moment now) {
  moment_ = now;
  run_origins(now);
  for (std::size_t p = 0; p < parents_.size(); ++p) {
    parents_[p].on_timer(now.mono);
    if (auto& multicast = uplinks_[p].multicast) multicast->way.on_timer(now.mono);
  }
  choose_parents(now.mono);
  for (std::size_t p = 0; p < parents_.size(); ++p) pump(p, now.mono);
  subscribe_again(now.mono);
  for (auto& group : groups_)
    if (now.mono >= group->intake.next_deadline()) take_released(*group, std::nullopt, now.mono);
  for (auto& group : groups_) prove_unattested(*group, now.mono);
  ask_for_missing(now.mono);
  for (auto& group : groups_) {
    if (now.mono >= group->next_idle) {
      // What is left from before nobody wanted the group is not where the stream is.
      const Sequence newest = group->last_frame ? group->group.history.newest() : Sequence{0};
      const bool seeks = !group->origin && standing_.seeking;
      wire::Header header{wire::Type::idle,
                          seeks ? wire::kFlagSeeking : std::uint8_t{0},
                          group->intake.active().current().value_or(SourceId{0}),
                          group->group.id,
                          Epoch{0},
                          newest};
      command_all(SendIdle{group->group.index, header, now.mono});
      group->next_idle = now.mono + wire::kIdleIntervals * group->group.frame;
    }
    if (group->recorder) group->recorder->on_timer(now);
    if (group->unwanted_since && now.mono >= *group->unwanted_since + kLinger) unsubscribe_up(*group, now.mono);
  }
  for (auto& recorder : closing_) recorder->on_timer(now);
  report_tallies_up(now.mono);
  retire_parents(now.mono);
  update_standing(now.mono);
  if (now.mono >= resync_at_) {
    resync_at_ = kNever;
    tell_changes_again();
    tell_to_go();
    if (stopping_) tell_to_stop();
    command_all(standing_);
    for (auto& group : groups_) {
      for (const auto& epoch : group->epochs.all()) command_all(EpochKnown{group->group.index, epoch});
      for (const auto& used : group->epochs.used())
        command_all(EpochInUse{group->group.index, used.source, used.epoch});
    }
  }
  if (leaving() > 0) free_what_is_gone();
  wake_workers();
}

Time Feed::next_deadline() const {
  Time next = std::min({next_info_, resync_at_, next_retire_, choice_.next_deadline()});
  if (!parents_.empty()) next = std::min(next, next_tally_up_);
  for (const auto& recorder : closing_) next = std::min(next, recorder->next_deadline());
  for (const auto& parent : parents_) next = std::min(next, parent.next_deadline());
  for (const auto& uplink : uplinks_)
    if (uplink.multicast) next = std::min(next, uplink.multicast->way.next_deadline());
  const bool can_ask = std::any_of(parents_.begin(), parents_.end(), [](const auto& p) { return p.may_be_asked(); });
  for (const auto& group : groups_) {
    if (group->origin) next = std::min(next, group->origin->next_deadline());
    if (group->align) next = std::min(next, group->align->next_deadline());
    if (group->recorder) next = std::min(next, group->recorder->next_deadline());
    if (can_ask && group->subscribed)
      next = std::min({next, group->gaps.next_deadline(), group->attestation_gaps.next_deadline()});
    next = std::min({next, group->next_idle, group->intake.next_deadline()});
    for (std::size_t s = 0; s < group->group.sources.size(); ++s) next = std::min(next, prove_at(*group, s));
    if (group->unwanted_since) next = std::min(next, *group->unwanted_since + kLinger);
    if (!group->subscribed) continue;
    for (std::size_t p = 0; p < parents_.size(); ++p)
      if (parents_[p].leased() && !group->subscriptions[p].confirmed)
        next = std::min(next, group->subscriptions[p].ask_at);
  }
  return next;
}

void Feed::drain(Duration over, Moment now) {
  moment_ = now;
  drain_ = {over, now.mono + over};
  tell_to_go();
  wake_workers();
}

/// When whoever asks while this node drains may ask again, in seconds.
std::uint16_t Feed::back_after(wire::Role role, Time now) const {
  if (role == wire::Role::relay) return control::kRelayDrainRetry;
  const auto left = std::chrono::duration_cast<std::chrono::seconds>(drain_->until - now).count() + 1;
  return static_cast<std::uint16_t>(std::clamp<std::int64_t>(left, 1, control::kListenerDrainRetry));
}

std::size_t Feed::leases() const {
  std::size_t sum = 0;
  for (const WorkerLink& link : setup_.workers) sum += link.free.taken();
  return sum;
}

std::size_t Feed::staying() const {
  std::size_t sum = 0;
  for (const WorkerLink& link : setup_.workers) sum += link.staying;
  return sum;
}

void Feed::stop(Moment now) {
  moment_ = now;
  stopping_ = true;
  std::array<std::uint8_t, 16> buffer;
  Writer leave{buffer};
  wire::write_record(leave, wire::Leave{wire::LeaveReason::stop});
  for (std::size_t p = 0; p < parents_.size(); ++p)
    if (parents_[p].leased()) send_up(p, leave.written());
  for (auto& group : groups_) {
    if (!group->align) continue;
    group->align->leave(now.mono);
    pump_align(*group, now);
  }
  for (auto& group : groups_)
    if (group->recorder) group->recorder->finish(receive::FinishedBy::stop);
  tell_to_stop();
  wake_workers();
}

void Feed::tell_to_go() {
  if (!drain_) return;
  for (std::size_t w = 0; w < setup_.workers.size(); ++w) {
    WorkerLink& link = setup_.workers[w];
    if (!link.told_to_drain) link.told_to_drain = command(w, Drain{drain_->over, &setup_.elsewhere});
    if (!link.told_to_drain) resync_at_ = std::min(resync_at_, moment_.mono + kResyncAfter);
  }
}

// A worker whose ring has no room is told when it has, if that is soon.
void Feed::tell_to_stop() {
  for (std::size_t w = 0; w < setup_.workers.size(); ++w) {
    WorkerLink& link = setup_.workers[w];
    if (!link.told_to_stop) link.told_to_stop = command(w, Stop{});
    if (!link.told_to_stop) resync_at_ = std::min(resync_at_, moment_.mono + kResyncAfter);
  }
}

bool Feed::stopped() const {
  const bool written = std::all_of(groups_.begin(), groups_.end(),
                                   [](const auto& group) { return !group->recorder || group->recorder->settled(); });
  const bool closed =
      std::all_of(closing_.begin(), closing_.end(), [](const auto& recorder) { return recorder->settled(); });
  return stopping_ && written && closed &&
         std::all_of(setup_.workers.begin(), setup_.workers.end(), [](const auto& w) { return w.stopped; });
}

}  // namespace tiercast::node
