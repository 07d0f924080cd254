#include "relay/control/parent.hpp"

#include <algorithm>
#include <utility>

namespace tiercast::control {
namespace {

// An unanswered probe: two round trips and what a busy parent may need. Then joining starts in parallel. A relay has
// others below it that wait; a listener's network may well hold its breath for half a second, and its probe is repeated
// once meanwhile.
constexpr Duration kRelayProbe = 100ms;
constexpr Duration kListenerProbe = 600ms;
// Without an expected stream only keepalives tell: four of them.
constexpr Duration kQuietUnanswered = 2s;
// A denied child asks again, but not in step with the others.
constexpr Duration kDeniedRetry = 5s;
constexpr Duration kBusyRetry = 1s;  // full, draining: that may pass soon
// Who lost its parent together with a thousand others does not join together with them. Relays are few.
constexpr Duration kRelaySpread = 100ms;
constexpr Duration kListenerSpread = 400ms;
constexpr double kSpread = 0.5;
// A keepalive that takes a standby up, unanswered: after a round trip and this it is sent again, so often.
constexpr Duration kTakeAgain = 30ms;
constexpr unsigned kTakes = 6;
// Loss is told as it was over about so long; of a standby it is half forgotten after so long.
constexpr Duration kLossOver = 10s;
constexpr Duration kLossForgotten = 60s;
// Nothing at all for so long, four of the longest frames, is a failure, and no loss of the way: the parent's own, or
// of what is above it, whoever else brings nothing then.
constexpr Duration kOutage = 240ms;
/// When the stream is back, each parent on the way has its own holes to mend first: the outage's, not the way's.
constexpr Duration kSettles = 5s;
/// Who drains says so every second. Who says it more often hurries nobody by that.
constexpr Duration kHurryEvery = 900ms;

}  // namespace

Parent::Parent(const ParentConfig& config, Random& random, Time now)
    : config_(config), random_(&random), idle_patience_(random.jitter(wire::kIdleDelaysFailover * 3 / 4, 1.0 / 3)) {
  seek(now);
}

void Parent::seek(Time at) {
  if (config_.duty == Duty::cold) return;
  if (!under_way()) seek_at_ = std::min(seek_at_, std::max(at, not_before_));
}

// A handshake that has failed for good (version, puzzle) is kept to tell why, until the next one.
bool Parent::under_way() const { return joining_ && joining_->state() <= JoinState::join_sent; }

/// When what is due from it is overdue, as far as is known now.
Time Parent::silent_from() const {
  if (!lease_ || !expects()) return kNever;
  const Time since = stream_expected_since_;
  const Time anything = std::max(last_stream_.value_or(since), since) + config_.silence;
  if (seeking_) return anything;
  return std::min(anything, std::max(last_input_.value_or(since), since) + std::max(idle_patience_, config_.silence));
}

/// Of one that should send nothing: when nothing has been heard from it for too long.
Time Parent::quiet_from() const {
  const auto unanswered = lease_->unanswered_since();
  return unanswered ? std::max(*unanswered, last_stream_.value_or(*unanswered)) + kQuietUnanswered : kNever;
}

Parent::Input Parent::on_datagram(Bytes datagram, MutableBytes records, Time now) {
  const auto type = wire::Type{wire::type_of(datagram)};
  if (type == wire::Type::control) {
    if (!lease_) {
      // It has not heard that it was left, or it would not say anything.
      if (leaving_ && leaving_->on_control(datagram, records, now)) says_leave_ = true;
      return {};
    }
    const auto opened = lease_->on_control(datagram, records, now);
    if (!opened) return {};
    if (!lease_->unanswered_since()) {
      unreachable_ = false;
      if (!expects()) silent_ = false;
      take_again_ = kNever;
    }
    const std::uint64_t acknowledged = lease_->counters().keepalives_acknowledged.get();
    if (std::exchange(acknowledged_, acknowledged) != acknowledged) {
      if (loops(lease_->path())) {
        leave_loop(now);
        return {};
      }
      note_seeking(lease_->seeking(), now);
    }
    return {Came::records, *opened};
  }
  if (!joining_ || (type != wire::Type::retry && type != wire::Type::accept)) return {};
  if (!under_way()) return {};
  joining_->on_datagram(datagram, now);
  if (joining_->state() == JoinState::version || joining_->state() == JoinState::refused) {
    not_before_ = now + random_->jitter(kDeniedRetry, kSpread);  // it may be another program by then
    seek(now);
    return {};
  }
  if (joining_->state() == JoinState::accepted) {
    (lease_ ? counters_.rejoins : counters_.joins).add();
    grant_ = joining_->take_grant();
    joining_.reset();
    say_leave();
    drains_ = false;
    lease_.emplace(*grant_, *random_, now);
    denial_.reset();
    silent_ = unreachable_ = unattested_ = false;
    note_seeking(false, now);
    acknowledged_ = 0;
    seek_at_ = take_again_ = kNever;
    if (loops(lease_->path())) {
      grant_.reset();
      leave_loop(now);
      return {};
    }
    resume_ = config_.duty == Duty::live;
    forget_stream();
    expect_from(now);
    return {Came::joined, {}};
  }
  if (joining_->state() == JoinState::denied) {
    counters_.denied.add();
    denial_ = joining_->denial();
    if (!refused()) elsewhere_ = EdgeIndices{denial_->where_else};
    denial_->where_else = {};  // a view that ends with the initiator
    joining_.reset();
    const Duration wait =
        std::max<Duration>(refused() ? kDeniedRetry : kBusyRetry, std::chrono::seconds{denial_->retry_after_s});
    not_before_ = now + random_->jitter(wait, kSpread);
    seek(now);
  }
  return {};
}

/// Its way to the origin leads through this node, or a longer one would not fit: then what it brings may have come
/// from here, for ever.
bool Parent::loops(const InlineVector<NodeId, wire::kMaxPath>& path) const {
  if (config_.own_id == NodeId{}) return false;
  return path.size() == wire::kMaxPath || std::find(path.begin(), path.end(), config_.own_id) != path.end();
}

void Parent::leave_loop(Time now) {
  counters_.loops.add();
  not_before_ = now + random_->jitter(kDeniedRetry, kSpread);  // its way may be another one by then
  leave(now);
}

void Parent::set_duty(Duty duty, Time now) {
  const Duty before = std::exchange(config_.duty, duty);
  if (before == duty) return;
  config_.request.delivery = duty == Duty::live ? wire::Delivery::unicast : wire::Delivery::none;
  resume_ = false;
  take_again_ = kNever;
  if (duty == Duty::cold) {
    denial_.reset();
    return leave(now);
  }
  if (!lease_) return seek(now);
  if (duty == Duty::live) {
    counters_.taken_up.add();
    silent_ = false;
    note_seeking(false, now);  // it will say so again
    resume_ = true;
    takes_ = 1;
    take_again_ = now + lease_->round_trip() + kTakeAgain;
    forget_stream();
    expect_from(now + 2 * lease_->round_trip());  // there, and back
  }
  lease_->keepalive_now(now);
}

void Parent::forget_stream() {
  last_stream_.reset();
  last_input_.reset();
  last_frame_.reset();
  unattested_since_.reset();
}

void Parent::expect_from(Time since) {
  frames_ = 0;
  loss_since_ = way_since_ = since;
  stream_expected_since_ = since;
}

void Parent::note_seeking(bool seeking, Time now) {
  if (seeking == seeking_) return;
  seeking_ = seeking;
  const bool starved = std::exchange(starved_, false);
  starved_at_ = seeking ? now + idle_patience_ : kNever;
  if (!seeking && starved) settled_at_ = now + kSettles;
}

Health Parent::health(Time now) const {
  if (!lease_) return Health::gone;
  if (silent_ || unreachable_ || unattested_ || now >= silent_from()) return Health::failed;
  if (!expects() && now >= quiet_from()) return Health::failed;
  if (starved_) return Health::starved;
  return expects() && !last_input_ ? Health::coming : Health::good;
}

JoinGrant Parent::take_grant() {
  JoinGrant grant = std::move(*grant_);
  grant_.reset();
  return grant;
}

void Parent::on_stream(Stream kind, Time now) {
  if (kind == Stream::seeking || kind == Stream::frame) note_seeking(kind == Stream::seeking, now);
  take_again_ = kNever;
  if (!note_stream(kind, true, now)) return;
  if (now >= silent_from()) return;  // IDLE, and nothing else for too long
  // It speaks again by the old lease: no need of another one, unless that is old.
  if ((silent_ || unreachable_) && lease_ && !lease_->handshake_old(now) && !lease_->expired(now)) {
    joining_.reset();
    seek_at_ = kNever;
  }
  silent_ = unreachable_ = false;
}

void Parent::on_multicast(Stream kind, bool counts, Time now) {
  if (note_stream(kind, counts, now) && now < silent_from()) silent_ = false;
}

/// False: it is given up.
bool Parent::note_stream(Stream kind, bool counts, Time now) {
  if (last_stream_ && now >= *last_stream_ + kOutage) outage_ = true;
  last_stream_ = now;
  if (kind == Stream::frame || kind == Stream::attestation) last_input_ = now;
  if (kind == Stream::attestation) {
    unattested_since_.reset();
    unattested_ = false;
  }
  if (kind == Stream::frame) {
    frames_ += counts ? 1 : 0;
    // After a pause the clock starts anew: frames from before it that nobody attested are the source's affair.
    const bool paused = last_frame_ && now - *last_frame_ >= wire::kAttestEvery;
    if (!unattested_since_ || paused) unattested_since_ = now;
    last_frame_ = now;
    if (now >= *unattested_since_ + wire::kUnattested) {
      // Frames that nobody vouches for: as good as dead. Found anew, it may do better; others are asked meanwhile.
      counters_.unattested.add();
      unattested_ = true;
      unattested_since_.reset();
      seek(now);
      return false;
    }
  }
  return true;
}

std::uint16_t Parent::take_loss(Duration frame, Time now) {
  const auto due = static_cast<double>((now - loss_since_) / frame);
  const double lost = due < 1 || !expects() ? 0.0 : std::clamp(1.0 - frames_ / due, 0.0, 1.0);
  frames_ = 0;
  loss_since_ = now;
  return static_cast<std::uint16_t>(lost * 65535);
}

void Parent::note_way(std::uint64_t came, std::uint64_t missed, Time now) {
  const std::chrono::duration<double> over = now - way_since_;
  const auto ratio = [over](Duration to) { return std::clamp(over / to, 0.0, 1.0); };
  if (!expects()) {
    loss_ *= 1.0 - ratio(2 * kLossForgotten);
  } else if (came + missed > 0 && !outage_ && way_since_ >= settled_at_) {
    loss_ += (static_cast<double>(missed) / static_cast<double>(came + missed) - loss_) * ratio(kLossOver);
  }
  way_since_ = now;
  outage_ = false;
}

void Parent::on_unreachable(Time now) {
  if (!lease_) return;  // the initiator's resends go on
  counters_.unreachable.add();
  if (std::exchange(unreachable_, true)) return;  // every datagram gets such an answer: one is enough
  lease_->hasten(now);
  seek(now + random_->jitter(probe(), kSpread));
}

void Parent::on_go_away(wire::LeaveReason reason, std::uint16_t retry_after_s, Time now) {
  const Time again = now + random_->jitter(std::max<Duration>(200ms, std::chrono::seconds{retry_after_s}), kSpread);
  drains_ = reason == wire::LeaveReason::drain && lease_;
  not_before_ = again;
  if (drains_) return;
  lease_.reset();
  seek(again);
}

/// False: not while it is leased, has said no, or was hurried just now. Else nothing is waited for any more.
bool Parent::take_hurry(Time now) {
  if (lease_ || (denial_ && denial_->reason != wire::DenyReason::draining)) return false;
  if (hurried_at_ && now < *hurried_at_ + kHurryEvery) return false;
  hurried_at_ = now;
  not_before_ = now;
  return true;
}

void Parent::hurry(Time now) {
  if (under_way() || !take_hurry(now)) return;
  seek(now + Duration{static_cast<Duration::rep>(random_->below(static_cast<std::uint64_t>(spread().count())))});
}

void Parent::on_there(Time now) {
  if (under_way() && (joining_->state() != JoinState::hello_sent || joining_->hellos_sent() < 2)) return;
  if (!take_hurry(now)) return;
  joining_.reset();
  seek(now);
}

void Parent::stay(Time now) { not_before_ = now; }

/// By the lease that it has, if any; another one may take its place.
void Parent::say_leave() {
  if (!lease_) return;
  leaving_.emplace(std::move(*lease_));
  says_leave_ = true;
}

void Parent::leave(Time now) {
  say_leave();
  lease_.reset();
  drains_ = false;
  joining_.reset();
  seek_at_ = take_again_ = kNever;
  seek(now);
}

void Parent::expect_stream(bool expected, Time now) {
  if (expected && !expects_stream_) stream_expected_since_ = now;
  expects_stream_ = expected;
}

Duration Parent::probe() const { return relay() ? kRelayProbe : kListenerProbe; }
Duration Parent::spread() const { return relay() ? kRelaySpread : kListenerSpread; }

Duration Parent::patience() const {
  return silent_ || unreachable_ ? std::max<Duration>(2 * lease_->round_trip(), probe()) : Duration{kQuietUnanswered};
}

void Parent::on_timer(Time now) {
  if (joining_) joining_->on_timer(now);
  if (lease_) {
    if (now >= starved_at_) {
      starved_at_ = kNever;
      starved_ = true;
    }
    if (now >= take_again_) {
      resume_ = true;
      lease_->keepalive_now(now);
      take_again_ = ++takes_ < kTakes ? now + lease_->round_trip() + kTakeAgain : kNever;
    }
    if (!silent_ && now >= silent_from()) {
      silent_ = true;
      counters_.silences.add();
      lease_->hasten(now);
    }
    if (const auto since = lease_->unanswered_since(); since && seek_at_ == kNever && now >= *since + patience())
      seek(now + Duration{static_cast<Duration::rep>(random_->below(static_cast<std::uint64_t>(spread().count())))});
    if (lease_->handshake_old(now)) seek(now);
    if (lease_->expired(now)) {
      lease_.reset();
      seek(now);
    }
  }
  if (now >= seek_at_ && !under_way()) {
    seek_at_ = kNever;
    joining_.emplace(config_.own_key, config_.key, config_.request, config_.ticket, *random_, now);
  }
}

Time Parent::next_deadline() const {
  Time next = seek_at_;
  if (joining_) next = std::min(next, joining_->next_deadline());
  if (lease_) {
    next = std::min({next, lease_->next_deadline(), take_again_, starved_at_});
    if (!silent_) next = std::min(next, silent_from());
    if (const auto since = lease_->unanswered_since(); since && !under_way() && seek_at_ == kNever)
      next = std::min(next, *since + patience());
  }
  return next;
}

Bytes Parent::take_datagram(KeepaliveContents contents, MutableBytes out, Time now) {
  if (std::exchange(says_leave_, false)) {
    std::array<std::uint8_t, 8> record{};
    Writer records{record};
    wire::write_record(records, wire::Leave{wire::LeaveReason::stop});
    return leaving_->seal(records.written(), out);
  }
  if (config_.duty != Duty::live) contents.delivery = wire::Delivery::none;
  if (lease_) {
    if (Bytes keepalive = lease_->keepalive_if_due(contents, out, now); !keepalive.empty()) return keepalive;
  }
  if (joining_) return joining_->take_datagram();
  return {};
}

bool Parent::live(Time now) const {
  if (!lease_ || unattested_) return false;
  if (!expects()) return now < quiet_from();
  return last_stream_ && now < silent_from();
}

bool another_brings(std::span<const Parent> parents, std::size_t parent, Time now) {
  for (std::size_t p = 0; p < parents.size(); ++p)
    if (p != parent && parents[p].may_be_asked() && parents[p].live(now)) return true;
  return false;
}

}  // namespace tiercast::control
