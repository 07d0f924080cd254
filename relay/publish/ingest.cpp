// The rules by which packets become ticks. DESIGN's "Media clock", crypto/PROTOCOL.md.
#include "relay/publish/ingest.hpp"

namespace tiercast::publish {

namespace {

// A gap of more than this is a pause, not a lack of packets: nobody is served by its empty ticks.
constexpr Duration kJump = 2s;
// A sender's burst (a full buffer at its start, a stall of the network before us) may be this long; sustained it runs
// at most a sixteenth faster than real time, where real crystals differ by 0.02 %.
constexpr Duration kBurst = 3s;
// Two senders at one port must not take turns: four changes at once, then one a second.
constexpr Duration kTakeoverCost = 1s;
constexpr Duration kTakeoverBurst = 4s;
// What a sender calls a packet, and when it comes, may be so far apart of what both were before a restart.
constexpr Duration kSame = 500ms;
// A sender that has been silent for so long may always be succeeded.
constexpr Duration kSenderGone = 200ms;

}  // namespace

Ingest::Ingest(std::uint8_t frame_ms, Sequence continue_at, Moment start, const std::optional<ClockPoint>& before)
    : continue_at_(continue_at),
      frame_samples_(std::uint32_t{frame_ms} * 48),
      jump_ticks_(static_cast<std::uint64_t>(kJump / std::chrono::milliseconds{frame_ms})),
      clock_(frame_ms, continue_at, start, before),
      timeline_(frame_ms),
      pace_(kBurst, 1, start.mono),
      takeovers_(kTakeoverBurst, 0, start.mono),
      now_(start.mono),
      next_(clock_.first()),
      next_flags_(wire::kFlagDiscontinuity),
      before_(before) {}

void Ingest::on_datagram(Bytes datagram, Moment now) {
  begin(now, false);
  taken_.reset();
  if (ending_) return counters_.ended.add();
  const auto packet = parse_rtp(datagram);
  if (!packet) {
    if (packet.error() == RtpError::rtcp) return counters_.rtcp.add();
    if (packet.error() == RtpError::payload_type)
      return refuse({RefusalReason::payload_type, payload_type_of(datagram)});
    return refuse({RefusalReason::malformed, 0});
  }
  const auto refusal = check_payload(packet->payload);
  if (!sender_ || sender_->ssrc() != packet->ssrc) {
    if (refusal) return refuse(*refusal);
    if (!may_take_over(packet->ssrc)) return counters_.other_sender.add();
    return take_over(*packet);
  }
  // A packet that is refused for its payload still counts as arrived: nobody waits for it.
  const Arrived arrived = sender_->on_packet(packet->sequence_number);
  if (refusal) return refuse(*refusal);
  switch (arrived.kind) {
    case Arrival::newer: return accept_newer(*packet, arrived.number);
    case Arrival::older: return accept_older(*packet, arrived.number);
    case Arrival::duplicate: return counters_.duplicate.add();
    case Arrival::jump: return counters_.jump_unconfirmed.add();
    case Arrival::restart: return take_over(*packet);
  }
}

void Ingest::on_timer(Moment now) { begin(now, true); }

void Ingest::end(Moment now) {
  begin(now, true);
  ending_ = true;
}

void Ingest::begin(Moment now, bool timer) {
  now_ = std::max(now_, now.mono);
  timer_turn_ = timer;
  if (ending_ || held_back_) return;
  // What should have left by now. After a pause of the process that is far ahead of what has.
  const Sequence due = clock_.due_at(now_ - patience());
  if (due.value <= next_.value + jump_ticks_) return;
  while (!held_.empty()) {
    held_.take_front();
    counters_.late.add();
  }
  jump_to(due);
}

Duration Ingest::patience() const {
  // Before the first packet there is nothing to wait for. A 60 ms frame's successor would come just when 60 ms are
  // over: half a frame more lets it come first.
  return sender_ ? std::max<Duration>(wire::kHoleHold, clock_.frame() * 3 / 2) : Duration{0};
}

void Ingest::jump_to(Sequence sequence) {
  next_ = sequence;
  next_flags_ |= wire::kFlagDiscontinuity;
  resynchronise_ = true;
  counters_.jumps.add();
}

std::optional<Refusal> Ingest::check_payload(Bytes payload) const {
  const auto opus = parse_opus(payload);
  if (!opus) return Refusal{RefusalReason::not_opus, 0};
  if (opus->samples != frame_samples_) return Refusal{RefusalReason::other_duration, opus->samples};
  if (payload.size() > wire::kMaxOpus)
    return Refusal{RefusalReason::too_long, static_cast<std::uint32_t>(payload.size())};
  return std::nullopt;
}

void Ingest::refuse(Refusal refusal) {
  counters_.of(refusal.reason).add();
  refusals_.note(refusal);
}

bool Ingest::may_take_over(std::uint32_t ssrc) {
  if (!sender_ || !last_packet_ || now_ - *last_packet_ >= kSenderGone) return true;
  // The one before may have packets under way still.
  if (previous_ssrc_ == ssrc) return false;
  return takeovers_.take(kTakeoverCost, now_);
}

std::optional<Sequence> Ingest::number_of_before(const RtpPacket& packet) const {
  if (sender_ || !before_ || before_->ssrc != packet.ssrc || before_->ssrc == 0) return std::nullopt;
  RtpTimeline timeline = timeline_;
  timeline.anchor(before_->rtp_timestamp, before_->sequence);
  const Sequence sequence = timeline.sequence_of(packet.timestamp);
  const std::int64_t off = distance(clock_.nearest(now_), sequence);
  return std::abs(off) <= kSame / clock_.frame() ? std::optional{sequence} : std::nullopt;
}

void Ingest::take_over(const RtpPacket& packet) {
  // It continues the clock: the tick that is due, behind all that the one before has sent.
  const auto known = number_of_before(packet);
  Sequence sequence = known ? *known : begun() ? std::max(next_, clock_.nearest(now_)) : clock_.nearest(now_);
  if (!held_.empty()) sequence = std::max(sequence, held_.back().sequence.next());
  if (!affordable(sequence)) return refuse({RefusalReason::too_fast, 0});
  held_.release_all();
  if (sender_) {
    lost_before_ += sender_->lost();
    if (sender_->ssrc() != packet.ssrc) previous_ssrc_ = sender_->ssrc();
  }
  sender_.emplace(packet.ssrc, packet.sequence_number);
  counters_.senders.add();
  timeline_.anchor(packet.timestamp, sequence);
  expected_ = sender_->newest();
  resynchronise_ = false;
  ++moves_;
  rejoining_ = known && rejoins(sequence);
  if (rejoining_) {
    drop_as_late(packet, sequence);
  } else {
    if (known)
      clock_.observe(sequence, now_);
    else
      clock_.anchor(sequence, now_);
    newest_ = sequence;
    hold(packet, expected_, sequence);
  }
  take(packet, sequence, true);
}

/// Its tick has left, but not for long.
bool Ingest::rejoins(Sequence sequence) const {
  return sequence < next_ && distance(sequence, next_) <= 2 * kSame / clock_.frame();
}

/// All will be as late as this one: their ticks are given the time.
void Ingest::drop_as_late(const RtpPacket& packet, Sequence sequence) {
  timeline_.follow(packet.timestamp, sequence);
  clock_.observe(sequence, now_);
  newest_ = sequence;
  last_packet_ = now_;
  counters_.late.add();
}

void Ingest::take(const RtpPacket& packet, Sequence sequence, bool new_sender) {
  taken_ = Taken{packet.ssrc, packet.timestamp, sequence, packet.payload, new_sender};
}

void Ingest::accept_newer(const RtpPacket& packet, std::int64_t number) {
  // One packet is one tick at least, whatever the stamps say.
  Sequence sequence = std::max(timeline_.sequence_of(packet.timestamp), newest_.next());
  const bool leapt = sequence.value > clock_.nearest(now_).value + jump_ticks_;
  // Its tick has left empty already. It is the newest all the same, and real audio: it takes the tick that is due, and
  // the sender's time line moves with it. ffmpeg sends in bursts of 128 ms, and its first one is no measure of the
  // next.
  const bool late = sequence < next_;
  rejoining_ = rejoining_ && rejoins(sequence);
  if (late && (locked_ || rejoining_ || !begun()) && !leapt) {
    if (!affordable(sequence)) return refuse({RefusalReason::too_fast, 0});
    drop_as_late(packet, sequence);
    return take(packet, sequence, false);
  }
  // Or the sender's stamps have left real time.
  if (leapt || late) sequence = std::max({next_, newest_.next(), clock_.nearest(now_)});
  if (!affordable(sequence)) return refuse({RefusalReason::too_fast, 0});
  if (leapt || late) {
    timeline_.anchor(packet.timestamp, sequence);
    clock_.anchor(sequence, now_);
    counters_.reanchored.add();
    ++moves_;
  }
  timeline_.follow(packet.timestamp, sequence);
  clock_.observe(sequence, now_);
  newest_ = sequence;
  if (resynchronise_) expected_ = number;
  resynchronise_ = false;
  hold(packet, number, sequence);
  take(packet, sequence, false);
}

void Ingest::accept_older(const RtpPacket& packet, std::int64_t number) {
  const Sequence sequence = timeline_.sequence_of(packet.timestamp);
  if (sequence < next_ || sequence >= newest_ || held_.contains(sequence)) return counters_.late.add();
  counters_.reordered.add();
  hold(packet, number, sequence);
}

bool Ingest::affordable(Sequence sequence) {
  const std::uint64_t before = std::max(newest_.value, next_.value - (next_.value == 0 ? 0 : 1));
  const std::uint64_t ticks = sequence.value > before ? sequence.value - before : 0;
  return pace_.take(static_cast<std::int64_t>(ticks) * clock_.frame(), now_);
}

void Ingest::hold(const RtpPacket& packet, std::int64_t number, Sequence sequence) {
  last_packet_ = now_;
  if (held_back_ && held_.full()) {  // the newest are of use when it goes on
    held_.take_front();
    counters_.late.add();
  }
  if (held_.full()) {
    // More came behind a hole than is ever held: the hole is given up.
    held_.release_all();
    return counters_.full.add();
  }
  counters_.packets.add();
  rate_.add(packet.payload.size(), now_);
  held_.insert({sequence, counters_.senders.get(), number, now_, false, packet.ssrc, packet.timestamp, packet.payload});
}

Time Ingest::next_deadline() const {
  if (ending_) return finished_ ? kNever : now_;
  if (held_back_) return kNever;
  if (!held_.empty()) return held_.earliest_arrival() + wire::kHoleHold;
  return clock_.due(next_) + patience();
}

bool Ingest::may_pass(const HeldPacket& packet) const {
  if (packet.sequence == next_ || packet.released || ending_) return true;
  if (timer_turn_ && now_ >= held_.earliest_arrival() + wire::kHoleHold) return true;
  return packet.sender == counters_.senders.get() && sender_->all_received(expected_, packet.number);
}

bool Ingest::next(Tick& tick) {
  if (finished_ || held_back_) return false;
  drop_late();
  if (!held_.empty()) {
    if (!may_pass(held_.front())) return false;
    if (held_.front().sequence.value > next_.value + jump_ticks_) jump_to(held_.front().sequence);
  } else if (!ending_ && !(timer_turn_ && now_ >= clock_.due(next_) + patience())) {
    return false;
  } else {
    pace_.spend(clock_.frame(), now_);  // those before a held packet were paid with it
  }
  emit(tick);
  return true;
}

void Ingest::emit(Tick& tick) {
  tick = Tick{};
  tick.sequence = next_;
  tick.flags = next_flags_;
  next_flags_ = 0;
  if (ending_) {
    tick.flags |= wire::kFlagEnd;
    finished_ = held_.empty();
  }
  if (!held_.empty() && held_.front().sequence == next_) {
    const HeldPacket packet = held_.take_front();
    tick.opus = packet.opus;
    tick.ssrc = packet.ssrc;
    tick.rtp_timestamp = packet.rtp_timestamp;
    if (packet.sender == counters_.senders.get()) expected_ = packet.number + 1;
  } else {
    counters_.empty_ticks.add();
  }
  counters_.ticks.add();
  next_ = next_.next();
}

void Ingest::go_on(std::optional<Sequence> first, Moment now) {
  if (!held_back_) return;
  held_back_ = false;
  now_ = std::max(now_, now.mono);
  if (counters_.ticks.get() > 0) return;
  if (!held_.empty()) {
    first = held_.front().sequence;
  } else if (first) {
    clock_.anchor(*first, now_);
    before_.reset();  // it is the other one's numbers that count
  } else {
    first = clock_.due_at(now_);
  }
  next_ = std::max(*first, continue_at_);
}

void Ingest::shift(std::int64_t by) {
  const auto moved = [by](Sequence s) { return Sequence{s.value + static_cast<std::uint64_t>(by)}; };
  timeline_.shift(by);
  newest_ = moved(newest_);
  before_.reset();
  rejoining_ = false;
  ++moves_;
  clock_.shift(by);
  held_.shift(by, counters_.senders.get());
}

/// What another origin's numbers put behind what has left here.
void Ingest::drop_late() {
  while (!held_.empty() && held_.front().sequence < next_) {
    held_.take_front();
    counters_.late.add();
  }
}

ClockPoint Ingest::point() const {
  const auto frame_ms = static_cast<std::uint8_t>(frame_samples_ / 48);
  if (sender_) return {frame_ms, newest_, clock_.due(newest_), sender_->ssrc(), timeline_.timestamp_of(newest_)};
  // The sender of before may still come.
  if (before_)
    return {frame_ms, before_->sequence, clock_.due(before_->sequence), before_->ssrc, before_->rtp_timestamp};
  return {frame_ms, next_, clock_.due(next_), 0, 0};
}

IngestHealth Ingest::health(Time now) const {
  IngestHealth health;
  if (last_packet_) health.age = now - *last_packet_;
  health.bits_per_second = rate_.bits_per_second(now);
  health.packets = counters_.packets.get();
  health.lost = lost_before_ + (sender_ ? sender_->lost() : 0);
  health.reordered = counters_.reordered.get();
  health.duplicates = counters_.duplicate.get();
  health.ssrc = sender_ ? sender_->ssrc() : 0;
  health.last_refusal = refusals_.last();
  return health;
}

}  // namespace tiercast::publish
