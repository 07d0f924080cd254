// The worker's events: commands from the feed, datagrams from leases, time.
#include "relay/node/worker.hpp"

#include <algorithm>

#include "relay/base/overloaded.hpp"
#include "relay/forward/proofs.hpp"

namespace tiercast::node {
namespace {
// A listener's languages and stages; each more is a stream that its address is sent.
constexpr std::size_t kListenerGroups = 8;
constexpr std::size_t kSubscribedBytes = 3 + 4;
constexpr std::size_t kInfoBytes = 3 + 34;
// What one more listener costs, only those tell among whom a call's own cost counts for little.
constexpr std::uint32_t kManyListeners = 256;
constexpr std::uint32_t kJudged = 10;  // frames
}  // namespace

Worker::Worker(Setup setup, Time now)
    : setup_(std::move(setup)),
      leases_(setup_.max_leases, setup_.boot_tag, *setup_.secrets, *setup_.token_key),
      resender_(now) {
  carried_.reserve(wire::kMaxGroups);
  leaving_.reserve(wire::kMaxGroups);
}

Worker::~Worker() = default;

const control::LeaseCounters& Worker::lease_counters() const {
  return const_cast<control::LeaseTable&>(leases_).counters();
}
const ResendCounters& Worker::resend_counters() const { return const_cast<Resender&>(resender_).counters(); }
void Worker::note_reserved() {  // a counter, for the feed reads it while this runs
  counters_.bytes_reserved.set(leases_.bytes_reserved() + memberships_.capacity() * sizeof(Membership));
}

void Worker::on_command(const Command& command, Time now) {
  std::visit(Overloaded{
                 [](std::monostate) {},
                 [&](const FrameReady& ready) {
                   if (WorkerGroup* group = groups_[ready.group.value]) send_frame(*group, ready, now);
                 },
                 [&](const AttestReady& ready) {
                   WorkerGroup* group = groups_[ready.group.value];
                   if (group == nullptr) return;
                   if (const auto pin = group->group.history.attestation(ready.number)) {
                     counters_.attestations.add();
                     send_below(*group, pin.datagram(), {Outgoing::Kind::attestation, ready.number, {}, ready.at}, now);
                   } else {
                     counters_.frames_gone.add();
                   }
                 },
                 [&](const OpaqueReady& ready) {
                   WorkerGroup* group = groups_[ready.group.value];
                   if (group == nullptr) return;
                   const Outgoing::Item item{Outgoing::Kind::opaque, ready.number, {}, ready.at};
                   if (ready.to_listeners) {
                     send_to_listeners(*group, item);
                   } else if (const auto pin = group->group.history.opaque(ready.number)) {
                     send_below(*group, pin.datagram(), item, now);
                   } else {
                     counters_.frames_gone.add();
                   }
                 },
                 [&](const SendIdle& idle) {
                   WorkerGroup* group = groups_[idle.group.value];
                   if (group == nullptr) return;
                   std::array<std::uint8_t, wire::kHeader> datagram;
                   wire::write_header(datagram, idle.header);
                   counters_.idles.add();
                   send_below(*group, datagram, {Outgoing::Kind::idle, 0, idle.header, idle.at}, now);
                 },
                 [&](const Install& install) {
                   ++installed_;
                   leases_.install(install.id, install.peer, install.local, install.role, offered(install.delivery),
                                   now);
                   counters_.leases.set(leases_.active());
                   lease_installed(*leases_.find(install.id), now);
                   if (install.group != kNoGroup) subscribe(*leases_.find(install.id), install.group, now);
                   note_reserved();
                 },
                 [&](const EpochKnown& known) {
                   WorkerGroup* group = groups_[known.group.value];
                   if (group == nullptr || !group->epochs.learn(known.epoch)) return;
                   std::array<std::uint8_t, wire::kEpochRecord> buffer;
                   Writer records{buffer};
                   wire::write_record(records, known.epoch);
                   for (const RelayChild& child : group->relays)
                     send_records(slot_of_member(memberships_[child.membership]), records.written());
                 },
                 [&](const EpochInUse& used) {
                   if (WorkerGroup* group = groups_[used.group.value]) group->epochs.in_use(used.source, used.epoch);
                 },
                 [&](const GroupInfoKnown& known) {
                   WorkerGroup* group = groups_[known.group.value];
                   if (group == nullptr) return;
                   // A second origin of the group waits to hear of another encoder.
                   if (group->info && group->info->ssrc != known.info.ssrc && group->members > 0)
                     group->next_info = now;
                   group->info = known.info;
                   if (group->next_info == kNever && group->members > 0) group->next_info = now;
                 },
                 [&](const Standing& standing) { standing_ = standing; },
                 [&](const AddGroup& added) { add_group(added); },
                 [&](const RemoveGroup& removed) { remove_group(removed.group, now); },
                 [&](const EndLease& ended) { end_lease_of(ended.id, now); },
                 [&](const Drain& drain) { begin_drain(drain, now); },
                 [&](const Stop&) {
                   stopping_ = true;
                   say_goodbye();
                 },
             },
             command);
}

// Not before all have got what was told before.
void Worker::say_goodbye() {
  const auto idle = [](const WorkerGroup* group) { return group->outgoing.due() == kNever; };
  if (!stopping_ || stopped_ || !std::all_of(carried_.begin(), carried_.end(), idle)) return;
  std::array<std::uint8_t, 16> buffer;
  Writer records{buffer};
  wire::write_record(records, wire::GoAway{wire::LeaveReason::stop, 0, {}});
  for (auto slot = leases_.next_active(control::LeaseSlot{0}); slot != control::kNoSlot;
       slot = leases_.next_active(control::LeaseSlot{slot.value + 1}))
    send_records(slot, records.written());
  stopped_ = report(Stopped{});
}

void Worker::send_frame(WorkerGroup& group, const FrameReady& ready, Time now) {
  passage_.taken_up(ready.at, now);
  group.parity = ready.parity;
  const auto pin = group.group.history.frame(ready.sequence);
  if (!pin) {
    counters_.frames_gone.add();
    return;
  }
  counters_.frames.add();
  group.last_frame = now;
  group.late.sent(ready.sequence, now);
  if (ready.stale) {
    counters_.stale.add();
    measured_ = {};
    const bool multicast = std::any_of(group.relays.begin(), group.relays.end(),
                                       [](const RelayChild& child) { return child.by_multicast; });
    return send_to_relays(group, pin.with_signature(), multicast, now);
  }
  const bool to_listeners = group.outgoing.size() > 0;
  const bool at_once = !group.relays.empty() || (!to_listeners && group.members > 0);
  if (at_once) passage_.first_sent(ready.received, now);
  send_below(group, pin.with_signature(), {Outgoing::Kind::frame, ready.sequence.value, {}, ready.at, ready.received},
             now);
  if (at_once && !to_listeners) passage_.last_sent(ready.received);
}

void Worker::send_below(WorkerGroup& group, Bytes signed_form, const Outgoing::Item& item, Time now) {
  // Whoever takes it so must be able to tell that it is genuine.
  const bool multicast = item.kind != Outgoing::Kind::opaque;
  measured_ = {};
  // Relays first: what is late for them is late for everybody below them.
  send_to_relays(group, signed_form, multicast, now);
  send_to_listeners(group, item);
  // Who takes it by multicast may ask as much as those who do not.
  if (multicast) resender_.node_budget().on_fan_out(group.by_multicast, now);
}

void Worker::send_to_relays(WorkerGroup& group, Bytes signed_form, bool multicast, Time now) {
  end_expired(now);
  if (multicast && setup_.multicast != nullptr) setup_.multicast->send_multicast(signed_form, now);
  for (const RelayChild& child : group.relays) {
    if (child.by_multicast && multicast) continue;
    send_to_relay(child, signed_form);
    ++measured_.relays;
  }
}

void Worker::send_to_listeners(WorkerGroup& group, const Outgoing::Item& item) {
  if (!group.outgoing.add(item)) counters_.too_late.add();
  due_ = std::min(due_, group.outgoing.due());
}

bool Worker::send_some(Time now) {
  measured_ = {};
  if (now < due_) return false;
  end_expired(now);
  bool sent = false;
  due_ = kNever;
  const std::size_t from = next_sent_;
  for (std::size_t i = 0; i < carried_.size(); ++i) {
    const std::size_t turn = (from + i) % carried_.size();
    Outgoing& outgoing = carried_[turn]->outgoing;
    if (!sent && now >= outgoing.due()) {
      next_sent_ = turn + 1;  // the others come before its next piece
      const bool begins = !outgoing.under_way();
      const bool first = begins && carried_[turn]->relays.empty();
      forward::FanOutResult result;
      const Outgoing::Step step = outgoing.step(result, now);
      switch (step) {
        case Outgoing::Step::sent:
        case Outgoing::Step::finished:
          if (outgoing.current().kind != Outgoing::Kind::frame) break;
          if (begins) {
            ++frames_begun_;
            if (now - outgoing.current().told > 2 * carried_[turn]->group.frame) ++frames_overrun_;
          }
          if (first) passage_.first_sent(outgoing.current().received, now);
          if (step == Outgoing::Step::finished) passage_.last_sent(outgoing.current().received);
          break;
        case Outgoing::Step::late: counters_.too_late.add(); break;
        case Outgoing::Step::gone: counters_.frames_gone.add(); break;
      }
      counters_.datagrams.add(result.sent);
      counters_.send_failed.add(result.failed);
      resender_.node_budget().on_fan_out(result.sent, now);
      measured_ = {result.sent + result.failed, 0, outgoing.size() >= kManyListeners};
      sent = true;
    }
    due_ = std::min(due_, outgoing.due());
  }
  return sent;
}

void Worker::sent_until(Time now, Duration processor) {
  passage_.settle(now);
  listener_cost_.add(measured_.listeners, processor);
  if (measured_.many) many_cost_.add(measured_.listeners, processor);
  relay_cost_.add(measured_.relays, processor);
  if (measured_.listeners + measured_.relays > 0) next_load_ = last_load_ + kLoadEvery;
  measured_ = {};
}

double Worker::share() const {
  double ns_per_second = 0;
  for (const WorkerGroup* group : carried_)
    ns_per_second +=
        static_cast<double>(group->outgoing.size()) * listener_cost_.ns() *
            datagrams_per_second(with_parity(group->group.frame, group->parity)) +
        static_cast<double>(group->relays.size()) * relay_cost_.ns() * datagrams_per_second(group->group.frame);
  // Where others have the processor too, it may not be enough whatever sending takes of it.
  return overrun_ ? std::max(ns_per_second * 1e-9, 1.0) : ns_per_second * 1e-9;
}

/// Who is a member and is sent nothing: a relay that stands by is taken for a listener.
std::uint32_t Worker::standing_by(const WorkerGroup& group) const {
  const std::size_t sent_to = group.outgoing.size() + group.relays.size() + group.by_multicast;
  return static_cast<std::uint32_t>(group.members - std::min<std::size_t>(group.members, sent_to));
}

// Said again after something was sent, or somebody came or went.
void Worker::report_load(Time now) {
  if (now < next_load_) return;
  for (forward::SendCost* cost : {&listener_cost_, &many_cost_, &relay_cost_}) cost->settle();
  const bool nobody = std::all_of(carried_.begin(), carried_.end(),
                                  [](const WorkerGroup* group) { return group->outgoing.size() == 0; });
  if (nobody) frames_begun_ = frames_overrun_ = 0;
  if (frames_begun_ >= kJudged || nobody) {
    overrun_ = frames_overrun_ * 2 > frames_begun_;
    frames_begun_ = frames_overrun_ = 0;
  }
  last_load_ = now;
  WorkerLoad load{share(), many_cost_.ns(), installed_};
  for (const WorkerGroup* group : carried_) {
    const std::uint32_t waiting = standing_by(*group);
    load.standing_by += waiting;
    load.standing_by_share +=
        waiting * listener_cost_.ns() * 1e-9 * datagrams_per_second(with_parity(group->group.frame, group->parity));
  }
  next_load_ = report(load) ? kNever : now + kLoadEvery;
}

void Worker::send_to_relay(const RelayChild& child, Bytes signed_form) {
  const crypto::LinkMac mac = crypto::link_mac(child.link_key.view(), signed_form);
  const control::Lease& lease = leases_.at(slot_of_member(memberships_[child.membership]));
  setup_.outlet->send(signed_form, mac, lease.peer, lease.local);
  counters_.relay_datagrams.add();
}

void Worker::on_datagram(Bytes datagram, const Endpoint& from, const LocalAddress& local, Time now) {
  std::array<std::uint8_t, wire::kMaxDatagram> records;
  std::array<std::uint8_t, wire::kMaxDatagram> reply;
  const control::ControlResult result = leases_.on_control(datagram, from, local, records, reply, now);
  if (!result.reply.empty()) setup_.outlet->send(result.reply, {}, from, local);
  if (result.slot == control::kNoSlot) return;
  if (result.moved) readdress(leases_.at(result.slot), now);
  if (result.confirms) count_confirmed(leases_.at(result.slot), now);
  on_records(result, now);
}

void Worker::on_records(const control::ControlResult& result, Time now) {
  control::Lease& lease = leases_.at(result.slot);
  wire::EpochsHeld held;
  Resender::Allowance allowance;
  bool leaves = false;
  // What one CONTROL asks for is answered by one: a small datagram must not cause many large ones.
  // What else it asks for goes by that.
  if (result.keepalive) allowance.takes_up = set_delivery(lease, result.keepalive->delivery);
  std::array<std::uint8_t, wire::kMaxDatagram - wire::kMinControl> answer_buffer;
  Writer answers{answer_buffer};
  wire::RecordReader reader{result.records};
  while (auto record = reader.next()) {
    std::visit(Overloaded{
                   [&](const wire::EpochsHeld& r) { held = r; },
                   [&](const wire::Subscribe& r) { on_subscribe(lease, r, answers, now); },
                   [&](const wire::Unsubscribe& r) {
                     if (result.overtaken) return;  // what it ends may have begun anew
                     if (WorkerGroup* group = group_by_id(r.group)) unsubscribe(lease, group->group.index, now);
                   },
                   [&](const wire::Nack& r) { on_nack(lease, r, allowance, now); },
                   [&](const wire::Tally& r) { on_tally(lease, r, now); },
                   [&](const wire::Leave&) { leaves = true; },
                   [&](const wire::GoAway&) { on_stays(lease); },
                   [](const auto&) {},
               },
               *record);
  }
  if (answers.size() > 0) send_records(result.slot, answers.written());
  if (leaves) {
    leases_.counters().left.add();
    end_lease(result.slot, now);
    return;
  }
  if (result.keepalive) {
    note_loss(lease);
    acknowledge(lease, *result.keepalive, held, now);
  }
  resend_due(now);
}

void Worker::on_subscribe(control::Lease& lease, const wire::Subscribe& request, Writer& answers, Time now) {
  WorkerGroup* group = group_by_id(request.group);
  const std::size_t with_epochs = kInfoBytes + 3 * wire::kEpochRecord;  // the one in use and the next two
  if (answers.left() < kSubscribedBytes + (group ? with_epochs : 0))
    return counters_.drop_subscribe.add();  // asked for again
  wire::Subscribed answer{request.group, 0};
  if (group == nullptr) {
    counters_.subscribe_denied.add();
    answer.denied = static_cast<std::uint8_t>(wire::DenyReason::unknown_group);
    return wire::write_record(answers, answer);
  }
  if (lease.role == wire::Role::listener && find_membership(lease, group->group.index) == nullptr &&
      (memberships_of(lease) >= kListenerGroups || share() >= kFullShare)) {
    counters_.subscribe_denied.add();
    answer.denied = static_cast<std::uint8_t>(wire::DenyReason::full);
    return wire::write_record(answers, answer);
  }
  counters_.subscribes.add();
  subscribe(lease, group->group.index, now);
  wire::write_record(answers, answer);
  wire::write_record(answers, group->info_now(now));
  group->epochs.write(answers);
}

void Worker::on_nack(control::Lease& lease, const wire::Nack& nack, Resender::Allowance& allowance, Time now) {
  WorkerGroup* group = group_by_id(nack.group);
  const Membership* member = group ? find_membership(lease, group->group.index) : nullptr;
  if (member == nullptr || lease.delivery == wire::Delivery::none) return counters_.drop_not_member.add();
  const Resender::Asker asker{lease.id, member->relay, std::chrono::microseconds{lease.round_trip_us}};
  resender_.on_nack(asker, group->group.index, group->group.frame, group->group.history, group->late, nack, allowance,
                    now);
}

void Worker::acknowledge(control::Lease& lease, const wire::Keepalive& keepalive, const wire::EpochsHeld& held,
                         Time now) {
  std::array<std::uint8_t, wire::kMaxDatagram - wire::kMinControl> buffer;
  Writer records{buffer};
  leases_.write_acknowledgement(records, control::slot_of(lease.id), keepalive, standing_.seeking, standing_.path, now);
  write_missing_epochs(records, lease, held);  // before what comes every second anyway
  for (std::uint32_t m = lease.first_membership; m != kNone; m = memberships_[m].next)
    if (records.left() >= kInfoBytes) wire::write_record(records, groups_[memberships_[m].group.value]->info_now(now));
  send_records(control::slot_of(lease.id), records.written());
}

// A list with no room for another group's epochs may be a part: then it tells of the groups that it names only.
void Worker::write_missing_epochs(Writer& out, const control::Lease& lease, const wire::EpochsHeld& held) {
  const bool part = held.epochs.size() + KnownEpochs::kMost > wire::kMaxHeldEpochs;
  for (std::uint32_t m = lease.first_membership; m != kNone; m = memberships_[m].next) {
    const WorkerGroup& group = *groups_[memberships_[m].group.value];
    const bool named = std::any_of(held.epochs.begin(), held.epochs.end(),
                                   [&](const wire::HeldEpoch& h) { return h.group == group.group.id; });
    if (part && !named) continue;
    for (const auto& epoch : group.epochs.all()) {
      const bool has = std::any_of(held.epochs.begin(), held.epochs.end(), [&](const wire::HeldEpoch& h) {
        return h.group == epoch.group && h.source == epoch.source && h.epoch == epoch.epoch;
      });
      if (!has && out.left() >= wire::kEpochRecord) wire::write_record(out, epoch);
    }
  }
}

void Worker::send_info(WorkerGroup& group, Time now) {
  group.next_info = group.relays.empty() ? kNever : now + wire::kGroupInfoEvery;
  std::array<std::uint8_t, 64> buffer;
  Writer records{buffer};
  wire::write_record(records, group.info_now(now));
  for (const RelayChild& child : group.relays)
    send_records(slot_of_member(memberships_[child.membership]), records.written());
}

void Worker::send_records(control::LeaseSlot slot, Bytes records) {
  std::array<std::uint8_t, wire::kMaxDatagram> buffer;
  const control::Lease& lease = leases_.at(slot);
  const Bytes datagram = leases_.seal(slot, records, buffer);
  setup_.outlet->send(datagram, {}, lease.peer, lease.local);
}

void Worker::resend_due(Time now) {
  Resender::Due due;
  while (resender_.next(due, now)) {
    const control::Lease* lease = leases_.find(due.lease);
    const Membership* member = lease ? find_membership(*lease, due.group) : nullptr;
    if (member == nullptr || lease->delivery == wire::Delivery::none) {
      resender_.counters().drop_lease_gone.add();
      continue;
    }
    const WorkerGroup& group = *groups_[due.group.value];
    const bool frame = due.kind == wire::NackKind::frame;
    const forward::History& history = group.group.history;
    // A frame is as its own source attests it; where it has not, and this is a listener, its signature says the same.
    const auto source = history.source_of(due.sequence);
    const auto pin = frame ? history.frame(due.sequence) : history.attestation_covering(due.sequence, source);
    if (!pin && !frame && !member->relay && source) {
      std::array<std::uint8_t, wire::kMaxProof> proof;
      const std::size_t size = forward::write_proof(history, due.sequence, history.newest(), proof);
      setup_.outlet->send(Bytes{proof}.first(size), {}, lease->peer, lease->local);
      resender_.counters().proofs.add();
      continue;
    }
    if (!pin) {
      resender_.counters().drop_frame_gone.add();
      continue;
    }
    (frame ? resender_.counters().resent : resender_.counters().attestations).add();
    if (member->relay) {
      send_to_relay(group.relays[member->index], pin.with_signature());
    } else {
      setup_.outlet->send(pin.datagram(), {}, lease->peer, lease->local);
    }
  }
}

/// Before anything is sent, too: a worker that got no processor finds frames waiting before its timer has run.
void Worker::end_expired(Time now) {
  if (now < leases_.next_deadline()) return;
  while (const auto lease = leases_.expire_one(now)) {
    end_memberships(*lease, now);
    resender_.lease_ended(lease->id);
    return_slot(*lease);
  }
}

void Worker::on_timer(Time now) {
  end_expired(now);
  counters_.leases.set(leases_.active());
  note_reserved();
  resend_due(now);
  for (WorkerGroup* group : carried_)
    if (now >= group->next_info) send_info(*group, now);
  say_goodbyes(now);
  tell_to_go(now);
  report_tallies(now);
  report_children(now);
  report_load(now);
  say_goodbye();
  while (!to_return_.empty() && report(SlotFreed{to_return_.back()})) to_return_.pop_back();
}

Time Worker::next_deadline() const {
  Time next =
      std::min({leases_.next_deadline(), resender_.next_deadline(), next_children_, next_goodbye_, due_, next_load_});
  if (relays_placed_ > 0) next = std::min(next, next_tally_expiry_);
  if (telling_) next = std::min(next, telling_->next);
  for (const WorkerGroup* group : carried_) next = std::min({next, group->next_info, group->next_tally});
  return next;
}

}  // namespace tiercast::node
