#include "relay/receive/playout.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace tiercast::receive {
namespace {

std::vector<SourceId> ids_of(const std::vector<SourceKey>& sources) {
  std::vector<SourceId> ids;
  ids.reserve(sources.size());
  for (const SourceKey& source : sources) ids.push_back(source.id);
  return ids;
}

bool drop(Counter& why) {
  why.add();
  return false;
}

std::size_t count_in(Duration span, Duration frame) { return static_cast<std::size_t>(span / frame); }

}  // namespace

Playout::Playout(PlayoutConfig config)
    : config_(std::move(config)),
      frame_(config_.frame),
      delay_(std::clamp(config_.delay.value_or(config_.strict ? wire::kStrictPlayout : wire::kPlayout), Duration{0},
                        PlayoutConfig::kMaxDelay)),
      window_(count_in(wire::kHistory, frame_) + 1),
      versions_each_(config_.strict ? 2 : 1),
      keys_(config_.group, ids_of(config_.sources), config_.group_secret),
      attestations_(config_.sources.size(), 2 * window_),
      clock_(frame_),
      ring_(window_ * versions_each_) {
  assert(frame_ > Duration{0} && config_.sources.size() <= 256);
}

// --- looking things up ---

std::optional<std::size_t> Playout::source_index(SourceId id) const {
  for (std::size_t i = 0; i < config_.sources.size(); ++i)
    if (config_.sources[i].id == id) return i;
  return std::nullopt;
}

std::span<Playout::Version> Playout::versions(Sequence sequence) {
  return std::span{ring_}.subspan(static_cast<std::size_t>(sequence.value % window_) * versions_each_, versions_each_);
}

std::span<const Playout::Version> Playout::versions(Sequence sequence) const {
  return std::span{ring_}.subspan(static_cast<std::size_t>(sequence.value % window_) * versions_each_, versions_each_);
}

const Playout::Version* Playout::playable(Sequence sequence) const {
  const Version* found = nullptr;
  for (const Version& v : versions(sequence)) {
    if (!v.present || v.sequence != sequence) continue;
    if (v.attested) return &v;
    if (!config_.strict) found = &v;
  }
  return found;
}

bool Playout::any_version(Sequence sequence) const {
  const auto all = versions(sequence);
  return std::any_of(all.begin(), all.end(), [&](const Version& v) { return v.present && v.sequence == sequence; });
}

/// One past what the sources' word, as far as it is known, allows.
Sequence Playout::sure_end() const {
  const Sequence sure = std::max(start_, attestations_.newest().value_or(start_));
  return sure.plus(count_in(wire::kAheadOfAttested, frame_) + 1);
}

bool Playout::attestations_flow() const {
  return last_attest_ && now_ - *last_attest_ < wire::kUnattested && sure_end() > next_;
}

/// The first sequence that is too far ahead to be taken. Without attestations normal mode goes on by itself.
Sequence Playout::limit() const {
  const Sequence window_end = next_.plus(window_);
  return config_.strict || attestations_flow() ? std::min(window_end, sure_end()) : window_end;
}

Time Playout::deadline(Sequence sequence) const {
  const Time expected = clock_.expected_at_latest(sequence);
  return expected == kNever ? kNever : expected + delay_;
}

bool Playout::due(Sequence sequence) const { return now_ >= deadline(sequence); }

/// Nothing is here of what lies before the frame that says that ticks were skipped.
bool Playout::before_skip() const {
  if (!skip_to_) return false;
  Sequence s = next_;
  while (s < *skip_to_ && !any_version(s)) s = s.next();
  return s == *skip_to_;
}

/// Those ticks are not its source's. Another source may have them, under way here still.
Time Playout::skip_at() const {
  return config_.sources.size() < 2 || jump_to_ ? now_ : clock_.expected(next_) + delay_;
}

bool Playout::has(Sequence sequence) const {
  return started_ && (sequence < next_ || any_version(sequence) || ahead_.contains(sequence));
}

bool Playout::attested(Sequence sequence) const {
  for (std::size_t i = 0; i < config_.sources.size(); ++i)
    if (attestations_.find(i, sequence) != nullptr) return true;
  return false;
}

std::optional<Sequence> Playout::position() const { return started_ ? std::optional{next_} : std::nullopt; }

// --- frames ---

bool Playout::on_frame(Bytes datagram, Time now) {
  now_ = std::max(now_, now);
  counters_.frames_received.add();
  const auto header = wire::parse_header(datagram);
  if (!header || header->type != wire::Type::frame || datagram.size() < wire::kHeader + wire::kTag ||
      datagram.size() > wire::kMaxSealed)
    return drop(counters_.drop_malformed);
  if (header->group != config_.group) return drop(counters_.drop_other_group);
  const auto source = source_index(header->source);
  if (!source) return drop(counters_.drop_unknown_source);
  const bool opened = place(*header, *source, datagram, now);
  admit_held();
  return opened;
}

/// Puts a frame where it belongs. Cheap checks first; the AEAD decides before anything changes.
bool Playout::place(const wire::Header& header, std::size_t source, Bytes datagram, Time arrived) {
  const Sequence sequence = header.sequence;
  if (!started_ || jump_to_) return hold_ahead(header, source, datagram, arrived);
  if (sequence < next_) {
    (any_version(sequence) ? counters_.drop_duplicate : counters_.drop_late).add();
    note_end(header, source, datagram);
    return false;
  }
  if (sequence >= limit()) return hold_ahead(header, source, datagram, arrived);

  const crypto::AttestHash hash = crypto::attest_hash(datagram);
  const crypto::AttestHash* signed_hash = attestations_.find(source, sequence);
  if (signed_hash != nullptr && *signed_hash != hash) return drop(counters_.drop_not_as_attested);
  const bool matches = signed_hash != nullptr;

  Version* free = nullptr;
  Version* weaker = nullptr;  // an unattested version gives way to an attested one
  for (Version& v : versions(sequence)) {
    if (!v.present || v.sequence != sequence) {
      free = &v;
    } else if (v.hash == hash || v.attested || (!config_.strict && !matches)) {
      counters_.drop_duplicate.add();
      if (v.hash != hash) note_end(header, source, datagram);
      return false;
    } else if (matches) {
      weaker = &v;
    }
  }
  Version* into = free != nullptr ? free : weaker;
  if (into == nullptr) return drop(counters_.drop_third_version);
  if (!keys_.has(header.source, header.epoch)) {
    await_epoch(header, datagram, arrived);
    return false;
  }
  const auto size = keys_.open(header, datagram, scratch_);
  if (!size) return drop(counters_.drop_forged);

  into->present = true;
  into->attested = false;
  into->repaired = sequence < heard_end_;
  into->flags = header.flags;
  into->source = static_cast<std::uint8_t>(source);
  into->size = static_cast<std::uint16_t>(*size);
  into->sequence = sequence;
  into->arrived = arrived;
  into->hash = hash;
  std::copy_n(scratch_.begin(), *size, into->opus.begin());
  heard_end_ = std::max(heard_end_, sequence.next());
  if (sequence >= known_end_) clock_.newest(sequence, arrived);
  if (matches || !beyond_end(sequence)) known_end_ = std::max(known_end_, sequence.next());
  clock_.sample(sequence, arrived, false);
  if (matches) judge(*into, true);
  note_end(header, source, datagram);
  return true;
}

/// A frame that no place can be given yet: before the start, or too far ahead.
bool Playout::hold_ahead(const wire::Header& header, std::size_t source, Bytes datagram, Time arrived) {
  if (ahead_.contains(datagram)) return drop(counters_.drop_duplicate);
  const crypto::AttestHash* signed_hash = attestations_.find(source, header.sequence);
  if (signed_hash != nullptr && *signed_hash != crypto::attest_hash(datagram))
    return drop(counters_.drop_not_as_attested);
  if (!keys_.has(header.source, header.epoch)) {
    await_epoch(header, datagram, arrived);
    return false;
  }
  if (!keys_.open(header, datagram, scratch_)) return drop(counters_.drop_forged);
  if (!ahead_.push(header, datagram, arrived)) counters_.drop_ahead.add();
  find_place();
  return true;
}

void Playout::admit_held() {
  if (ahead_.empty()) return;
  if (started_ && !jump_to_)
    ahead_.take(
        [&](const WaitingFrames::Frame& f) { return f.header.sequence < limit(); },
        [&](const WaitingFrames::Frame& f) { place(f.header, *source_index(f.header.source), f.datagram, f.arrived); });
  counters_.drop_ahead.add(
      ahead_.drop([&](const WaitingFrames::Frame& f) { return f.arrived + wire::kUnattested < now_; }));
}

// --- epochs ---

/// Nothing of such a frame is authentic yet: made-up epochs must not keep the true one out. So each tracked epoch has
/// a weight, the frames seen of it, and one that is not tracked takes weight from all (Misra and Gries' algorithm).
bool Playout::track_epoch(const wire::Header& header) {
  UnknownEpoch* weakest = nullptr;
  for (UnknownEpoch& u : unknown_epochs_) {
    if (u.source == header.source && u.epoch == header.epoch) {
      u.weight = std::min<unsigned>(u.weight + 1, wire::kFramesAwaitingEpoch);
      u.seen = now_;
      return true;
    }
    if (now_ - u.seen > wire::kEpochAskEvery) u.weight = 0;
    if (weakest == nullptr || u.weight < weakest->weight) weakest = &u;
  }
  const UnknownEpoch added{header.source, header.epoch, now_, 1};
  if (unknown_epochs_.push_back(added)) return true;
  for (UnknownEpoch& u : unknown_epochs_) u.weight -= std::min(u.weight, 1u);
  if (weakest->weight != 0) return false;
  counters_.drop_unknown_epoch.add(awaiting_epoch_.drop([&](const WaitingFrames::Frame& f) {
    return f.header.source == weakest->source && f.header.epoch == weakest->epoch;
  }));
  *weakest = added;
  return true;
}

void Playout::await_epoch(const wire::Header& header, Bytes datagram, Time arrived) {
  if (awaiting_epoch_.contains(datagram)) return counters_.drop_duplicate.add();
  if (!track_epoch(header)) return counters_.drop_unknown_epoch.add();
  if (!awaiting_epoch_.push(header, datagram, arrived)) counters_.drop_awaiting_epoch.add();
}

EpochKeys::Added Playout::on_epoch(const wire::EpochRecord& record) {
  const auto source = source_index(record.source);
  if (source && !keys_.has(record.source, record.epoch) &&
      !crypto::verify_epoch(config_.sources[*source].key, record)) {
    counters_.drop_epoch_forged.add();
    return EpochKeys::Added::forged;
  }
  const auto added = keys_.add(record);
  if (added != EpochKeys::Added::added) return added;
  for (std::size_t i = unknown_epochs_.size(); i-- > 0;)
    if (unknown_epochs_[i].source == record.source && unknown_epochs_[i].epoch == record.epoch)
      unknown_epochs_.erase_at(i);
  awaiting_epoch_.take(
      [&](const WaitingFrames::Frame& f) { return f.header.source == record.source && f.header.epoch == record.epoch; },
      [&](const WaitingFrames::Frame& f) { place(f.header, *source_index(f.header.source), f.datagram, f.arrived); });
  admit_held();
  return added;
}

bool Playout::awaits(SourceId source, Epoch epoch) const {
  return std::any_of(unknown_epochs_.begin(), unknown_epochs_.end(),
                     [&](const UnknownEpoch& u) { return u.source == source && u.epoch == epoch; });
}

// --- attestations ---

bool Playout::on_attest(Bytes datagram, Time now) {
  now_ = std::max(now_, now);
  counters_.attests.add();
  const auto attest = wire::parse_attest(datagram);
  const auto dropped = [](Counter& reason) {
    reason.add();
    return false;
  };
  if (!attest || absent(attest->hashes)) return dropped(counters_.attest_drop_malformed);
  if (attest->header.group != config_.group) return dropped(counters_.attest_drop_other_group);
  const auto source = source_index(attest->header.source);
  if (!source) return dropped(counters_.attest_drop_unknown_source);
  const Sequence first_covered = attest->header.sequence;
  if (place_attested_ && first_covered.value + attest->count + window_ < next_.value)
    return dropped(counters_.attest_drop_old);
  if (attestations_.repeats(*source, *attest)) {
    counters_.attest_drop_duplicate.add();
    return true;
  }
  if (!crypto::verify_attest(config_.sources[*source].key, attest->signed_part, attest->signature))
    return dropped(counters_.attest_drop_forged);

  last_attest_ = now_;
  attestations_.store(*source, *attest);
  std::optional<Sequence> first, last;
  for (std::size_t i = 0; i < attest->count; ++i) {
    if (absent(attest->hash(i))) continue;
    last = first_covered.plus(i);
    if (!first) first = last;
    const crypto::AttestHash* hash = attestations_.find(*source, *last);
    if (hash == nullptr) continue;
    for (Version& v : versions(*last))
      if (v.present && v.sequence == *last && v.source == *source && !v.attested) judge(v, v.hash == *hash);
    settle_end_claims(*source, *last, *hash);
  }
  if (attest->header.ends()) believe_end(*last);
  follow(*first, *last);
  find_place();
  admit_held();
  return true;
}

void Playout::on_proven(SourceId id, Sequence sequence, const crypto::AttestHash& hash, Time now) {
  now_ = std::max(now_, now);
  const auto source = source_index(id);
  if (!source || (started_ && sequence.value + window_ < next_.value)) return;
  last_attest_ = now_;
  attestations_.store(*source, sequence, hash);
  const crypto::AttestHash* known = attestations_.find(*source, sequence);
  if (known == nullptr) return;
  for (Version& v : versions(sequence))
    if (v.present && v.sequence == sequence && v.source == *source && !v.attested) judge(v, v.hash == *known);
  settle_end_claims(*source, sequence, *known);
  follow(sequence, sequence);
  find_place();
  admit_held();
}

/// A source has spoken of this version, or of another one in its place.
void Playout::judge(Version& version, bool matches) {
  if (!matches) {
    if (version.sequence < next_) return;  // played, in normal mode: too late
    version.present = false;
    return counters_.drop_not_as_attested.add();
  }
  version.attested = true;
  clock_.sample(version.sequence, version.arrived, true);
  if ((version.flags & wire::kFlagDiscontinuity) != 0 && version.sequence > next_)
    skip_to_ = skip_to_ ? std::min(*skip_to_, version.sequence) : version.sequence;
}

/// The sources have verifiably sent `first` to `last`: are we anywhere near?
void Playout::follow(Sequence first, Sequence last) {
  if (!started_) return;
  if (first >= next_.plus(window_)) {
    jump_to_ = first;
    place_attested_ = true;
  } else if (!place_attested_ && last.value + window_ < next_.value) {
    restart_at(first);
    discontinuity_ = true;
    counters_.discontinuities.add();
    place_attested_ = true;
  } else {
    place_attested_ = true;
    if (last < next_.plus(window_)) known_end_ = std::max(known_end_, last.next());
  }
}

/// An end flag on a frame that opens. Believed when attested, now or later; also when the frame itself comes too late.
void Playout::note_end(const wire::Header& header, std::size_t source, Bytes datagram) {
  if (!header.ends() || end_ == header.sequence) return;
  const crypto::AttestHash hash = crypto::attest_hash(datagram);
  if (const auto* signed_hash = attestations_.find(source, header.sequence)) {
    if (*signed_hash == hash) believe_end(header.sequence);
    return;
  }
  for (const EndClaim& claim : end_claims_)
    if (claim.used && claim.source == source && claim.sequence == header.sequence && claim.hash == hash) return;
  if (!keys_.open(header, datagram, scratch_)) return;
  end_claims_[next_end_claim_++ % end_claims_.size()] = {true, source, header.sequence, hash};
}

void Playout::settle_end_claims(std::size_t source, Sequence sequence, const crypto::AttestHash& hash) {
  for (EndClaim& claim : end_claims_)
    if (claim.used && claim.source == source && claim.sequence == sequence) {
      claim.used = false;
      if (claim.hash == hash) believe_end(sequence);
    }
}

void Playout::believe_end(Sequence sequence) {
  end_ = sequence;
  if (!started_) return;
  if (sequence.next() == next_) ended_ = true;
  if (beyond_end(sequence.next())) known_end_ = std::max(next_, std::min(known_end_, sequence.next()));
}

/// After an end that the sources have signed nothing is expected until they sign it: a forgery does not count.
bool Playout::beyond_end(Sequence sequence) const { return end_ && sequence > *end_ && attestations_.newest() <= end_; }

// --- the place in the stream ---

/// The lowest of three consecutive sequences that are held, from `from` on.
std::optional<Sequence> Playout::agreeing_run(Sequence from) const {
  std::optional<Sequence> lowest;
  ahead_.each([&](const WaitingFrames::Frame& f) {
    const Sequence s = f.header.sequence;
    if (s < from || (lowest && *lowest <= s)) return;
    if (ahead_.contains(s.next()) && ahead_.contains(s.plus(2))) lowest = s;
  });
  return lowest;
}

void Playout::find_place() {
  if (started_) {
    if (!jump_to_ && !config_.strict && !attestations_flow()) jump_to_ = agreeing_run(next_.plus(window_));
    return;
  }
  std::optional<Sequence> first;
  ahead_.each([&](const WaitingFrames::Frame& f) {
    const auto* hash = attestations_.find(*source_index(f.header.source), f.header.sequence);
    if (hash != nullptr && *hash == crypto::attest_hash(f.datagram) && (!first || f.header.sequence < *first))
      first = f.header.sequence;
  });
  place_attested_ = first.has_value();
  if (!config_.strict) {
    if (!first) first = agreeing_run(Sequence{0});
    if (!first) return;
    // What came just before them, out of order or with a hole, belongs to them.
    const Sequence run = *first;
    ahead_.each([&](const WaitingFrames::Frame& f) {
      if (f.header.sequence < *first && run.value - f.header.sequence.value <= count_in(delay_, frame_))
        first = f.header.sequence;
    });
  }
  if (first) restart_at(*first);
}

void Playout::start_from(Sequence first) {
  if (!started_) restart_at(first);
}

void Playout::restart_at(Sequence sequence) {
  for (Version& v : ring_) v.present = false;
  started_ = true;
  start_ = next_ = heard_end_ = known_end_ = sequence;
  if (const auto newest = attestations_.newest(); newest && *newest >= next_ && *newest < next_.plus(window_))
    known_end_ = newest->next();
  clock_.restart(sequence);
  skip_to_.reset();
  jump_to_.reset();
  admit_held();
}

// --- output ---

void Playout::on_timer(Time now) {
  now_ = std::max(now_, now);
  admit_held();
}

Playout::Step Playout::step() const {
  if (!started_) return Step::wait;
  if (const Version* v = playable(next_)) {
    // An end is attested at once: worth waiting for, so that it can be told with its frame.
    const bool unsure_end = (v->flags & wire::kFlagEnd) != 0 && !v->attested && end_ != next_;
    return unsure_end && !jump_to_ && !due(next_) ? Step::wait : Step::play;
  }
  if (before_skip()) return now_ >= skip_at() ? Step::skip : Step::wait;
  if (next_ < known_end_) return jump_to_ || due(next_) ? Step::lose : Step::wait;
  return jump_to_ ? Step::jump : Step::wait;
}

Time Playout::next_deadline() const {
  if (step() != Step::wait) return now_;
  if (!started_ || next_ >= known_end_) return kNever;
  return before_skip() ? skip_at() : deadline(next_);
}

bool Playout::next(Played& out) {
  for (;;) {
    switch (step()) {
      case Step::wait: return false;
      case Step::play: give(*playable(next_), out); return true;
      case Step::lose: give_up(out); return true;
      case Step::skip: {
        advance_to(*skip_to_);
        const Version& v = *playable(next_);
        clock_.restart(next_);  // ticks and time no longer go together as before
        clock_.sample(next_, v.arrived, true);
        break;
      }
      case Step::jump: restart_at(*jump_to_); break;
    }
    discontinuity_ = true;
    counters_.discontinuities.add();
  }
}

void Playout::advance_to(Sequence sequence) {
  next_ = sequence;
  if (skip_to_ && *skip_to_ <= next_) skip_to_.reset();
}

Played Playout::describe(const Version& version) const {
  Played out;
  out.sequence = version.sequence;
  out.kind = version.size == 0 ? PlayedKind::empty : PlayedKind::frame;
  out.opus = Bytes{version.opus}.first(version.size);
  out.source = config_.sources[version.source].id;
  out.repaired = version.repaired;
  out.arrived = version.arrived;
  out.expected = clock_.expected(version.sequence);
  return out;
}

void Playout::give(const Version& version, Played& out) {
  out = describe(version);
  out.discontinuity = std::exchange(discontinuity_, false);
  out.end = ended_ = end_ == next_;
  (version.size == 0 ? counters_.empty : counters_.frames).add();
  if (version.repaired) counters_.repaired.add();
  advance_to(next_.next());
}

void Playout::give_up(Played& out) {
  out = Played{};
  out.sequence = next_;
  out.kind = PlayedKind::lost;
  out.discontinuity = std::exchange(discontinuity_, false);
  out.end = ended_ = end_ == next_;
  out.arrived = now_;
  out.expected = clock_.expected(next_);
  // One that says that ticks were skipped before it has followed another packet than this.
  if (const Version* after = playable(next_.next()); after != nullptr && (after->flags & wire::kFlagDiscontinuity) == 0)
    out.next_opus = Bytes{after->opus}.first(after->size);
  counters_.lost.add();
  if (any_version(next_)) counters_.lost_unattested.add();
  advance_to(next_.next());
}

}  // namespace tiercast::receive
