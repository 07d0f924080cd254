#include "relay/control/delivery_way.hpp"

#include <algorithm>
#include <bit>

namespace tiercast::control {
namespace {

constexpr double kRejoinSpread = 0.25;

std::uint64_t lowest(unsigned bits) { return bits >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1; }
static_assert(wire::kMulticastWindow == 64, "one word");

/// A frame that is older by so much than what is known has missed its time, as by an attacker who holds frames back.
std::uint64_t late_after(Duration frame) { return static_cast<std::uint64_t>(wire::kPlayout / frame); }

}  // namespace

DeliveryWay::DeliveryWay(Random& random)
    : random_(&random),
      patience_(random.jitter(wire::kIdleDelaysFailover * 3 / 4, 1.0 / 3)),
      rejoin_wait_(random.jitter(wire::kMulticastRejoin, kRejoinSpread)) {}

DeliveryWay::Group* DeliveryWay::find(GroupId group) {
  const auto at =
      std::lower_bound(groups_.begin(), groups_.end(), group, [](const Group& g, GroupId id) { return g.id < id; });
  return at != groups_.end() && at->id == group ? &*at : nullptr;
}

void DeliveryWay::expect(GroupId group, Duration frame, Time now) {
  if (Group* known = find(group)) {
    known->frame = frame;
    return;
  }
  if (groups_.empty()) rejoin_at_ = now + rejoin_wait_;
  Group fresh;
  fresh.id = group;
  fresh.frame = frame;
  fresh.anything_until = now + patience_;  // it has to come from further up, perhaps
  put_off(fresh, now);
  const auto at =
      std::lower_bound(groups_.begin(), groups_.end(), group, [](const Group& g, GroupId id) { return g.id < id; });
  groups_.insert(at, fresh);
}

void DeliveryWay::forget(GroupId group) {
  std::erase_if(groups_, [=](const Group& g) { return g.id == group; });
  if (!groups_.empty() || wanted_ == wire::Delivery::unicast) return;
  wanted_ = wire::Delivery::unicast;  // nothing would tell whether it still works when a group is wanted again
  hasten_ = true;
}

// --- by multicast ---

bool DeliveryWay::on_frame(const wire::Header& header, Sequence newest, Time now) {
  const auto drop = [](Counter& reason) {
    reason.add();
    return false;
  };
  Group* group = find(header.group);
  if (group == nullptr || header.sequence.value == 0) return drop(counters_.drop_unknown);
  Group& g = *group;
  if (header.sequence.value + late_after(g.frame) < newest.value) return drop(counters_.drop_late);
  if (g.span > 0 && header.sequence <= g.newest) {
    // No sign that the stream goes on. But it is here: the parent may have had to ask for it itself.
    const std::uint64_t age = g.newest.value - header.sequence.value;
    if (age < g.span && (g.came >> age & 1) == 0) {
      g.came |= std::uint64_t{1} << age;
      judge(g, now);
      return false;
    }
    return drop(counters_.drop_old);
  }

  const std::uint64_t step = header.sequence.value - g.newest.value;
  const bool by_unicast = wanted_ == wire::Delivery::unicast;
  // What the parent did not have either is not lost on this way.
  const bool overdue = now > g.last_frame + wire::silence(g.frame) && (by_unicast || excused(g) || g.vouched);
  const bool anew = g.span == 0 || (header.jumps() && step > 1) || overdue;
  g.came = anew || step >= wire::kMulticastWindow ? 1 : g.came << step | 1;
  g.span = anew ? 1 : static_cast<unsigned>(std::min<std::uint64_t>(g.span + step, wire::kMulticastWindow));
  g.newest = header.sequence;
  g.last_frame = now;
  g.ended = header.ends();
  g.has_input = true;
  g.vouched = false;
  on_seeking(false, now);
  heard(g, now);
  put_off(g, now);
  judge(g, now);
  if (by_unicast) change_over_if_it_works(now);
  return true;
}

bool DeliveryWay::advances(GroupId group, Sequence sequence) const {
  const Group* g = find(group);
  return g != nullptr && (g->span == 0 || sequence > g->newest);
}

void DeliveryWay::on_idle(GroupId group, Time now) {
  if (Group* g = find(group)) return heard(*g, now);
  counters_.drop_unknown.add();
}

void DeliveryWay::heard(Group& group, Time now) {
  group.heard = true;
  group.anything_until = now + wire::silence(group.frame);
  rejoin_at_ = now + rejoin_wait_;
}

void DeliveryWay::put_off(Group& group, Time now) {
  group.frames_until = now + std::max(patience_, wire::silence(group.frame));
  group.asked = false;
}

/// Loss counts when there was time to repair it: what the parent lacked itself comes late for everybody.
void DeliveryWay::judge(Group& group, Time now) {
  const auto missing = group.span - static_cast<unsigned>(std::popcount(group.came & lowest(group.span)));
  if (missing <= wire::kMulticastLoss * wire::kMulticastWindow) return group.lossy_since.reset();
  if (!group.lossy_since) group.lossy_since = now;
  if (wanted_ == wire::Delivery::multicast && now >= *group.lossy_since + wire::kPlayout)
    fall_back(counters_.back_lossy, now);
}

bool DeliveryWay::in_a_row(const Group& group) const {
  const unsigned looked_at = std::min(group.span, wire::kMulticastRow + 1);
  return static_cast<unsigned>(std::popcount(group.came & lowest(looked_at))) >= wire::kMulticastRow;
}

void DeliveryWay::change_over_if_it_works(Time now) {
  if (now < not_before_) return;
  bool frames = false;
  for (const Group& g : groups_) {
    if (g.ended) continue;
    const bool flows = in_a_row(g) && now <= g.last_frame + wire::silence(g.frame);
    if (!flows && !(excused(g) && g.heard && now <= g.anything_until)) return;
    frames = frames || flows;
  }
  if (!frames) return;
  for (Group& g : groups_) {  // what it was before is no matter
    g.span = std::min(g.span, wire::kMulticastRow + 1);
    g.lossy_since.reset();
  }
  wanted_ = wire::Delivery::multicast;
  changed_over_ = now;
  hasten_ = true;
  counters_.to_multicast.add();
}

void DeliveryWay::fall_back(Counter& why, Time now) {
  const Duration lasted = now - changed_over_;
  if (hold_ == Duration::zero() || lasted >= wire::kMulticastCalm) {
    hold_ = wire::kMulticastHold;
  } else if (lasted < wire::kMulticastTrial) {
    hold_ = std::min<Duration>(2 * hold_, wire::kMulticastMaxHold);
  }
  // All who share the network have noticed at the same moment; they need not come back at the same one.
  not_before_ =
      now + hold_ + Duration{static_cast<Duration::rep>(random_->below(static_cast<std::uint64_t>(hold_.count()) / 4))};
  rejoin_wait_ = random_->jitter(wire::kMulticastRejoin, kRejoinSpread);
  rejoin_at_ = now + rejoin_wait_;
  wanted_ = wire::Delivery::unicast;
  hasten_ = true;
  why.add();
}

// --- the parent's word ---

void DeliveryWay::on_group_info(const wire::GroupInfo& info, Time now) {
  Group* group = find(info.group);
  if (group == nullptr) return;
  Group& g = *group;
  if ((info.flags & wire::kInfoAnchored) == 0) {
    g.has_input = false;
    g.ended = g.ended || (info.flags & wire::kInfoEnded) != 0;
    return;
  }
  const bool newer = info.newest > g.newest;
  if (!g.has_input || (g.ended && newer)) {  // frames may be on their way
    g.has_input = true;
    g.ended = false;
    g.vouched = true;
    g.anything_until = std::max(g.anything_until, now + wire::silence(g.frame));
    return put_off(g, now);
  }
  if (g.ended || wanted_ != wire::Delivery::multicast) return;
  if (!newer) {  // nothing is being kept back
    g.vouched = now > g.last_frame + wire::silence(g.frame);
    put_off(g, now);
  } else if (g.span > 0 && info.newest.value > g.newest.value + late_after(g.frame)) {
    fall_back(counters_.back_behind, now);
  }
}

void DeliveryWay::on_seeking(bool seeking, Time now) {
  if (std::exchange(seeking_, seeking) && !seeking) {
    for (Group& g : groups_) {
      g.vouched = now > g.last_frame + wire::silence(g.frame);
      put_off(g, now);
    }
  }
}

// --- time ---

Time DeliveryWay::silent_from(const Group& group) const {
  if (group.ended) return kNever;
  return excused(group) ? group.anything_until : std::min(group.anything_until, group.frames_until);
}

/// IDLE alone comes: whether that is true, CONTROL tells before patience is at its end.
Time DeliveryWay::ask_at(const Group& group) const {
  return group.ended || group.asked || excused(group) ? kNever : group.frames_until - patience_ / 2;
}

void DeliveryWay::on_timer(Time now) {
  if (wanted_ == wire::Delivery::multicast) {
    for (Group& g : groups_) {
      if (now >= silent_from(g)) return fall_back(counters_.back_silent, now);
      if (now < ask_at(g)) continue;
      g.asked = true;
      hasten_ = true;
      counters_.questions.add();
    }
  } else if (now >= rejoin_at_) {
    rejoin_wait_ = random_->jitter(wire::kMulticastRejoin, kRejoinSpread);
    rejoin_at_ = now + rejoin_wait_;
    if (std::all_of(groups_.begin(), groups_.end(), [](const Group& g) { return g.ended; })) return;
    rejoin_ = true;
    counters_.rejoins.add();
  }
}

Time DeliveryWay::next_deadline() const {
  if (wanted_ != wire::Delivery::multicast) return groups_.empty() ? kNever : rejoin_at_;
  Time next = kNever;
  for (const Group& g : groups_) next = std::min({next, silent_from(g), ask_at(g)});
  return next;
}

}  // namespace tiercast::control
