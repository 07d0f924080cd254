// Groups, parents and relays that come and go while the feed runs. What a worker must hear and its full ring did not
// take is told again; nothing that a worker may still touch is freed.
#include <algorithm>

#include "relay/node/feed.hpp"
#include "relay/node/go_away.hpp"

namespace tiercast::node {
namespace {
constexpr Duration kRetireLook = 50ms;
constexpr Duration kTellAgain = 100ms;
constexpr std::size_t kLearntPreference = 1U << 16;  // behind every [[upstream]]
}  // namespace

// --- groups ---

bool Feed::adopt(std::unique_ptr<FeedGroup> group) {
  const auto in_use = [&](std::size_t i) {
    return by_index_[i] != nullptr || std::any_of(leaving_.begin(), leaving_.end(),
                                                  [i](const auto& other) { return other->group.index.value == i; });
  };
  std::size_t index = 0;
  while (index < by_index_.size() && in_use(index)) ++index;
  if (index == by_index_.size()) return false;
  FeedGroup& of = *group;
  of.group.index = GroupIndex{static_cast<std::uint16_t>(index)};
  of.subscriptions.resize(parents_.size());
  of.wanted_by.resize(setup_.workers.size());
  of.below.resize(setup_.workers.size());
  for (std::size_t w = 0; w < setup_.workers.size(); ++w)
    of.workers.push_back({FeedGroup::AtWorker::State::untold, std::make_unique<WorkerGroup>(of.group)});
  by_index_[index] = &of;
  groups_.push_back(std::move(group));
  for (std::size_t w = 0; w < setup_.workers.size(); ++w) tell_worker(of, w);
  if (of.origin) {
    for (const auto& epoch : of.origin->announced()) learn_epoch(of, epoch);
    if (const auto current = of.origin->current_epoch()) use_epoch(of, current->source, current->epoch);
  }
  return true;
}

bool Feed::tell_worker(FeedGroup& group, std::size_t w) {
  FeedGroup::AtWorker& at = group.workers[w];
  if (at.state != FeedGroup::AtWorker::State::untold) return true;
  if (!command(w, AddGroup{group.group.index, at.group.get()})) {
    resync_at_ = std::min(resync_at_, moment_.mono + kTellAgain);
    return false;
  }
  at.state = FeedGroup::AtWorker::State::carried;
  return true;
}

bool Feed::add_group(std::unique_ptr<FeedGroup> group, Moment now) {
  moment_ = now;
  if (leaving(group->group.id)) return false;
  FeedGroup& of = *group;
  if (!adopt(std::move(group))) return false;
  update_parents();
  update_wanted(of, now.mono);
  wake_workers();
  return true;
}

void Feed::remove_group(GroupId id, Moment now) {
  moment_ = now;
  const auto found = std::find_if(groups_.begin(), groups_.end(), [&](const auto& g) { return g->group.id == id; });
  if (found == groups_.end()) return;
  FeedGroup& group = **found;
  close_recorder(group);
  if (group.subscribed) unsubscribe_up(group, now.mono);
  by_index_[group.group.index.value] = nullptr;
  leaving_.push_back(std::move(*found));
  groups_.erase(found);
  for (std::size_t w = 0; w < group.workers.size(); ++w) tell_to_let_go(group, w);
  update_parents();
  update_expectations(now.mono);
  free_what_is_gone();
  wake_workers();
}

void Feed::tell_to_let_go(FeedGroup& group, std::size_t w) {
  using State = FeedGroup::AtWorker::State;
  FeedGroup::AtWorker& at = group.workers[w];
  if (at.state == State::untold) at.state = State::gone;
  if (at.state != State::carried) return;
  if (command(w, RemoveGroup{group.group.index})) {
    at.state = State::told_to_let_go;
  } else {
    resync_at_ = std::min(resync_at_, moment_.mono + kTellAgain);
  }
}

void Feed::on_let_go(std::size_t w, GroupIndex index) {
  for (auto& group : leaving_)
    if (group->group.index == index) group->workers[w].state = FeedGroup::AtWorker::State::gone;
  free_what_is_gone();
}

bool Feed::leaving(GroupId id) const {
  return std::any_of(leaving_.begin(), leaving_.end(), [&](const auto& group) { return group->group.id == id; });
}

void Feed::free_what_is_gone() {
  std::erase_if(leaving_, [](const auto& group) {
    return std::all_of(group->workers.begin(), group->workers.end(),
                       [](const auto& at) { return at.state == FeedGroup::AtWorker::State::gone; });
  });
  std::erase_if(closing_, [](const auto& recorder) { return recorder->settled(); });
}

void Feed::set_pinned(GroupIndex index, bool pinned, Moment now) {
  moment_ = now;
  FeedGroup& group = *group_at(index);
  group.pinned = pinned;
  update_parents();
  update_wanted(group, now.mono);
  wake_workers();
}

void Feed::set_rotation(GroupIndex index, Duration every, Moment now) {
  moment_ = now;
  if (FeedGroup& group = *group_at(index); group.origin) group.origin->set_rotation(every);
}

void Feed::set_recorder(GroupIndex index, std::unique_ptr<Recorder> recorder, Moment now) {
  moment_ = now;
  FeedGroup& group = *group_at(index);
  close_recorder(group);
  group.recorder = std::move(recorder);
  if (group.recorder)
    for (const auto& epoch : group.epochs.all()) group.recorder->on_epoch(epoch);
  update_parents();
  update_wanted(group, now.mono);
  wake_workers();
}

void Feed::close_recorder(FeedGroup& group) {
  if (!group.recorder) return;
  group.recorder->finish(receive::FinishedBy::reload);
  closing_.push_back(std::move(group.recorder));
}

// --- parents ---

// What all parents' leases are asked for with, as the groups are now.
void Feed::update_parents() {
  Duration silence = wire::kSilenceFloor;
  GroupId first{0};
  for (const auto& group : groups_) {
    silence = std::max(silence, group->group.silence());
    if (first.value == 0 && (group->pinned || group->recorder) && !group->origin) first = group->group.id;
  }
  for (auto& parent : parents_) {
    parent.set_silence(silence);
    parent.set_group(first);
  }
}

void Feed::add_parent(const ParentSetup& setup, std::size_t preference, Moment now) {
  moment_ = now;
  control::ParentConfig parent;
  parent.key = setup.key;
  parent.own_key = setup_.key;
  parent.own_id = id_;
  parent.duty = control::Duty::cold;
  parent.request.role = wire::Role::relay;
  parents_.emplace_back(parent, *setup_.random, now.mono);
  choice_.add(preference);
  uplinks_.emplace_back();
  if (setup.multicast) uplinks_.back().multicast.emplace(*setup_.random);
  for (auto& group : groups_) group->subscriptions.emplace_back();
  update_parents();
  choose_parents(now.mono);
  update_expectations(now.mono);
}

void Feed::learn(const control::EdgeIndices& told) {
  edges_.learn(told, parents_, [&](std::uint16_t edge, const crypto::PublicKey& key) { learn(edge, key); });
}

void Feed::learn(std::uint16_t edge, const crypto::PublicKey& key) {
  setup_.uplinks->open_up(edge);
  add_parent({key, false}, kLearntPreference, moment_);
  uplinks_.back().learnt = true;
}

void Feed::find_again(std::size_t p, std::uint16_t edge, Moment now) {
  moment_ = now;
  learn(edge, crypto::PublicKey{parents_[p].config().key});
  retire_parent(p, now);
}

void Feed::set_edges(EdgeKeys edges, std::vector<std::uint16_t> elsewhere, Moment now) {
  moment_ = now;
  edges_.set(std::move(edges));  // always: who is learnt of by its number is looked up in the configuration's list
  if (drain_) return;            // workers read `elsewhere`
  setup_.elsewhere = std::move(elsewhere);
  for (std::size_t p = 0; p < parents_.size(); ++p)
    if (uplinks_[p].learnt && !uplinks_[p].retiring && !edges_.has(parents_[p].config().key)) retire_parent(p, now);
}

void Feed::keep_parent(std::size_t p, std::size_t preference) {
  uplinks_[p].learnt = false;
  uplinks_[p].retiring.reset();
  choice_.set_leaving(p, false);
  choice_.prefer(p, preference);
}

void Feed::set_live_parents(std::size_t live, Moment now) {
  moment_ = now;
  choice_.set_live(live);
  choose_parents(now.mono);
}

void Feed::retire_parent(std::size_t p, Moment now) {
  uplinks_[p].retiring = now.mono;
  choice_.set_leaving(p, true);
  choose_parents(now.mono);
  next_retire_ = now.mono;
}

/// Neither given up here nor about to stop.
bool Feed::stays(std::size_t p) const { return !uplinks_[p].retiring && !parents_[p].drains(); }

// Every group that the one brings comes from the other, too, and has for so long that nothing before it is missing.
bool Feed::replaces(std::size_t other, std::size_t parent, Time now) const {
  return parents_[other].live(now) && std::all_of(groups_.begin(), groups_.end(), [&](const auto& group) {
           return !group->subscriptions[parent].frames.brings(now) || group->ended ||
                  group->subscriptions[other].frames.may_replace_another(now);
         });
}

// A parent that the configuration gives up is let go of, at the latest after kRetireAfter; one that is about to stop is
// left, or else serves until it does.
void Feed::retire_parents(Time now) {
  if (now < next_retire_) return;
  next_retire_ = kNever;
  for (std::size_t p = parents_.size(); p-- > 0;) {
    if (stays(p)) continue;
    bool another = false;
    bool hope = false;
    for (std::size_t q = 0; q < parents_.size(); ++q) {
      if (!stays(q)) continue;
      hope = true;
      another = another || replaces(q, p, now);
    }
    const auto& retiring = uplinks_[p].retiring;
    if (retiring && (another || !hope || now >= *retiring + kRetireAfter)) {
      drop_parent(p);
    } else if (another) {
      leave_parent(p, now);
    } else {
      next_retire_ = now + kRetireLook;
    }
  }
}

void Feed::on_go_away(std::size_t p, const wire::GoAway& away, Time now) {
  parents_[p].on_go_away(away.reason, away.retry_after_s, now);
  if (!parents_[p].drains()) return;
  learn(control::EdgeIndices{away.where_else});
  next_retire_ = now;
  seek_instead_of(
      p, parents_, [this](std::size_t other) { return stays(other); }, [&](Bytes records) { send_up(p, records); },
      now);
}

void Feed::leave_parent(std::size_t p, Time now) {
  parents_[p].leave(now);
  for (auto& group : groups_) {
    group->subscriptions[p] = {};
    if (group->told_primary == p) group->told_primary.reset();
  }
  pump(p, now);
}

void Feed::drop_parent(std::size_t p) {
  if (parents_[p].leased()) {
    std::array<std::uint8_t, 16> buffer;
    Writer leave{buffer};
    wire::write_record(leave, wire::Leave{wire::LeaveReason::stop});
    send_up(p, leave.written());
  }
  const auto at = static_cast<std::ptrdiff_t>(p);
  parents_.erase(parents_.begin() + at);
  uplinks_.erase(uplinks_.begin() + at);
  choice_.remove(p);
  for (auto& group : groups_) {
    group->subscriptions.erase(group->subscriptions.begin() + at);
    if (!group->told_primary || *group->told_primary < p) continue;
    if (*group->told_primary == p) {
      group->told_primary.reset();
    } else {
      --*group->told_primary;
    }
  }
  setup_.uplinks->close_up(p);
}

// --- relays below ---

void Feed::set_relay_keys(std::vector<crypto::PublicKey> keys, Moment now) {
  moment_ = now;
  setup_.relay_keys = std::move(keys);
  end_leases_of_removed();
  wake_workers();
}

void Feed::end_leases_of_removed() {
  for (Child& child : children_) {
    if (child.told_end ||
        std::find(setup_.relay_keys.begin(), setup_.relay_keys.end(), child.key) != setup_.relay_keys.end())
      continue;
    for (std::size_t w = 0; w < setup_.workers.size(); ++w) {
      if (setup_.workers[w].boot_tag != control::boot_tag_of(child.lease)) continue;
      child.told_end = command(w, EndLease{child.lease});
      if (!child.told_end) resync_at_ = std::min(resync_at_, moment_.mono + kTellAgain);
    }
  }
}

void Feed::tell_changes_again() {
  for (auto& group : groups_)
    for (std::size_t w = 0; w < group->workers.size(); ++w) tell_worker(*group, w);
  for (auto& group : leaving_)
    for (std::size_t w = 0; w < group->workers.size(); ++w) tell_to_let_go(*group, w);
  end_leases_of_removed();
}

}  // namespace tiercast::node
