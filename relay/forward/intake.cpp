#include "relay/forward/intake.hpp"

#include <algorithm>
#include <cassert>

namespace tiercast::forward {
namespace {

bool same(Bytes a, Bytes b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

/// What lies between header and link MAC can be a datagram of this type at all. ATTEST's own parser looks closer.
bool plausible(wire::Type type, std::size_t length) {
  switch (type) {
    case wire::Type::frame: return length >= wire::kHeader + wire::kTag && length <= wire::kMaxSealed;
    case wire::Type::idle: return length == wire::kHeader;
    default: return length >= wire::kHeader;
  }
}

/// A tick without audio is the seal of nothing.
bool has_audio(Bytes sealed) { return sealed.size() > wire::kHeader + wire::kTag; }

}  // namespace

Intake::Intake(GroupId group, std::span<const Source> sources, History& history, Duration frame, Duration silence)
    : group_(group), history_(history), active_(sources, frame, silence), spare_(sources.size() > 1) {
  for (const Source& s : sources) {
    [[maybe_unused]] const bool fits = sources_.push_back(s);
    assert(fits);  // config has at most kMaxSources
  }
}

std::optional<wire::Header> Intake::admissible(Bytes datagram, wire::Trailers trailers) {
  const auto header = wire::parse_header(datagram);
  if (header && header->group != group_) {
    counters_.drop_group.add();
    return std::nullopt;
  }
  const std::size_t behind = header ? wire::trailer_size(header->type, trailers) : 0;
  if (header && datagram.size() >= behind && plausible(header->type, datagram.size() - behind)) return header;
  counters_.drop_malformed.add();
  return std::nullopt;
}

IntakeResult Intake::on_datagram(Bytes datagram, std::span<const std::uint8_t, 32> link_key, Distrust& distrust,
                                 Time now) {
  const auto header = admissible(datagram, wire::Trailers::link);
  if (!header) return {};
  const Bytes before_mac = datagram.first(datagram.size() - wire::kLinkMac);
  if (!crypto::verify_link_mac(link_key, before_mac, datagram.last(wire::kLinkMac)))
    return drop(counters_.drop_link_mac, *header);
  if (header->type == wire::Type::proof) return drop(counters_.drop_unsigned, *header);  // a listener's affair
  const bool opaque =
      header->type != wire::Type::frame && header->type != wire::Type::attest && header->type != wire::Type::idle;
  return opaque ? on_opaque(*header, before_mac) : on_signed(*header, before_mac, distrust, now);
}

IntakeResult Intake::on_multicast(Bytes datagram, Distrust& distrust, Time now) {
  const auto header = admissible(datagram, wire::Trailers::signature);
  return header ? on_signed(*header, datagram, distrust, now) : IntakeResult{};
}

/// `datagram`: as it goes out by multicast.
IntakeResult Intake::on_signed(const wire::Header& header, Bytes datagram, Distrust& distrust, Time now) {
  switch (header.type) {
    case wire::Type::frame: {
      const std::size_t sealed = datagram.size() - wire::kSignature;
      return on_frame(header, datagram.first(sealed), datagram.subspan(sealed), distrust, now);
    }
    case wire::Type::attest: return on_attest(header, datagram, distrust, now);
    case wire::Type::idle: counters_.idles.add(); return {.taken = Taken::idle, .header = header, .opaque = {}};
    default: return drop(counters_.drop_unsigned, header);
  }
}

IntakeResult Intake::on_frame(const wire::Header& header, Bytes sealed, Bytes signature, Distrust& distrust, Time now) {
  // Cheap before dear: nothing up to the signature's check changes any state.
  const Sequence sequence = header.sequence;
  if (sequence.value == 0) return drop(counters_.drop_malformed, header);  // history's "nothing"
  if (sequence < history_.oldest()) return drop(counters_.drop_stale, header);
  const Source* from = source(header.source);
  if (!from) return drop(counters_.drop_source, header);
  if (const SlotRing::Pin stored = history_.frame(sequence))
    return compare(header, stored, sealed, signature, distrust, now);

  const bool ahead = far_ahead(sequence);
  // A hole is anybody's to fill; what is new is the active source's.
  if (!ahead && sequence > history_.newest() && !active_.would_admit(header.source, now))
    return keep_spare(header, sealed, signature, distrust, now);
  if (distrust.exhausted(now)) return drop(counters_.drop_distrusted, header);
  if (!crypto::verify_frame(from->key, sealed, signature)) return refute(distrust, header, now);
  if (ahead && !may_leap(header, now)) {
    stray_ = std::max(stray_, sequence);
    return drop(counters_.drop_ahead, header);
  }
  active_.heard(header.source, sequence, has_audio(sealed), now);
  if (active_.update(now)) {
    // What waits aside comes first, and in order; or it is the other one's turn now.
    counters_.source_changes.add();
    const auto* waiting = spare_.lowest();
    const bool follows = waiting != nullptr && waiting->header.sequence < sequence;
    if (follows || active_.current() != header.source) {
      spare_.keep(header, sealed, signature);
      counters_.spares.add();
      return {.taken = Taken::spare, .header = header, .opaque = {}};
    }
  }
  if (!store(header, sealed, signature, now)) return drop(counters_.drop_pinned, header);
  return {.taken = Taken::fresh, .header = header, .opaque = {}};
}

/// Proven.
bool Intake::store(const wire::Header& header, Bytes sealed, Bytes signature, Time now) {
  const auto slot = history_.claim_frame(header.sequence);
  if (!slot) return false;
  const bool advances = header.sequence > history_.newest();
  std::copy(sealed.begin(), sealed.end(), slot->begin());
  std::copy(signature.begin(), signature.end(), slot->begin() + static_cast<std::ptrdiff_t>(sealed.size()));
  history_.publish_frame(header.sequence, sealed.size());
  if (advances) {
    const std::uint64_t changes = active_.changes();
    active_.take_over(header.source, now);
    counters_.source_changes.add(active_.changes() - changes);
    advanced_ = now;
  }
  opaque_allowance_ = std::min(opaque_allowance_ + 1, kOpaqueBurst);
  counters_.frames.add();
  return true;
}

/// Of the source that is not active: proven, for it says that its source and its parent live; and kept.
IntakeResult Intake::keep_spare(const wire::Header& header, Bytes sealed, Bytes signature, Distrust& distrust,
                                Time now) {
  const IntakeResult kept{.taken = Taken::spare, .header = header, .opaque = {}};
  const Sequence newest = history_.newest();
  const bool near = header.sequence.value + SpareFrames::kFrames > newest.value &&
                    header.sequence.value < newest.value + history_.frames();
  if (!near) return drop(counters_.drop_inactive_source, header);
  if (spare_.holds(header, sealed, signature)) {
    counters_.duplicates.add();
    return kept;
  }
  if (distrust.exhausted(now)) return drop(counters_.drop_distrusted, header);
  if (!crypto::verify_frame(source(header.source)->key, sealed, signature)) return refute(distrust, header, now);
  active_.heard(header.source, header.sequence, has_audio(sealed), now);
  spare_.keep(header, sealed, signature);
  counters_.spares.add();
  return kept;
}

std::optional<wire::Header> Intake::take_released(Time now) {
  if (sources_.size() < 2) return std::nullopt;
  if (active_.update(now)) counters_.source_changes.add();
  while (const auto* next = spare_.lowest()) {
    const wire::Header header = next->header;
    const bool over = header.sequence < history_.oldest() || history_.has(header.sequence);
    const bool due = header.sequence < history_.newest() || active_.would_admit(header.source, now);
    if (!over && !due) return std::nullopt;
    const bool stored = !over && store(header, next->sealed(), next->signature(), now);
    if (!over && !stored) counters_.drop_pinned.add();
    spare_.done(header.sequence);
    if (!stored) continue;
    counters_.spares_used.add();
    return header;
  }
  return std::nullopt;
}

Time Intake::next_deadline() const {
  const auto* next = spare_.lowest();
  return next != nullptr ? active_.silent_at() : kNever;
}

/// The slot holds this sequence: is it the same frame?
IntakeResult Intake::compare(const wire::Header& header, const SlotRing::Pin& stored, Bytes sealed, Bytes signature,
                             Distrust& distrust, Time now) {
  if (same(stored.datagram(), sealed) && same(stored.signature(), signature)) {
    counters_.duplicates.add();
    return {.taken = Taken::duplicate, .header = header, .opaque = {}};
  }
  // The other source's frame for a sequence that is taken, an everyday thing where both speak: it shows that they do.
  const auto kept = wire::parse_header(stored.datagram());
  if (kept && kept->source != header.source) {
    const IntakeResult other = keep_spare(header, sealed, signature, distrust, now);
    if (other.taken == Taken::spare) counters_.drop_inactive_source.add();
    return other;
  }
  // A source that signed two frames for one sequence, or a forger: people will want to know which.
  if (distrust.exhausted(now)) return drop(counters_.drop_distrusted, header);
  distrust.failed(now);  // either way it is nothing that an honest parent brings
  const bool proven = crypto::verify_frame(source(header.source)->key, sealed, signature);
  return drop(proven ? counters_.drop_conflict : counters_.drop_signature, header);
}

bool Intake::far_ahead(Sequence sequence) const {
  const Sequence newest = history_.newest();
  return newest.value != 0 && sequence.value - newest.value > history_.frames() && sequence > newest;
}

bool Intake::may_leap(const wire::Header& header, Time now) const {
  if (stray_.value != 0 && header.sequence > stray_ && header.sequence.value - stray_.value <= history_.frames())
    return true;
  return active_.would_admit(header.source, now) && (header.jumps() || now - advanced_ > kCutOff);
}

IntakeResult Intake::on_attest(const wire::Header& header, Bytes datagram, Distrust& distrust, Time now) {
  const auto attest = wire::parse_attest(datagram);
  if (!attest) return drop(counters_.drop_malformed, header);
  // Before the first frame there is nothing that it could prove, and no telling how old it is.
  const Sequence last = attest->last();
  if (history_.newest().value == 0 || last < history_.oldest()) return drop(counters_.drop_stale, header);
  const Source* from = source(header.source);
  if (!from) return drop(counters_.drop_source, header);

  SlotRing::Pin stored;
  for (const SeenAttest& seen : seen_attests_) {
    if (seen.count != attest->count || seen.first != header.sequence || seen.epoch != header.epoch ||
        seen.source != header.source)
      continue;
    stored = history_.attestation(seen.number);
    if (stored) break;
  }
  if (stored && same(stored.datagram(), datagram)) {
    counters_.duplicates.add();
    return {.taken = Taken::duplicate, .header = header, .opaque = {}};
  }
  if (distrust.exhausted(now)) return drop(counters_.drop_distrusted, header);
  if (!crypto::verify_attest(from->key, attest->signed_part, attest->signature)) return refute(distrust, header, now);
  if (stored) return drop(counters_.drop_conflict, header);
  const auto number = history_.add_attestation(datagram);
  if (!number) return drop(counters_.drop_pinned, header);
  seen_attests_[next_seen_] = {header.source, header.epoch, header.sequence, attest->count, *number};
  next_seen_ = (next_seen_ + 1) % seen_attests_.size();
  counters_.attestations.add();
  return {.taken = Taken::fresh, .header = header, .attestation = *number, .opaque = {}};
}

IntakeResult Intake::on_opaque(const wire::Header& header, Bytes datagram) {
  const Sequence newest = history_.newest();
  if (newest.value == 0 || header.sequence < history_.oldest()) return drop(counters_.drop_stale, header);
  if (far_ahead(header.sequence)) return drop(counters_.drop_ahead, header);
  const auto hash = crypto::attest_hash(datagram);
  const std::uint64_t short_hash = load_be<8>(hash.data());
  if (std::find(seen_opaque_.begin(), seen_opaque_.end(), short_hash) != seen_opaque_.end()) {
    counters_.duplicates.add();
    return {.taken = Taken::duplicate, .header = header, .opaque = {}};
  }
  if (opaque_allowance_ == 0) return drop(counters_.drop_opaque_rate, header);
  --opaque_allowance_;
  seen_opaque_[next_opaque_] = short_hash;
  next_opaque_ = (next_opaque_ + 1) % seen_opaque_.size();
  counters_.opaques.add();
  return {.taken = Taken::opaque, .header = header, .opaque = datagram};
}

IntakeResult Intake::drop(Counter& reason, const wire::Header& header) {
  reason.add();
  return {.taken = Taken::dropped, .header = header, .opaque = {}};
}

IntakeResult Intake::refute(Distrust& distrust, const wire::Header& header, Time now) {
  distrust.failed(now);
  return drop(counters_.drop_signature, header);
}

const Source* Intake::source(SourceId id) const {
  const auto* at = std::find_if(sources_.begin(), sources_.end(), [&](const Source& s) { return s.id == id; });
  return at == sources_.end() ? nullptr : at;
}

}  // namespace tiercast::forward
