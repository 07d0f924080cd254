// The feed towards its parents: leases, subscriptions, what they bring, what is asked for.
#include <algorithm>

#include "relay/base/overloaded.hpp"
#include "relay/forward/proofs.hpp"

#include "relay/node/feed.hpp"

namespace tiercast::node {
namespace {

constexpr std::size_t kResumeRecord = 3 + 4 + 8;
constexpr std::size_t kResume = 32 * kResumeRecord;  // beside a keepalive and the epochs that it names
constexpr Duration kSubscribeAgain = 500ms;
constexpr Duration kSubscribeSilent = 2s;
constexpr Duration kDeniedAgain = 5s;
// Every acknowledgement tells of what is subscribed: who leaves a group out so long has let it go, and that was not
// heard.
constexpr Duration kUntold = 2 * wire::kKeepalive + 2s;
constexpr Duration kUnsubscribeAgain = 1s;
constexpr Duration kProveAfter = 20ms;  // beyond the silence limit

bool is_stream(Bytes datagram) { return wire::type_of(datagram) >= 0x20; }

}  // namespace

FeedGroup* Feed::group_by_id(GroupId id) const {
  for (auto& group : groups_)
    if (group->group.id == id) return group.get();
  return nullptr;
}

void Feed::on_uplink(std::size_t p, Bytes datagram, Moment now, std::optional<Time> received) {
  moment_ = now;
  ++uplinks_[p].figures.datagrams;
  if (is_stream(datagram)) {
    received_ = received;
    on_stream(p, datagram, nullptr, now.mono);
    received_.reset();
  } else {
    std::array<std::uint8_t, wire::kMaxDatagram> records;
    const auto input = parents_[p].on_datagram(datagram, records, now.mono);
    if (auto& multicast = uplinks_[p].multicast) multicast->on_control(parents_[p], now.mono);
    if (input.came == control::Parent::Came::joined) on_parent_joined(p, now.mono);
    if (input.came == control::Parent::Came::records) on_parent_records(p, input.records, now.mono);
    learn(parents_[p].take_elsewhere());
    if (choose_parents(now.mono))
      for (std::size_t other = 0; other < parents_.size(); ++other) pump(other, now.mono);
  }
  pump(p, now.mono);
  wake_workers();
}

void Feed::on_multicast(std::size_t p, Bytes datagram, Moment now, std::optional<Time> received) {
  moment_ = now;
  MulticastUplink& multicast = *uplinks_[p].multicast;
  ++multicast.datagrams;
  if (!is_stream(datagram)) return counters_.drop_parent_malformed.add();
  received_ = received;
  on_stream(p, datagram, &multicast, now.mono);
  received_.reset();
  pump(p, now.mono);
  wake_workers();
}

void Feed::on_uplink_unreachable(std::size_t p, Moment now) {
  parents_[p].on_unreachable(now.mono);
  choose_parents(now.mono);
  for (std::size_t other = 0; other < parents_.size(); ++other) pump(other, now.mono);
}

// True: one is wanted otherwise than before.
bool Feed::choose_parents(Time now) {
  if (!choice_.settle(parents_, now)) return false;
  for (std::size_t p = 0; p < parents_.size(); ++p) {
    if (parents_[p].duty() == control::Duty::live) continue;
    for (auto& group : groups_) group->subscriptions[p].frames = {};
  }
  return true;
}

// What came after the newest frame of each group, as far as it is there: asked for with the first word to a parent.
Bytes Feed::resume(MutableBytes buffer) const {
  Writer records{buffer};
  for (const auto& group : groups_) {
    if (group->origin || !group->subscribed || !group->last_frame || group->ended) continue;
    if (records.left() < kResumeRecord) break;
    wire::Nack nack{group->group.id, wire::NackKind::frame, {}};
    nack.ranges.push_back({group->group.history.newest().next(), 0xffff});
    wire::write_record(records, nack);
  }
  return records.written();
}

void Feed::on_stream(std::size_t p, Bytes datagram, MulticastUplink* multicast, Time now) {
  using forward::Taken;
  using forward::Way;
  using Stream = control::Parent::Stream;
  control::Parent& parent = parents_[p];
  if (!parent.leased()) return counters_.drop_parent_unleased.add();
  const auto header = wire::parse_header(datagram);
  FeedGroup* group = header ? group_by_id(header->group) : nullptr;
  if (!header) return counters_.drop_parent_malformed.add();
  if (group == nullptr || group->origin || !group->subscribed) {
    if (!multicast) not_wanted(header->group, group, p, now);  // all of the parent's groups come by multicast
    return counters_.drop_not_wanted.add();
  }

  if (multicast && !group->place.near(header->sequence, group->group.history.frames()))
    return counters_.drop_unplaced.add();
  const forward::IntakeResult result =
      multicast ? group->intake.on_multicast(datagram, multicast->distrust, now)
                : group->intake.on_datagram(datagram, parent.lease()->link_key(), uplinks_[p].distrust, now);
  const wire::Header& h = result.header;
  if (result.taken == Taken::dropped) return;
  if (result.taken == Taken::idle) {
    if (multicast) return multicast->on_idle(parent, h.group, now);
    parent.on_stream(h.seeks() ? Stream::seeking : Stream::idle, now);
    if (!group->starts_anew) group->gaps.on_newest(h.sequence, now);
    return;
  }
  const std::size_t trailers = wire::trailer_size(h.type, multicast ? wire::Trailers::signature : wire::Trailers::link);
  if (h.type == wire::Type::attest) {
    if (const auto attest = wire::parse_attest(datagram.first(datagram.size() - trailers))) {
      if (group->flows(now) && forward::vouches_for_now(*attest, group->group.history.newest(), group->group.frame))
        multicast ? parent.on_multicast(Stream::attestation, false, now) : parent.on_stream(Stream::attestation, now);
      group->attestation_gaps.on_attestation(h.source, attest->header.sequence, attest->count, now);
    }
    if (result.taken == Taken::fresh) on_attestation_stored(*group, result.attestation);
    return;
  }
  if (result.taken == Taken::opaque) {
    if (const auto number = group->group.history.add_opaque(result.opaque)) {
      on_opaque_stored(*group, *number);
    } else {
      counters_.drop_opaque_pinned.add();
    }
    return;
  }
  if (h.type != wire::Type::frame) return;  // a copy of something else: no sign that frames flow
  // What was here before is none either if it is old, or if nothing new comes from anybody: a parent may repeat what it
  // has without having anything new.
  const Sequence newest = group->group.history.newest();
  const auto recent = static_cast<std::uint64_t>(wire::kPlayout / group->group.frame);
  if (multicast) {
    multicast->on_frame(parent, h, newest, now);
  } else if (result.taken == Taken::fresh || (group->flows(now) && h.sequence.value + recent >= newest.value)) {
    parent.on_stream(Stream::frame, now);
  }
  group->subscriptions[p].frames.on_frame(now);
  group->subscriptions[p].brought.on_frame(h.source, h.sequence, h.jumps());
  if (!multicast) group->place.told(h.sequence);
  const Way way{multicast ? Way::Kind::multicast : Way::Kind::unicast, p};
  if (result.taken == Taken::fresh) on_fresh_frame(*group, h, newest, p, way, now);
  take_released(*group, p, now);
}

/// Of what the other source brought, what has become of use.
void Feed::take_released(FeedGroup& group, std::optional<std::size_t> p, Time now) {
  Sequence newest = group.group.history.newest();
  while (const auto header = group.intake.take_released(now)) {
    on_fresh_frame(group, *header, newest, p, {.kind = forward::Way::Kind::other_source}, now);
    newest = group.group.history.newest();
  }
}

/// It stands in history. `p`: who brought it, or what caused it to be taken; none: time did.
void Feed::on_fresh_frame(FeedGroup& group, const wire::Header& h, Sequence newest_before, std::optional<std::size_t> p,
                          const forward::Way& way, Time now) {
  on_frame_stored(group, h.sequence);  // first of all
  if (const auto pin = group.group.history.frame(h.sequence))
    group.audio_bytes += pin.datagram().size() - (wire::kHeader + wire::kTag);
  for (std::size_t s = 0; s < group.group.sources.size() && s < group.unproven.size(); ++s)
    if (group.group.sources[s].id == h.source) group.unproven[s] = true;
  use_epoch(group, h.source, h.epoch);
  // The newest frame tells whether it has ended, not one that was repaired after it.
  if (h.sequence >= newest_before && group.ended != h.ends()) {
    group.ended = h.ends();
    update_expectations(now);
  }
  if (group.ended) group.next_idle = kNever;
  const bool jumps = h.jumps() || std::exchange(group.starts_anew, false);
  group.gaps.on_frame(h.sequence, jumps, now, way);
  if (h.sequence >= newest_before && h.ends()) group.gaps.on_end(h.sequence);
  group.attestation_gaps.on_frame(h.source, h.sequence, jumps, now);
  if (p && !group.epochs.knows(h.source, h.epoch) && !parents_[*p].owes_answer() && group.epoch_question.due(now)) {
    uplinks_[*p].next_listed = static_cast<std::size_t>(
        std::find_if(groups_.begin(), groups_.end(), [&](const auto& g) { return g.get() == &group; }) -
        groups_.begin());
    parents_[*p].hasten(now);
  }
}

/// A source that has fallen silent, as far as this node sees, may not attest its last frames any more.
Time Feed::prove_at(const FeedGroup& group, std::size_t source) const {
  if (source >= group.unproven.size() || !group.unproven[source]) return kNever;
  return group.intake.active().heard_at(source) + group.group.silence() + kProveAfter;
}

void Feed::prove_unattested(FeedGroup& group, Time now) {
  for (std::size_t s = 0; s < group.group.sources.size(); ++s) {
    if (now < prove_at(group, s)) continue;
    group.unproven[s] = false;
    const forward::History& history = group.group.history;
    const Sequence newest = history.newest();
    Sequence from{newest.value - std::min<std::uint64_t>(newest.value, 2 * wire::kMaxAttested)};
    while (true) {
      from = forward::unattested(history, group.group.sources[s].id, from);
      std::array<std::uint8_t, wire::kMaxProof> proof;
      const std::size_t size = from.value == 0 ? 0 : forward::write_proof(history, from, newest, proof);
      if (size == 0) break;
      if (const auto number = group.group.history.add_opaque(Bytes{proof}.first(size))) {
        command_all(OpaqueReady{group.group.index, *number, moment_.mono, true});
        counters_.proofs.add();
      } else {
        counters_.drop_opaque_pinned.add();
      }
      from = from.plus(proof[wire::kHeader]);
    }
  }
}

// Removed here, or never asked for: the parent is told, now and then.
void Feed::not_wanted(GroupId group, FeedGroup* known, std::size_t p, Time now) {
  if (known != nullptr && known->origin) return;
  Time& next = known != nullptr ? known->next_unsubscribe : next_unsubscribe_;
  if (now < next) return;
  next = now + kUnsubscribeAgain;
  unsubscribe_at(group, p);
}

void Feed::on_parent_joined(std::size_t p, Time now) {
  const control::JoinGrant grant = parents_[p].take_grant();
  for (const auto& epoch : grant.epochs) learn_epoch_from(p, epoch);
  if (grant.group_info) on_info(p, *grant.group_info, now);
  for (auto& group : groups_) {
    group->subscriptions[p] = {};
    group->next_tally_repeat = now;  // the new lease has not heard it
    if (group->origin || !group->wanted()) continue;
    begin_subscription(*group, now);
    if (grant.group_info && grant.group_info->group == group->group.id) {
      group->subscriptions[p].confirmed = true;
      group->subscriptions[p].told_at = now;
    } else {
      subscribe_up(*group, p, now);
    }
  }
  update_expectations(now);
}

void Feed::on_info(std::size_t p, const wire::GroupInfo& info, Time now) {
  FeedGroup* group = group_by_id(info.group);
  if (group == nullptr || group->origin) return;
  if (auto& multicast = uplinks_[p].multicast) multicast->way.on_group_info(info, now);
  if (info.frame_ms != group->group.frame.count()) {
    counters_.drop_frame_length.add();
    return;
  }
  // Of several parents' copies the newest statement counts; one from a far future is nobody's.
  const Sequence here = group->group.history.newest();
  const auto from_far = [&](const wire::GroupInfo& of) {
    return here.value != 0 && of.stamped.value > here.value + group->group.history.frames();
  };
  if (from_far(info)) {
    counters_.drop_statement.add();
  } else if (const auto active = group->intake.active().current();
             group->info && active && group->info->source == *active && info.source != *active &&
             info.stamped.value < group->info->stamped.value + group->group.history.frames() / 2) {
    // The active source's own statement is as good, and by the clock that counts.
  } else if (!group->info || info.stamped >= group->info->stamped || (info.flags & wire::kInfoStamped) == 0 ||
             from_far(*group->info)) {
    if ((info.flags & wire::kInfoStamped) != 0) {
      group->latency.on_statement(info);
      group->info = info;
      command_all(GroupInfoKnown{group->group.index, info});
    }
  }
  if ((info.flags & wire::kInfoAnchored) == 0) return;
  group->place.told(info.newest);
  if (here.value == 0 || group->starts_anew) {
    group->gaps.start_from(info.newest, now);
  } else if (info.newest.value < here.value + group->group.history.frames()) {
    group->gaps.on_newest(info.newest, now);
  }
}

void Feed::on_parent_records(std::size_t p, Bytes records, Time now) {
  wire::RecordReader reader{records};
  while (auto record = reader.next()) {
    std::visit(Overloaded{
                   [&](const wire::EpochRecord& r) { learn_epoch_from(p, r); },
                   [&](const wire::GroupInfo& r) {
                     on_info(p, r, now);
                     on_subscribed(p, wire::Subscribed{r.group, 0}, now);  // it tells of what is subscribed only
                   },
                   [&](const wire::GoAway& r) { on_go_away(p, r, now); },
                   [&](const wire::Leave&) { parents_[p].on_go_away(wire::LeaveReason::stop, 0, now); },
                   [&](const wire::Subscribed& r) { on_subscribed(p, r, now); },
                   [](const auto&) {},
               },
               *record);
  }
}

// --- subscriptions ---

void Feed::on_subscribed(std::size_t p, const wire::Subscribed& answer, Time now) {
  FeedGroup* group = group_by_id(answer.group);
  if (group == nullptr) return;
  if (answer.denied != 0) {
    counters_.subscription_denied.add();
    group->subscriptions[p] = {.ask_at = now + kDeniedAgain};
  } else {
    group->subscriptions[p].confirmed = group->subscribed;
    group->subscriptions[p].told_at = now;
  }
  update_expectations(now);
}

void Feed::update_wanted(FeedGroup& group, Time now) {
  if (group.origin) return;
  if (group.wanted()) {
    group.unwanted_since.reset();
    if (group.subscribed) return;
    begin_subscription(group, now);
    for (std::size_t p = 0; p < parents_.size(); ++p) {
      if (parents_[p].leased()) subscribe_up(group, p, now);
      pump(p, now);
    }
    update_expectations(now);
  } else if (group.subscribed && !group.unwanted_since) {
    group.unwanted_since = now;
  }
}

void Feed::begin_subscription(FeedGroup& group, Time now) {
  if (std::exchange(group.subscribed, true)) return;
  // Until the first frame comes: who waits below is told that somebody is here.
  if (!group.ended) group.next_idle = now + wire::kIdleIntervals * group.group.frame;
}

void Feed::subscribe_up(FeedGroup& group, std::size_t p, Time now) {
  group.subscriptions[p] = {.ask_at = now + kSubscribeAgain};
  std::array<std::uint8_t, 16> buffer;
  Writer records{buffer};
  wire::write_record(records, wire::Subscribe{group.group.id, {}});
  send_up(p, records.written());
}

void Feed::subscribe_again(Time now) {
  for (auto& group : groups_) {
    if (!group->subscribed) continue;
    for (std::size_t p = 0; p < parents_.size(); ++p) {
      if (!parents_[p].leased()) continue;
      const FeedGroup::Subscription& at = group->subscriptions[p];
      // It answers and brings nothing: it may have heard an end that was sent before this beginning.
      const control::UplinkLease& lease = *parents_[p].lease();
      const bool deaf = (!group->last_frame || !parents_[p].live(now)) && !lease.unanswered_since() && !lease.seeking();
      const bool let_go = now >= at.told_at + kUntold && !lease.unanswered_since();
      const bool silent = let_go || (deaf && now >= at.ask_at + kSubscribeSilent);
      if (at.confirmed ? silent : now >= at.ask_at) subscribe_up(*group, p, now);
    }
  }
}

void Feed::unsubscribe_up(FeedGroup& group, Time now) {
  group.unwanted_since.reset();
  group.subscribed = false;
  group.next_idle = kNever;
  group.last_frame.reset();
  group.starts_anew = true;
  group.place.forget();
  group.gaps.restart();
  group.next_unsubscribe = now + kUnsubscribeAgain;
  for (std::size_t p = 0; p < parents_.size(); ++p) {
    group.subscriptions[p] = {};
    if (parents_[p].leased()) unsubscribe_at(group.group.id, p);
  }
  update_expectations(now);
}

void Feed::unsubscribe_at(GroupId group, std::size_t p) {
  std::array<std::uint8_t, 16> buffer;
  Writer records{buffer};
  wire::write_record(records, wire::Unsubscribe{group});
  send_up(p, records.written());
}

// A parent's silence means something only while a group is subscribed that has not ended.
void Feed::update_expectations(Time now) {
  const bool expected = std::any_of(groups_.begin(), groups_.end(), [](const auto& group) {
    return !group->origin && group->subscribed && !group->ended && group->last_frame;
  });
  for (auto& parent : parents_) parent.expect_stream(expected, now);
  for (std::size_t p = 0; p < uplinks_.size(); ++p) {
    if (!uplinks_[p].multicast) continue;
    control::DeliveryWay& way = uplinks_[p].multicast->way;
    for (const auto& group : groups_) {
      if (group->subscribed && group->subscriptions[p].confirmed) {
        way.expect(group->group.id, group->group.frame, now);
      } else {
        way.forget(group->group.id);
      }
    }
  }
}

// --- sending ---

// The mean time between two frames of all subscribed groups.
Duration Feed::frame_interval() const {
  double per_second = 0;
  for (const auto& group : groups_)
    if (!group->origin && group->subscribed) per_second += 1000.0 / static_cast<double>(group->group.frame.count());
  return per_second == 0 ? Duration{1s} : Duration{static_cast<Duration::rep>(1e9 / per_second)};
}

void Feed::send_up(std::size_t p, Bytes records) {
  if (!parents_[p].leased()) return;  // an earlier datagram may have told that nobody is there any more
  std::array<std::uint8_t, wire::kMaxDatagram> buffer;
  setup_.uplinks->send_up(p, parents_[p].seal(records, buffer));
}

void Feed::pump(std::size_t p, Time now) {
  std::array<std::uint8_t, wire::kMaxDatagram> buffer;
  std::array<std::uint8_t, kResume> missed;
  control::KeepaliveContents contents;
  if (auto& multicast = uplinks_[p].multicast) {
    multicast->follow(parents_[p], *setup_.uplinks, p, now);
    contents.delivery = multicast->way.wanted();
  }
  if (parents_[p].leased() && parents_[p].lease()->keepalive_due(now)) {
    list_epochs(p, contents.held);
    forward::Brought::Share share;
    for (auto& group : groups_) share += group->subscriptions[p].brought.take_share();
    contents.loss = parents_[p].take_loss(frame_interval(), now);
    parents_[p].note_way(share.came, share.missed, now);
    uplinks_[p].figures.loss = contents.loss;
    // Where another one brings frames nothing is missed that would not be asked for anyway.
    if (parents_[p].take_resume() && !control::another_brings(parents_, p, now)) contents.resume = resume(missed);
  }
  while (true) {
    const Bytes datagram = parents_[p].take_datagram(contents, buffer, now);
    if (datagram.empty()) return;
    setup_.uplinks->send_up(p, datagram);
  }
}

// Whole groups, as many as there is room for; the next keepalive goes on with the others.
void Feed::list_epochs(std::size_t p, wire::EpochsHeld& held) {
  const std::size_t groups = groups_.size();
  for (std::size_t i = 0, g = uplinks_[p].next_listed % std::max<std::size_t>(groups, 1); i < groups;
       ++i, g = (g + 1) % groups) {
    const FeedGroup& group = *groups_[g];
    if (group.origin || !group.subscribed) continue;
    const std::size_t known = group.epochs.all().size();
    if (held.epochs.size() + std::max<std::size_t>(known, 1) > wire::kMaxHeldEpochs) {
      uplinks_[p].next_listed = g;
      return;
    }
    if (known == 0)
      held.epochs.push_back({group.group.id, SourceId{0}, Epoch{0}});  // names it: of this one all is missing
    group.epochs.list(held);
  }
}

void Feed::ask_for_missing(Time now) {
  for (auto& group : groups_) {
    if (!group->subscribed) continue;
    asking_.ask(
        {group->group.id, group->gaps, group->attestation_gaps},
        parents_, [&](std::size_t p) -> const auto& { return group->subscriptions[p].brought; },
        [&](std::size_t p, Bytes records) { send_up(p, records); }, now);
  }
}

}  // namespace tiercast::node
