#include "relay/measure/load_crowd.hpp"

#include <algorithm>

namespace tiercast::measure {
namespace {

/// As `tiercast listen`: who has no lease by then is told why.
constexpr Duration kJoinPatience = 10s;
constexpr Duration kAfterFailure = 5s;  // ± a half, as a denied listener waits
constexpr Duration kAfterLeaving = 1s;  // the edge has ended the lease by then, and nothing more comes
/// Who falls behind (this process was held up) makes up for so much at once, and leaves the rest.
constexpr Duration kCatchUp = 20ms;
/// CONTROL datagrams of one step when all leave: as many a second as a worker's socket takes.
constexpr std::uint32_t kLeavesAtOnce = 256;
constexpr Duration kLeaveEvery = 5ms;

Duration interval(double a_second) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>{1.0 / a_second});
}

std::uint64_t us(Duration d) { return static_cast<std::uint64_t>(std::max<Duration::rep>(0, d.count() / 1000)); }

/// The edge has ended it: because of its age, or since no keepalive of it has ever come there.
bool is_over(const control::UplinkLease& lease, Time joined, Time now) {
  const auto& unanswered = lease.unanswered_since();
  const bool confirmed = lease.counters().keepalives_acknowledged.get() > 0;
  return lease.expired(now) || (!confirmed && unanswered && now - joined > wire::kProvisionalLease);
}

load_account cleared(const load_account& account) {
  load_account out{};
  out.flags = account.flags & LOAD_PASS;
  return out;
}

JoinFailure failure_of(wire::DenyReason reason) {
  return static_cast<JoinFailure>(static_cast<unsigned>(JoinFailure::unknown_group) + static_cast<unsigned>(reason) -
                                  1);
}

}  // namespace

LoadCrowd::LoadCrowd(const LoadPlan& plan, std::span<load_account> accounts, bool counted_below, Random& random,
                     Outlet& outlet, Time now)
    : plan_(plan),
      accounts_(accounts),
      counted_below_(counted_below),
      random_(&random),
      outlet_(&outlet),
      listeners_(plan.listeners),
      next_join_(now),
      undecided_(plan.listeners),
      epochs_(plan.group, plan.sources),
      sample_(epochs_) {
  plan_.sample = std::min(plan_.sample, plan_.listeners);
  if (plan_.sample > 0) stride_ = plan_.listeners / plan_.sample;
  epoch_questions_.resize(plan_.sample);
  if (counted_below_) sampled_accounts_.resize(plan_.sample);
  for (std::uint32_t i = 0; i < plan_.listeners; ++i)
    if (is_sampled(i)) accounts_[i].flags |= LOAD_PASS;
}

// --- joining ---

void LoadCrowd::join_those_due(Time now) {
  next_join_ = std::max(next_join_, now - kCatchUp);
  while (!leaving_ && now >= next_join_ && under_way_ < kJoinsAtOnce && (fresh_ < plan_.listeners || !again_.empty())) {
    std::uint32_t i = fresh_;
    if (fresh_ < plan_.listeners) {
      ++fresh_;
    } else {
      i = again_.front();
      again_.pop_front();
    }
    next_join_ += interval(plan_.ramp);
    begin(i, now);
  }
}

void LoadCrowd::begin(std::uint32_t i, Time now) {
  Listener& listener = listeners_[i];
  load_account& account = accounts_[i];
  closed_.after_leaving += account.frames;
  account = cleared(account);
  if (counted_below_ && is_sampled(i)) sampled_accounts_[i / stride_] = {};
  wire::JoinRequest request;
  request.group = plan_.group;
  request.role = wire::Role::listener;
  listener.joining = std::make_unique<control::JoinInitiator>(nullptr, plan_.edge, request, Bytes{}, *random_, now);
  listener.state = State::joining;
  listener.since = now;
  listener.epochs = 0;
  listener.told_due = listener.told_lost = 0;
  ++under_way_;
  if (!first_hello_) first_hello_ = now;
  pump(i, now);
  schedule(i, now);
}

void LoadCrowd::on_joining(std::uint32_t i, Time now) {
  Listener& listener = listeners_[i];
  using control::JoinState;
  switch (listener.joining->state()) {
    case JoinState::accepted: return on_joined(i, now);
    case JoinState::denied: return fail(i, failure_of(listener.joining->denial().reason), now);
    case JoinState::version: return fail(i, JoinFailure::version, now);
    case JoinState::refused: return fail(i, JoinFailure::puzzle, now);
    default: break;
  }
  if (now < listener.since + kJoinPatience) return pump(i, now);
  fail(i, listener.joining->joins_sent() > 0 ? JoinFailure::no_accept : JoinFailure::no_answer, now);
}

void LoadCrowd::on_joined(std::uint32_t i, Time now) {
  Listener& listener = listeners_[i];
  const control::JoinGrant grant = listener.joining->take_grant();
  listener.joining.reset();
  --under_way_;
  listener.lease.emplace(grant, *random_, now);
  listener.state = State::leased;
  listener.replacing = false;
  join_us_.record(us(now - listener.since));
  listener.since = now;
  ++counters_.joins;
  if (!listener.was_in) ++joined_;
  listener.was_in = true;
  if (!complete_at_) last_accept_ = now;
  // Without an anchor it is the next that anybody gets.
  listener.due = progress_.highest().value == 0 ? Sequence{} : progress_.highest().next();
  if (grant.group_info) {
    on_info(*grant.group_info);
    if ((grant.group_info->flags & wire::kInfoAnchored) != 0) listener.due = grant.group_info->newest.next();
  }
  for (const wire::EpochRecord& epoch : grant.epochs) on_epoch(listener, epoch);
  decide(i, now);
  pump(i, now);
}

void LoadCrowd::fail(std::uint32_t i, JoinFailure why, Time now) {
  ++counters_.failures[static_cast<std::size_t>(why)];
  listeners_[i].joining.reset();
  listeners_[i].replacing = false;
  --under_way_;
  decide(i, now);
  rest(i, random_->jitter(kAfterFailure, 0.5), now);
}

void LoadCrowd::rest(std::uint32_t i, Duration length, Time now) {
  listeners_[i].state = State::resting;
  listeners_[i].since = now + length;
}

void LoadCrowd::decide(std::uint32_t i, Time now) {
  if (listeners_[i].decided) return;
  listeners_[i].decided = true;
  if (--undecided_ > 0) return;
  complete_at_ = now;
  if (plan_.churn > 0) next_churn_ = now;
  lost_before_ = closed_.lost;
  for (const load_account& account : accounts_) lost_before_ += account.lost;
}

// --- what comes ---

void LoadCrowd::on_datagram(std::uint32_t i, Bytes datagram, Time now, WallTime arrived) {
  if (leaving_) return;
  Listener& listener = listeners_[i];
  switch (wire::Type{wire::type_of(datagram)}) {
    case wire::Type::retry:
    case wire::Type::accept:
      if (!listener.joining) return;  // of a JOIN that was resent
      listener.joining->on_datagram(datagram, now);
      on_joining(i, now);
      break;
    case wire::Type::control:
      if (!listener.lease) return;
      on_control(i, datagram, now);
      break;
    default: return on_stream(i, datagram, now, arrived);
  }
  schedule(i, now);
}

void LoadCrowd::on_control(std::uint32_t i, Bytes datagram, Time now) {
  Listener& listener = listeners_[i];
  const auto unanswered = listener.lease->unanswered_since();
  const auto payload = listener.lease->on_control(datagram, records_, now);
  if (!payload) {
    ++counters_.drop_control;
    return;
  }
  if (unanswered && !listener.lease->unanswered_since()) {
    ++counters_.acknowledged;
    keepalive_us_.record(us(now - *unanswered));
  }
  wire::RecordReader reader{*payload};
  while (const auto record = reader.next()) {
    if (const auto* epoch = std::get_if<wire::EpochRecord>(&*record)) on_epoch(listener, *epoch);
    if (const auto* info = std::get_if<wire::GroupInfo>(&*record)) on_info(*info);
    const auto* away = std::get_if<wire::GoAway>(&*record);
    if (away != nullptr && away->reason == wire::LeaveReason::drain) {
      send_record(i, wire::kStays);  // there is no other edge
      continue;
    }
    if (away == nullptr && !std::holds_alternative<wire::Leave>(*record)) continue;
    ++counters_.leases_ended;
    close(i, now);
    const Duration after = away != nullptr ? std::chrono::seconds{away->retry_after_s} : kAfterFailure;
    return rest(i, random_->jitter(std::max<Duration>(after, kAfterLeaving), 0.5), now);
  }
  pump(i, now);
}

void LoadCrowd::on_epoch(Listener& listener, const wire::EpochRecord& record) {
  const LoadEpochs::Noted noted = epochs_.note(record);
  if (noted.said == LoadEpochs::Said::forged) ++counters_.forged_epochs;
  if (noted.forgotten != 0) {
    for (Listener& each : listeners_) each.epochs = static_cast<LoadEpochs::Held>(each.epochs & ~noted.forgotten);
    contents_of_.reset();
  }
  listener.epochs = static_cast<LoadEpochs::Held>(listener.epochs | noted.place);
}

void LoadCrowd::on_info(const wire::GroupInfo& info) {
  if (info.group != plan_.group) return;
  frame_ms_ = info.frame_ms;
  ended_ = (info.flags & wire::kInfoEnded) != 0;
  sample_.on_statement(info);
}

void LoadCrowd::on_stream(std::uint32_t i, Bytes datagram, Time now, WallTime arrived) {
  const auto header = wire::parse_header(datagram);
  if (!header) {
    ++counters_.drop_malformed;
    return;
  }
  if (header->group != plan_.group) return;
  load_account& account = accounts_[i];
  if (header->type == wire::Type::attest) {
    account.attests += counted_below_ ? 0 : 1;
    if (!is_sampled(i)) return;
    if (const auto attest = wire::parse_attest(datagram)) sample_.on_attest(*attest);
  } else if (header->type == wire::Type::idle) {
    account.idles += counted_below_ ? 0 : 1;
  } else if (header->type == wire::Type::frame) {
    if (datagram.size() < wire::kHeader + wire::kTag || datagram.size() > wire::kMaxSealed ||
        header->sequence.value == 0) {
      ++counters_.drop_malformed;
      return;
    }
    progress_.on_frame(header->sequence, now);
    if (!counted_below_) load_count(&account, header->sequence.value, header->jumps());
    if (is_sampled(i)) on_sampled(i, *header, datagram, now, arrived);
  }
}

void LoadCrowd::on_sampled(std::uint32_t i, const wire::Header& header, Bytes datagram, Time now, WallTime arrived) {
  Listener& listener = listeners_[i];
  const std::uint32_t n = i / stride_;
  if (counted_below_) load_count(&sampled_accounts_[n], header.sequence.value, header.jumps());
  if (listener.state != State::leased) return;  // ACCEPT, with the epochs, is still on its way
  sample_.on_frame(header, datagram, listener.epochs, arrived);
  if (epochs_.find(listener.epochs, header.source, header.epoch)) return;
  if (listener.lease->unanswered_since() || !epoch_questions_[n].due(now)) return;
  listener.lease->hasten(now);
  pump(i, now);
  schedule(i, now);
}

// --- keeping a lease ---

std::uint16_t LoadCrowd::take_loss(std::uint32_t i) {
  Listener& listener = listeners_[i];
  const std::uint32_t due = accounts_[i].frames + accounts_[i].lost, lost = accounts_[i].lost;
  const double new_due = due - listener.told_due, new_lost = lost > listener.told_lost ? lost - listener.told_lost : 0;
  listener.told_due = due;
  listener.told_lost = lost;
  return new_due > 0 ? static_cast<std::uint16_t>(std::min(1.0, new_lost / new_due) * 65535) : std::uint16_t{0};
}

void LoadCrowd::keep_alive(std::uint32_t i, Time now) {
  Listener& listener = listeners_[i];
  if (!listener.lease->keepalive_due(now)) return;
  if (contents_of_ != listener.epochs) {
    epochs_.write_held(listener.epochs, contents_.held);
    contents_of_ = listener.epochs;
  }
  contents_.loss = take_loss(i);
  const bool again = listener.lease->unanswered_since().has_value();
  const Bytes datagram = listener.lease->keepalive_if_due(contents_, out_, now);
  if (datagram.empty()) return;
  ++(again ? counters_.resent : counters_.keepalives);
  outlet_->send(i, datagram);
}

void LoadCrowd::pump(std::uint32_t i, Time now) {
  Listener& listener = listeners_[i];
  if (listener.state == State::leased) return keep_alive(i, now);
  if (listener.state != State::joining) return;
  if (const Bytes datagram = listener.joining->take_datagram(); !datagram.empty()) outlet_->send(i, datagram);
}

template <class Record>
void LoadCrowd::send_record(std::uint32_t i, const Record& record) {
  std::array<std::uint8_t, 16> buffer;
  Writer records{buffer};
  wire::write_record(records, record);
  const Bytes datagram = listeners_[i].lease->seal(records.written(), out_);
  if (!datagram.empty()) outlet_->send(i, datagram);
}

/// A lease's end: what it has got is put to what all have got.
void LoadCrowd::close(std::uint32_t i, Time now) {
  const LoadFrames frames = so_far(i, progress_.settled(now));
  closed_ += frames;
  if (frames.lost > 0) ++closed_lost_;
  accounts_[i] = cleared(accounts_[i]);
  listeners_[i].lease.reset();
}

void LoadCrowd::churn(Time now) {
  if (leaving_ || next_churn_ == kNever) return;
  next_churn_ = std::max(next_churn_, now - kCatchUp);
  for (; now >= next_churn_; next_churn_ += interval(plan_.churn)) {
    const std::uint32_t i = churned_;
    churned_ = (churned_ + 1) % plan_.listeners;
    if (listeners_[i].state != State::leased) continue;
    ++counters_.replaced;
    send_record(i, wire::Leave{wire::LeaveReason::stop});
    close(i, now);
    listeners_[i].replacing = true;
    rest(i, kAfterLeaving, now);
    schedule(i, now);
  }
}

void LoadCrowd::leave(Time now) {
  leaving_ = true;
  next_leave_ = now;
}

void LoadCrowd::leave_some(Time now) {
  if (!leaving_ || gone() || now < next_leave_) return;
  next_leave_ = now + kLeaveEvery;
  for (std::uint32_t n = 0; n < kLeavesAtOnce && leave_next_ < listeners_.size(); ++leave_next_) {
    if (listeners_[leave_next_].state != State::leased) continue;
    send_record(leave_next_, wire::Leave{wire::LeaveReason::stop});
    ++n;
  }
}

// --- time ---

Time LoadCrowd::deadline(const Listener& listener) const {
  switch (listener.state) {
    case State::idle: return kNever;
    case State::joining: return std::min(listener.joining->next_deadline(), listener.since + kJoinPatience);
    case State::leased: return listener.lease->next_deadline();
    case State::resting: return listener.since;
  }
  return kNever;
}

void LoadCrowd::schedule(std::uint32_t i, Time now) {
  Listener& listener = listeners_[i];
  const Time at = deadline(listener);
  if (listener.links.spoke != Wheel::kNone) wheel_.leave(i, links());
  // Never in the turn that it was due in: who has more to do has it with the next one.
  if (at != kNever) wheel_.enter(i, Wheel::unit_at_or_after(std::max(at, now + Duration{1})), links(), now);
}

void LoadCrowd::wake(std::uint32_t i, Time now) {
  Listener& listener = listeners_[i];
  if (now < deadline(listener)) return schedule(i, now);
  if (listener.state == State::joining) {
    listener.joining->on_timer(now);
    on_joining(i, now);
  } else if (listener.state == State::resting) {
    listener.state = State::idle;
    again_.push_back(i);
  } else if (listener.state == State::leased) {
    if (is_over(*listener.lease, listener.since, now)) {
      ++counters_.leases_lost;
      close(i, now);
      rest(i, random_->jitter(kAfterLeaving, 0.5), now);
    } else if (listener.lease->handshake_old(now)) {
      send_record(i, wire::Leave{wire::LeaveReason::stop});
      close(i, now);
      listener.replacing = true;
      rest(i, kAfterLeaving, now);
    } else {
      pump(i, now);
    }
  }
  schedule(i, now);
}

void LoadCrowd::on_timer(Time now) {
  if (leaving_) return leave_some(now);
  while (const auto i = wheel_.come(now)) wake(*i, now);
  churn(now);
  join_those_due(now);
}

Time LoadCrowd::next_deadline() const {
  if (leaving_) return gone() ? kNever : next_leave_;
  Time next = std::min(wheel_.next_deadline(), next_churn_);
  if ((fresh_ < plan_.listeners || !again_.empty()) && under_way_ < kJoinsAtOnce) next = std::min(next, next_join_);
  return next;
}

// --- what it all comes to ---

LoadFrames LoadCrowd::so_far(std::uint32_t i, Sequence settled) const {
  const load_account& account = accounts_[i];
  LoadFrames out;
  out.came = account.frames;
  out.lost = account.lost;
  out.twice = account.twice;
  out.late = account.late;
  out.stale = account.stale;
  out.jumped = account.jumped;
  out.longest_gap = account.longest;
  out.attestations = account.attests;
  out.idles = account.idles;
  const Listener& listener = listeners_[i];
  if (listener.state != State::leased) return out;
  const Sequence due = listener.due.value != 0 ? listener.due : progress_.first();
  std::uint64_t missing = 0;  // at the end
  if (account.first == 0) {
    missing = due.value != 0 && settled >= due ? settled.value - due.value + 1 : 0;
  } else {
    missing = settled.value > account.last ? settled.value - account.last : 0;
    if (account.first > due.value && (account.flags & LOAD_JUMPED) == 0)
      out.missed_at_start = account.first - due.value;
  }
  out.lost += missing;
  out.longest_gap =
      std::max<std::uint32_t>(out.longest_gap, static_cast<std::uint32_t>(std::min<std::uint64_t>(missing, ~0U)));
  return out;
}

void LoadCrowd::report(LoadReport& out, Time now) const {
  out.listeners = plan_.listeners;
  out.sampled = plan_.sample;
  out.joined = joined_;
  out.joins = counters_.joins;
  out.replaced = counters_.replaced;
  out.failures = counters_.failures;
  out.join_ms = Quantiles::of(join_us_);
  if (first_hello_ && last_accept_ && *last_accept_ > *first_hello_)
    out.joins_per_second = joined_ / std::chrono::duration<double>(*last_accept_ - *first_hello_).count();
  out.keepalives = counters_.keepalives;
  out.keepalives_acknowledged = counters_.acknowledged;
  out.keepalives_resent = counters_.resent;
  out.leases_lost = counters_.leases_lost;
  out.leases_ended = counters_.leases_ended;
  out.keepalive_ms = Quantiles::of(keepalive_us_);
  out.drop_malformed = counters_.drop_malformed;
  out.drop_control = counters_.drop_control;
  out.forged_epochs = counters_.forged_epochs;

  const Sequence settled = progress_.settled(now);
  out.frames = closed_;
  out.listeners_that_lost = closed_lost_;
  std::uint64_t waiting = 0;  // keepalives that have not been answered yet, and may be
  for (std::uint32_t i = 0; i < plan_.listeners; ++i) {
    const Listener& listener = listeners_[i];
    out.leases += listener.state == State::leased || listener.replacing;
    const LoadFrames frames = so_far(i, settled);
    if (listener.state == State::leased || listener.state == State::joining) out.frames += frames;
    out.listeners_that_lost += frames.lost > 0;
    out.silent += listener.state == State::leased && frames.came == 0 && frames.lost > 0;
    if (listener.lease && listener.lease->unanswered_since() &&
        now - *listener.lease->unanswered_since() < wire::kKeepaliveResend)
      ++waiting;
    if (counted_below_ && is_sampled(i)) {
      const std::uint32_t above = sampled_accounts_[i / stride_].lost;
      out.sample_lost_above += above > accounts_[i].lost ? above - accounts_[i].lost : 0;
    }
  }
  const std::uint64_t answered = counters_.acknowledged + waiting;
  out.keepalives_unanswered = counters_.keepalives > answered ? counters_.keepalives - answered : 0;
  out.lost_steady = complete_at_ && out.frames.lost > lost_before_ ? out.frames.lost - lost_before_ : 0;
  out.frame_ms = frame_ms_;
  out.ended = ended_;
  if (progress_.highest().value != 0)
    out.nothing_for = std::chrono::duration<double>(now - progress_.last_at()).count();

  out.authenticated = epochs_.opens();
  out.sample = sample_.counts();
  out.behind_first_ms = Quantiles::of(sample_.behind_first());
  out.first_since_sealed_ms = Quantiles::of(sample_.first_since_sealed());
  out.last_since_sealed_ms = Quantiles::of(sample_.last_since_sealed());
  out.before_sealed = sample_.before_sealed();
}

}  // namespace tiercast::measure
