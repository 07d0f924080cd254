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

}  // namespace

Parent::Parent(const ParentConfig& config, Random& random, Time now)
    : config_(config), random_(&random), idle_patience_(random.jitter(wire::kIdleDelaysFailover * 3 / 4, 1.0 / 3)) {
  seek(now);
}

void Parent::seek(Time at) {
  if (!under_way()) seek_at_ = std::min(seek_at_, std::max(at, not_before_));
}

// A handshake that has failed for good (version, puzzle) is kept to tell why, until the next one.
bool Parent::under_way() const { return joining_ && joining_->state() <= JoinState::join_sent; }

/// When what is due from it is overdue, as far as is known now.
Time Parent::silent_from() const {
  if (!lease_ || !expects_stream_) return kNever;
  const Time since = stream_expected_since_;
  const Time anything = std::max(last_stream_.value_or(since), since) + config_.silence;
  if (lease_->seeking()) return anything;
  return std::min(anything, std::max(last_input_.value_or(since), since) + std::max(idle_patience_, config_.silence));
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
    if (!lease_->unanswered_since()) unreachable_ = false;
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
    if (lease_) {
      leaving_.emplace(std::move(*lease_));
      says_leave_ = true;
    }
    drains_ = false;
    lease_.emplace(*grant_, *random_, now);
    denial_.reset();
    silent_ = unreachable_ = false;
    seek_at_ = kNever;
    last_stream_.reset();
    last_input_.reset();
    last_frame_.reset();
    unattested_since_.reset();
    frames_ = 0;
    loss_since_ = now;
    stream_expected_since_ = now;
    return {Came::joined, {}};
  }
  if (joining_->state() == JoinState::denied) {
    counters_.denied.add();
    denial_ = joining_->denial();
    denial_->where_else = {};  // a view that ends with the initiator; edge lists are not used yet
    joining_.reset();
    const bool passing = denial_->reason == wire::DenyReason::full || denial_->reason == wire::DenyReason::draining;
    const Duration wait =
        std::max<Duration>(passing ? kBusyRetry : kDeniedRetry, std::chrono::seconds{denial_->retry_after_s});
    not_before_ = now + random_->jitter(wait, kSpread);
    seek(now);
  }
  return {};
}

JoinGrant Parent::take_grant() {
  JoinGrant grant = std::move(*grant_);
  grant_.reset();
  return grant;
}

void Parent::on_stream(Stream kind, Time now) {
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
  last_stream_ = now;
  if (kind != Stream::idle) last_input_ = now;
  if (kind == Stream::attestation) unattested_since_.reset();
  if (kind == Stream::frame) {
    frames_ += counts ? 1 : 0;
    // After a pause the clock starts anew: frames from before it that nobody attested are the source's affair.
    const bool paused = last_frame_ && now - *last_frame_ >= wire::kAttestEvery;
    if (!unattested_since_ || paused) unattested_since_ = now;
    last_frame_ = now;
    if (now >= *unattested_since_ + wire::kUnattested) {
      // Frames that nobody vouches for: as good as dead. Found anew, it may do better; others are asked meanwhile.
      counters_.unattested.add();
      unattested_since_.reset();
      seek(now);
      return false;
    }
  }
  return true;
}

std::uint16_t Parent::take_loss(Duration frame, Time now) {
  const auto due = static_cast<double>((now - loss_since_) / frame);
  const double lost = due < 1 || !expects_stream_ ? 0.0 : std::clamp(1.0 - frames_ / due, 0.0, 1.0);
  frames_ = 0;
  loss_since_ = now;
  return static_cast<std::uint16_t>(lost * 65535);
}

void Parent::on_unreachable(Time now) {
  if (!lease_) return;  // the initiator's resends go on
  counters_.unreachable.add();
  if (std::exchange(unreachable_, true)) return;  // every datagram gets such an answer: one is enough
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

void Parent::hurry(Time now) {
  if (lease_ || under_way() || (denial_ && denial_->reason != wire::DenyReason::draining)) return;
  not_before_ = now;
  seek(now + Duration{static_cast<Duration::rep>(random_->below(static_cast<std::uint64_t>(spread().count())))});
}

void Parent::stay(Time now) { not_before_ = now; }

void Parent::leave(Time now) {
  if (!lease_) return;
  leaving_.emplace(std::move(*lease_));
  says_leave_ = true;
  lease_.reset();
  drains_ = false;
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
    next = std::min(next, lease_->next_deadline());
    if (!silent_) next = std::min(next, silent_from());
    if (const auto since = lease_->unanswered_since(); since && !under_way() && seek_at_ == kNever)
      next = std::min(next, *since + patience());
  }
  return next;
}

Bytes Parent::take_datagram(const KeepaliveContents& contents, MutableBytes out, Time now) {
  if (std::exchange(says_leave_, false)) {
    std::array<std::uint8_t, 8> record{};
    Writer records{record};
    wire::write_record(records, wire::Leave{wire::LeaveReason::stop});
    return leaving_->seal(records.written(), out);
  }
  if (lease_) {
    if (Bytes keepalive = lease_->keepalive_if_due(contents, out, now); !keepalive.empty()) return keepalive;
  }
  if (joining_) return joining_->take_datagram();
  return {};
}

bool Parent::live(Time now) const {
  if (!lease_) return false;
  if (!expects_stream_) return !lease_->unanswered_since() || now < *lease_->unanswered_since() + kQuietUnanswered;
  return last_stream_ && now < silent_from();
}

std::optional<std::size_t> parent_to_ask(std::span<const Parent> parents, std::size_t& next, Time now) {
  std::optional<std::size_t> leased;
  for (std::size_t i = 0; i < parents.size(); ++i) {
    const std::size_t p = (next + i) % parents.size();
    if (parents[p].live(now)) {
      next = p + 1;
      return p;
    }
    if (parents[p].leased()) leased = p;
  }
  return leased;
}

}  // namespace tiercast::control
