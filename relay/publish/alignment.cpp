#include "relay/publish/alignment.hpp"

#include <algorithm>

#include "crypto/blake2b.hpp"

namespace tiercast::publish {

const char* to_text(Aligned aligned) {
  switch (aligned) {
    case Aligned::seeking: return "seeking";
    case Aligned::alone: return "alone";
    case Aligned::announcement: return "announcement";
    case Aligned::payloads: break;
  }
  return "payloads";
}

Alignment::Alignment(std::chrono::milliseconds frame, bool lower, Time now)
    : frame_(frame),
      lower_(lower),
      other_(std::make_unique<std::array<Seen, kOther>>()),
      deadline_(now + kWaitAtStart + (lower ? Duration{0} : Duration{kFollowerWaits})) {}

void Alignment::on_statement(const wire::GroupInfo& info, Time now) {
  if ((info.flags & wire::kInfoStamped) != 0) {
    statement_ = info;
  } else if (!lower_ && !started_ && !waits_for_leader_) {
    // It waits for its own start, and leads: two that were started half a second apart are not to begin at once.
    waits_for_leader_ = true;
    deadline_ = std::max(deadline_, now + kWaitAtStart + kFollowerWaits);
  }
}

void Alignment::on_frame(Sequence sequence, std::uint64_t hash, Time now) {
  (*other_)[sequence.value % kOther] = {sequence, hash};
  if (sequence > newest_) {
    newest_ = sequence;
    last_frame_ = now;
    if (hash != 0) last_audio_ = now;
    if (hash != 0 && !started_) behind_ = true;
  }
  if (hash == 0 || !packet_) return;
  // Mostly it is where it should be.
  if (const Seen& own = own_[sequence.value % kOwn]; own.sequence == sequence && own.hash == hash) {
    counters_.agreed.add();
    return match(sequence, sequence);
  }
  for (const Seen& own : own_)
    if (own.hash == hash) match(own.sequence, sequence);
}

void Alignment::on_packet(const Ingest::Taken& packet, std::uint64_t hash, Time now) {
  if (packet.new_sender) {
    new_sender_ = true;
    matched_.reset();
    off_ = 0;
    own_ = {};
    const bool was_silent = !packet_ || now - packet_at_ >= kLife;
    if (other_speaks(now) && was_silent) behind_ = true;
    // Who leads goes on at once. But a start waits in any case, for the other one to be heard.
    const Time wait = other_lives(now) && follows() ? now + wait_for_packets() : now;
    deadline_ = started_ ? wait : std::max(deadline_, wait);
  }
  packet_at_ = now;
  packet_ = Own{packet.ssrc, packet.timestamp, packet.sequence};
  own_[packet.sequence.value % kOwn] = {packet.sequence, hash};
  if (hash == 0 || matched_ == 0) return;  // what differs from then on is seen when the other one's comes
  if (const Seen* other = only(hash)) match(packet.sequence, other->sequence);
}

/// The one frame of the other one's with that hash.
const Alignment::Seen* Alignment::only(std::uint64_t hash) const {
  const Seen* found = nullptr;
  for (const Seen& other : *other_) {
    if (other.hash != hash) continue;
    if (found != nullptr) return nullptr;
    found = &other;
  }
  return found;
}

/// The same packet has come there and here: with those before it, is that a row?
void Alignment::match(Sequence own, Sequence other) {
  if (matched_ == distance(own, other)) return;
  for (std::size_t i = 0; i < kRun; ++i) {
    if (own.value < i || other.value < i) return;
    const Seen& here = own_[(own.value - i) % kOwn];
    const Seen& there = (*other_)[(other.value - i) % kOther];
    if (here.sequence.value != own.value - i || there.sequence.value != other.value - i) return;
    if (here.hash == 0 || here.hash != there.hash || only(here.hash) != &there) return;
  }
  matched_ = distance(own, other);
}

/// By how much the other one's sequence of our newest packet is higher, as it says itself.
std::optional<std::int64_t> Alignment::announced() const {
  if (!statement_ || !packet_ || statement_->ssrc != packet_->ssrc || packet_->ssrc == 0) return std::nullopt;
  const std::int64_t step = frame_.count() * 48;
  const std::int64_t apart = static_cast<std::int32_t>(packet_->timestamp - statement_->rtp_timestamp);
  const std::int64_t ticks = (apart >= 0 ? apart + step / 2 : apart - step / 2) / step;
  // A statement from hours ago is of another time of these stamps.
  const std::int64_t longest = std::chrono::minutes{10} / frame_;
  if (ticks > longest || ticks < -longest) return std::nullopt;
  return distance(packet_->sequence, statement_->stamped) + ticks;
}

void Alignment::run(Ingest& ingest, Moment now) {
  const Time t = now.mono;
  const bool lives = other_lives(t);
  if (!lives && state_ != Aligned::seeking) {
    state_ = Aligned::alone;
    statement_.reset();  // its next ones count
    matched_.reset();
    off_ = 0;
    differs_since_.reset();
  }
  if (lives && packet_) {
    // What the packets say is so; what is announced may be a second old.
    if (matched_) {
      settle(ingest, *matched_, Aligned::payloads, now);
    } else if (const auto by = announced(); by && (new_sender_ || state_ != Aligned::payloads)) {
      settle(ingest, *by, Aligned::announcement, now);
    }
  }
  if (t < deadline_) {
    if (started_ && new_sender_) ingest.hold_back();
    return;
  }
  deadline_ = kNever;
  if (started_ && !new_sender_) return;
  if (lives && new_sender_ && follows()) counters_.timeouts.add();
  new_sender_ = false;
  started_ = true;
  if (!lives || packet_) state_ = lives ? Aligned::seeking : Aligned::alone;
  // Where there is no packet yet, the other one's empty ticks are the clock.
  ingest.go_on(lives ? std::optional{newest_.next()} : std::nullopt, now);
  if (lives && !packet_) behind_ = false;
}

void Alignment::settle(Ingest& ingest, std::int64_t by, Aligned how, Moment now) {
  off_ = by;
  if (by == 0) differs_since_.reset();
  // A sender that is new here, and that the other one has told of, has its place there.
  const bool known_there = how == Aligned::announcement;
  if (by != 0 && started_ && !(new_sender_ && (follows() || known_there)) && !behind_) {
    if (!differs_since_) differs_since_ = now.mono;
    if (agree()) state_ = Aligned::seeking;
    if (lower_ || now.mono - *differs_since_ < kDiffers) return;
  }
  if (by != 0) {
    differs_since_.reset();
    ingest.shift(by);
    move_own(by);
    counters_.shifts.add();
    counters_.shifted_ticks.add(static_cast<std::uint64_t>(by < 0 ? -by : by));
  }
  off_ = 0;
  if (matched_) matched_ = 0;
  if (state_ != how || new_sender_) (how == Aligned::payloads ? counters_.matched : counters_.announced).add();
  state_ = how;
  new_sender_ = false;
  behind_ = false;
  started_ = true;
  deadline_ = kNever;
  ingest.go_on(std::nullopt, now);
}

void Alignment::move_own(std::int64_t by) {
  const auto before = own_;
  own_ = {};
  for (const Seen& seen : before) {
    if (seen.sequence.value == 0) continue;
    const Sequence moved{seen.sequence.value + static_cast<std::uint64_t>(by)};
    own_[moved.value % kOwn] = {moved, seen.hash};
  }
  packet_->sequence.value += static_cast<std::uint64_t>(by);
}

std::uint64_t Alignment::hash(Bytes opus) {
  if (opus.empty()) return 0;
  std::array<std::uint8_t, 16> out{};
  crypto::Blake2b{out.size()}.add(opus).finish(out);
  return std::max<std::uint64_t>(load_be<8>(out.data()), 1);
}

}  // namespace tiercast::publish
