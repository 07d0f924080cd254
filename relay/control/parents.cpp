#include "relay/control/parents.hpp"

#include <algorithm>

namespace tiercast::control {
namespace {

// Joining instead of a parent that failed is spread over so long. A standby is joined when there is time for that: not
// in the crowd's first seconds, nor by all of it at once.
constexpr Duration kRelayJoin = 100ms;
constexpr Duration kListenerJoin = 400ms;
constexpr Duration kRelayWarm = 500ms;
constexpr Duration kListenerWarm = 3s;
constexpr double kWarmSpread = 0.5;
constexpr double kLookSpread = 1.0 / 3;
// What is a little worse is not worth a change: twice the cost, and some more. A frame in a hundred that does not come
// is as bad as a round trip that takes ten milliseconds more.
constexpr double kMuchWorse = 2.0;
constexpr double kWorseBy = 0.02;
constexpr double kLossCost = 1.0;

double cost(const Parents::View& view) {  // in seconds
  return std::chrono::duration<double>{view.distance}.count() + view.loss * kLossCost;
}

bool much_worse(const Parents::View& a, const Parents::View& b) { return cost(a) > kMuchWorse * cost(b) + kWorseBy; }

}  // namespace

void Parents::add(std::size_t preference) {
  Place place;
  place.preference = preference;
  places_.push_back(place);
}

void Parents::remove(std::size_t parent) { places_.erase(places_.begin() + static_cast<std::ptrdiff_t>(parent)); }

bool Parents::settle(std::span<Parent> parents, Time now) {
  views_.clear();
  for (const Parent& parent : parents)
    views_.push_back(
        {parent.health(now), parent.distance(), parent.loss(), parent.denial().has_value(), parent.drains()});
  choose(views_, now);
  bool changed = false;
  for (std::size_t p = 0; p < parents.size(); ++p) {
    if (parents[p].duty() == places_[p].duty) continue;
    parents[p].set_duty(places_[p].duty, now);
    changed = true;
  }
  return changed;
}

void Parents::choose(std::span<const View> views, Time now) {
  next_ = kNever;
  for (std::size_t p = 0; p < places_.size(); ++p) {
    places_[p].view = views[p];
    judge(places_[p], now);
  }
  blame(now);
  sort();
  compare(now);
  look_around(now);
  fill(now);
  exchange(now);
  trim(now);
  keep_warm(now);
}

/// Whether that time has come; else it is waited for.
bool Parents::at(Time when, Time now) {
  if (now >= when) return true;
  next_ = std::min(next_, when);
  return false;
}

Time Parents::spread(Duration over, Time now) {
  return now + Duration{static_cast<Duration::rep>(random_->below(static_cast<std::uint64_t>(over.count())))};
}

void Parents::set(Place& place, Duty duty, Time now) {
  place.duty = duty;
  place.since = now;
  place.worse_since.reset();
  if (duty != Duty::warm) place.asked = place.unproven = false;
}

// --- who is good for what ---

Duration Parents::hold(const Place& place) {
  return std::min<Duration>(kHold * (std::int64_t{1} << std::min(place.failures - 1, 16U)), kMaxHold);
}

void Parents::fail(Place& place, Time now) {
  ++place.failures;
  place.failed_at = now;
  place.held = true;
}

void Parents::judge(Place& place, Time now) {
  const Health health = place.view.health;
  const bool good = health == Health::good;
  if (!good) place.good_since.reset();
  if (good && !place.good_since) place.good_since = now;
  if (place.duty != Duty::cold && !place.bad) {
    place.bad = health == Health::failed ||
                (health == Health::gone && (place.view.denied || at(place.since + kJoinPatience, now)));
    place.bad_since = now;
    place.blamed = false;
  }
  if (good || place.duty == Duty::cold) place.bad = false;
  if (place.failures == 0 || place.bad) return;
  // From when on it has done nothing wrong.
  const Time since = std::max(place.good_since.value_or(place.failed_at), place.failed_at);
  if (place.held && at(since + hold(place), now)) place.held = false;
  if (place.good_since && at(since + kForgive, now)) place.failures = 0;
}

/// Who has failed is blamed for it where another one brings frames, or soon does. Where none does, their origin is out,
/// or this node's own network is, and all are as good as before; who is back first then is so by chance.
void Parents::blame(Time now) {
  for (Place& place : places_) {
    if (!place.bad || place.blamed) continue;
    place.blamed = std::any_of(places_.begin(), places_.end(), [&](const Place& other) {
      return other.duty == Duty::live && other.good_since && *other.good_since <= place.bad_since + kBlameWithin &&
             at(std::max(*other.good_since, place.bad_since) + kBlame, now);
    });
    if (place.blamed) fail(place, now);
  }
}

/// Who goes first: it has not failed lately, and is named first.
bool Parents::before(const Place& a, const Place& b) { return a.held != b.held ? b.held : a.preference < b.preference; }

bool Parents::joins(const Place& place, Time now) {
  return place.view.health == Health::gone && !place.view.denied && now < place.since + kJoinPatience;
}

void Parents::sort() {
  order_.clear();
  for (Place& place : places_)
    if (!place.leaving && !place.view.leaving) order_.push_back(&place);
  std::sort(order_.begin(), order_.end(),
            [](const Place* a, const Place* b) { return before(*a, *b) || (!before(*b, *a) && a < b); });
}

/// The first that is not live.
Parents::Place* Parents::standby(Readiness least) {
  for (Place* place : order_) {
    if (place->duty == Duty::live) continue;
    const Health health = place->duty == Duty::warm ? place->view.health : Health::gone;
    // What one said to have nothing may have been a moment's truth.
    const Readiness is = place->unproven             ? Readiness::any
                         : health == Health::good    ? Readiness::good
                         : health == Health::starved ? Readiness::leased
                                                     : Readiness::any;
    if (is >= least) return place;
  }
  return nullptr;
}

bool Parents::troubled(const Place& place) {
  return place.bad || place.view.health == Health::failed || place.view.health == Health::starved;
}

/// Who is the first to go: one that brings nothing, else the last.
Parents::Place* Parents::last_live() {
  Place* last = nullptr;
  for (Place* place : order_)
    if (place->duty == Duty::live && (!last || troubled(*place) || !troubled(*last))) last = place;
  return last;
}

std::size_t Parents::live_and(Health health) const {
  return static_cast<std::size_t>(std::count_if(order_.begin(), order_.end(), [health](const Place* place) {
    return place->duty == Duty::live && place->view.health == health;
  }));
}

/// Those that bring frames, or will in a moment.
std::size_t Parents::fed(Time now) const {
  return live_and(Health::good) + live_and(Health::coming) +
         static_cast<std::size_t>(std::count_if(order_.begin(), order_.end(), [now](const Place* place) {
           return place->duty == Duty::live && joins(*place, now);
         }));
}

// --- what follows from it ---

/// A live one that is much worse than a standby for long counts as failed.
void Parents::compare(Time now) {
  const Place* best = standby(Readiness::good);
  for (Place* place : order_) {
    const bool worse = best && !best->held && !place->held && place->duty == Duty::live &&
                       place->view.health == Health::good && much_worse(place->view, best->view);
    if (!worse) {
      place->worse_since.reset();
      continue;
    }
    if (!place->worse_since) place->worse_since = now;
    if (!at(*place->worse_since + kWorseFor, now)) continue;
    counters_.exchanged.add();
    fail(*place, now);
    return sort();  // one at a time
  }
}

/// Where live ones have nothing for long, who else is there may have something: one in reserve is asked to stand by,
/// then another, ever more seldom, by each child at a time of its own. Below a dead origin all do so in vain.
void Parents::look_around(Time now) {
  if (live_and(Health::good) > 0 || (look_at_ == kNever && live_and(Health::starved) == 0)) {
    look_at_ = kNever;
    looks_ = 0;
    for (Place& place : places_) {
      place.asked = place.unproven = false;
      place.asked_at.reset();
    }
    return;
  }
  for (Place* place : order_)
    if (place->asked) place->unproven = !place->good_since || !at(*place->good_since + kHasInput, now);
  const auto later = [&] {
    const Duration wait = std::min<Duration>(kLookAround * (std::int64_t{1} << std::min(looks_, 16U)), kMaxLookAround);
    return now + random_->jitter(wait, kLookSpread);
  };
  if (look_at_ == kNever) look_at_ = later();
  if (!at(look_at_, now)) return;
  ++looks_;
  look_at_ = later();
  (void)at(look_at_, now);
  Place* next = nullptr;  // who was not asked for longest
  for (Place* place : order_) {
    place->asked = place->unproven = false;
    if (place->duty == Duty::cold && (!next || place->asked_at < next->asked_at)) next = place;
  }
  if (!next) return;
  set(*next, Duty::warm, now);
  next->asked = next->unproven = true;
  next->asked_at = now;
}

/// Takes up what is lacking, at once or nearly so. Where parents live but have nothing themselves, only what costs no
/// join: the whole tree below a dead origin is in that state.
void Parents::fill(Time now) {
  const std::size_t starved = live_and(Health::starved);
  std::size_t have = fed(now);
  const bool alone = have == 0;
  const bool failed = std::any_of(order_.begin(), order_.end(),
                                  [](const Place* place) { return place->duty == Duty::live && troubled(*place); });
  for (; have < config_.live; ++have) {
    Place* next = standby(Readiness::good);
    if (!next && have + starved < config_.live) next = standby(Readiness::leased);
    const bool ready = next != nullptr;
    if (!ready && have + starved < config_.live && (starved == 0 || !alone)) next = standby(Readiness::any);
    if (!next) break;
    if (failed) {
      const Duration join = config_.relay ? kRelayJoin : kListenerJoin;
      if (fill_at_ == kNever) fill_at_ = spread(ready && alone ? kTakeUpSpread : join, now);
      if (!at(fill_at_, now)) return;
      counters_.replaced.add();
    }
    set(*next, Duty::live, now);
  }
  fill_at_ = kNever;
}

/// A standby that goes before one that is live is taken up beside it. trim() leaves that one when both are steady.
void Parents::exchange(Time now) {
  const auto live = std::count_if(order_.begin(), order_.end(), [](const Place* p) { return p->duty == Duty::live; });
  Place* next = standby(Readiness::good);
  const Place* last = last_live();
  if (!next || !last || troubled(*last) || static_cast<std::size_t>(live) != config_.live) return;
  if (next->held || !before(*next, *last)) return;
  if (!last->held && much_worse(next->view, last->view)) return;
  if (!at(*next->good_since + kSteady, now)) return;
  if (next->failures > 0) counters_.restored.add();
  set(*next, Duty::live, now);
}

/// More are live than wanted: as many stay as are, of those that go first, and steady.
void Parents::trim(Time now) {
  while (true) {
    Place* last = last_live();
    if (last == nullptr) return;
    std::size_t others = 0, steady = 0;
    for (const Place* place : order_) {
      if (place->duty != Duty::live || place == last) continue;
      ++others;
      const bool good = place->view.health == Health::good;
      if (good && at(std::max(*place->good_since, place->since) + kSteady, now)) ++steady;
    }
    if (others < config_.live || steady < config_.live) return;
    if (troubled(*last) && !(last->bad && last->blamed)) fail(*last, now);
    last->blamed = true;
    set(*last, Duty::warm, now);
  }
}

/// Some stand by; and those are sought that go before one that is live.
void Parents::keep_warm(Time now) {
  std::size_t last = 0;  // preference of a live one
  for (const Place* place : order_)
    if (place->duty == Duty::live) last = std::max(last, place->preference);
  // One too many will stand by in a moment; so it is below an origin that is back.
  const bool calm = live_and(Health::starved) == 0 && live_and(Health::good) == std::min(config_.live, order_.size());
  if (!calm) warm_at_ = kNever;
  std::size_t room = config_.warm;
  // Who has failed lately and is there again, or had nothing for once, is not relied on; nor is another one joined for
  // it at once: so it is with thousands below a relay that is back later than others.
  const auto may_do = static_cast<std::size_t>(std::count_if(order_.begin(), order_.end(), [&](const Place* place) {
    if (place->duty != Duty::warm || !place->held) return false;
    return (place->view.health == Health::good && place->failures == 1) ||
           (place->view.health == Health::starved && !at(place->failed_at + kHold, now));
  }));
  bool seeks = false, lacking = false;
  for (Place* place : order_) {
    if (place->duty == Duty::live) continue;
    const bool displaced = place->failures > 0 && place->preference < last;
    if (place->duty == Duty::cold && !displaced && room <= may_do) continue;
    bool wanted = displaced || place->asked;
    if (room > 0 && !(displaced && place->held)) {
      // What stands by is not let go of for one that may never answer.
      const bool good = place->view.health == Health::good;
      wanted = wanted || good || !seeks;
      if (good) {
        --room;
      } else {
        seeks = true;
      }
    }
    if (!wanted) {
      if (place->duty != Duty::cold) set(*place, Duty::cold, now);
    } else if (place->duty == Duty::cold) {
      lacking = true;
      if (!calm) continue;
      if (warm_at_ == kNever) warm_at_ = now + random_->jitter(config_.relay ? kRelayWarm : kListenerWarm, kWarmSpread);
      if (at(warm_at_, now)) set(*place, Duty::warm, now);
    }
  }
  if (!lacking) warm_at_ = kNever;
}

}  // namespace tiercast::control
