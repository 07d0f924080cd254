#include "relay/node/listener.hpp"

#include <algorithm>
#include <utility>

#include "relay/base/exit_code.hpp"
#include "relay/base/overloaded.hpp"
#include "relay/node/go_away.hpp"

namespace tiercast::node {
namespace {

constexpr Duration kCountEvery = 1s;
constexpr Duration kAttestationGrace = 120ms;  // a source that died cannot attest: proofs come unasked, and sooner
constexpr Duration kCountRepeat = 5s;
constexpr Duration kLeaveLook = 50ms;
// A frame further ahead of the last one than this is taken for a hole's end only when attested: whoever holds the
// group's key could make it.
constexpr std::uint64_t kLeap = 64;

// What was certainly no frame or attestation of a source.
std::uint64_t junk(const receive::PlayoutCounters& c) {
  return c.drop_malformed.get() + c.drop_other_group.get() + c.drop_unknown_source.get() + c.drop_forged.get() +
         c.drop_not_as_attested.get();
}

/// Frames that told nothing new.
std::uint64_t known_before(const receive::PlayoutCounters& c) { return c.drop_duplicate.get() + c.drop_late.get(); }

receive::PlayoutConfig playout_config(const Listener::Setup& setup, std::chrono::milliseconds frame) {
  receive::PlayoutConfig config;
  config.group = setup.group;
  config.frame = frame;
  config.strict = setup.strict;
  config.delay = setup.playout;
  config.sources = setup.sources;
  return config;
}

forward::Gaps::Config gaps_config(const Listener::Setup& setup, std::chrono::milliseconds frame) {
  forward::Gaps::Config config;
  config.frame = frame;
  config.spread = wire::kNackMargin;
  config.silence = config.presumed_every = wire::silence(frame);
  config.deadline = setup.playout.value_or(setup.strict ? wire::kStrictPlayout : wire::kPlayout);
  return config;
}

}  // namespace

Listener::Stream::Stream(const Setup& setup, std::chrono::milliseconds of)
    : frame(of),
      playout(playout_config(setup, of)),
      gaps(gaps_config(setup, of), *setup.random),
      attestation_gaps(of, kAttestationGrace),
      parity(setup.group),
      statistics(of),
      recent(setup.strict) {}

Listener::Listener(Setup setup, Moment now)
    : setup_(std::move(setup)),
      choice_({.live = setup_.live_parents}, *setup_.random),
      edges_(std::move(setup_.edges)),
      next_count_(now.mono) {
  for (const ParentSetup& parent : setup_.parents) add_parent(parent, now.mono);
  choose_parents(now.mono);
}

void Listener::add_parent(const ParentSetup& parent, Time now) {
  control::ParentConfig config;
  config.key = parent.key;
  config.request.group = setup_.group;
  config.request.role = wire::Role::listener;
  config.duty = control::Duty::cold;
  parents_.emplace_back(config, *setup_.random, now);
  if (stream_) parents_.back().set_silence(wire::silence(stream_->frame));
  choice_.add();
  Uplink& uplink = uplinks_.emplace_back();
  if (parent.multicast) uplink.multicast.emplace(*setup_.random);
}

// Edges of the operator's list that a parent has named: in reserve, behind all that are known.
void Listener::learn(const control::EdgeIndices& told, Time now) {
  edges_.learn(told, parents_, [&](std::uint16_t edge, const crypto::PublicKey& key) {
    setup_.uplinks->open_up(edge);
    add_parent({key, false}, now);
  });
}

// True: one is wanted otherwise than before; then all have something to say.
bool Listener::choose_parents(Time now) { return choice_.settle(parents_, now); }

void Listener::on_datagram(std::size_t p, Bytes datagram, Moment now) {
  if (wire::type_of(datagram) >= 0x20) {
    on_stream(p, datagram, nullptr, now.mono);
  } else {
    std::array<std::uint8_t, wire::kMaxDatagram> records;
    const auto input = parents_[p].on_datagram(datagram, records, now.mono);
    if (auto& multicast = uplinks_[p].multicast) multicast->on_control(parents_[p], now.mono);
    if (input.came == control::Parent::Came::joined) on_joined(p, now.mono);
    if (input.came == control::Parent::Came::records) on_records(p, input.records, now.mono);
    learn(parents_[p].take_elsewhere(), now.mono);
    if (choose_parents(now.mono))
      for (std::size_t other = 0; other < parents_.size(); ++other) pump(other, now.mono);
  }
  pump(p, now.mono);
}

void Listener::on_multicast(std::size_t p, Bytes datagram, Moment now) {
  MulticastUplink& multicast = *uplinks_[p].multicast;
  ++multicast.datagrams;
  if (wire::type_of(datagram) < 0x20) return counters_.drop_other.add();
  on_stream(p, datagram, &multicast, now.mono);
  pump(p, now.mono);
}

void Listener::on_unreachable(std::size_t p, Moment now) {
  parents_[p].on_unreachable(now.mono);
  choose_parents(now.mono);
  for (std::size_t other = 0; other < parents_.size(); ++other) pump(other, now.mono);
}

void Listener::on_joined(std::size_t p, Time now) {
  const control::JoinGrant grant = parents_[p].take_grant();
  if (!joined_at_) joined_at_ = now;
  uplinks_[p].told_counted = parents_[p].duty() == control::Duty::live;  // a standby counts nobody unasked
  uplinks_[p].frames = {};
  if (grant.group_info) {
    const std::chrono::milliseconds frame{grant.group_info->frame_ms};
    if (!stream_) {
      stream_ = std::make_unique<Stream>(setup_, frame);
      const bool over = (grant.group_info->flags & wire::kInfoEnded) != 0 && grant.group_info->newest.value != 0;
      if (over || (grant.group_info->flags & wire::kInfoAnchored) != 0) {
        // The next frame is on its way already. A past one would have to be asked for, by everybody who joins.
        const Sequence first = grant.group_info->newest.next();
        stream_->playout.start_from(first);
        stream_->gaps.start_from(first, now);
        // An end is believed when attested, and nothing else would bring that attestation any more.
        if (over) stream_->attestation_gaps.on_frame(grant.group_info->source, grant.group_info->newest, false, now);
        stream_->noted = grant.group_info->newest;
      }
    }
    if (auto& multicast = uplinks_[p].multicast) multicast->way.expect(setup_.group, stream_->frame, now);
    parents_[p].set_silence(wire::silence(stream_->frame));
    on_info(p, *grant.group_info, now);
  }
  if (stream_) {
    for (const auto& epoch : grant.epochs) on_epoch(epoch);
  }
  parents_[p].expect_stream(true, now);
}

void Listener::on_info(std::size_t p, const wire::GroupInfo& info, Time now) {
  if (!stream_ || info.group != setup_.group) return;
  if (info.frame_ms != stream_->frame.count()) return counters_.drop_frame_length.add();
  if (auto& multicast = uplinks_[p].multicast) multicast->way.on_group_info(info, now);
  said_ended_ = (info.flags & wire::kInfoEnded) != 0;
  stream_->statistics.on_group_info(info);
  if ((info.flags & wire::kInfoAnchored) == 0) return;
  stream_->place.told(info.newest);
  const auto position = stream_->playout.position();
  // An edge's word on what exists is believed within reason: it only makes us ask.
  const std::uint64_t horizon = stream_->horizon();
  if (position && info.newest.value < position->value + horizon) stream_->gaps.on_newest(info.newest, now);
}

void Listener::on_epoch(const wire::EpochRecord& epoch) {
  if (!stream_ || epoch.group != setup_.group) return;
  if (stream_->playout.on_epoch(epoch) == receive::EpochKeys::Added::added) stream_->epoch_question.answered();
}

void Listener::on_records(std::size_t p, Bytes records, Time now) {
  wire::RecordReader reader{records};
  while (auto record = reader.next()) {
    std::visit(Overloaded{
                   [&](const wire::EpochRecord& r) { on_epoch(r); },
                   [&](const wire::GroupInfo& r) { on_info(p, r, now); },
                   [&](const wire::Subscribed& r) {
                     if (r.group == setup_.group && r.denied != 0) uplinks_[p].removed = wire::DenyReason{r.denied};
                   },
                   [&](const wire::GoAway& r) { on_go_away(p, r, now); },
                   [&](const wire::Leave&) { parents_[p].on_go_away(wire::LeaveReason::stop, 0, now); },
                   [](const auto&) {},
               },
               *record);
  }
}

std::size_t Listener::index_of(SourceId source) const {
  const auto at = std::find_if(setup_.sources.begin(), setup_.sources.end(),
                               [source](const receive::SourceKey& key) { return key.id == source; });
  return static_cast<std::size_t>(at - setup_.sources.begin());
}

// A FRAME of the signed form, without its signature; empty: it is nobody's. What else is signed checks itself.
Bytes Listener::proven(Bytes datagram, const wire::Header& header, MulticastUplink& multicast, Time now) {
  if (header.type == wire::Type::idle) return datagram;
  const auto drop = [](Counter& reason) {
    reason.add();
    return Bytes{};
  };
  const Stream& s = *stream_;
  if (!s.place.near(header.sequence, s.horizon())) return drop(counters_.drop_unplaced);
  if (header.type == wire::Type::attest)
    return multicast.distrust.exhausted(now) ? drop(counters_.drop_distrusted) : datagram;
  if (header.type != wire::Type::frame || datagram.size() < wire::kHeader + wire::kTag + wire::kSignature)
    return drop(counters_.drop_unsigned);
  const std::size_t source = index_of(header.source);
  if (source == setup_.sources.size()) return drop(counters_.drop_unsigned);
  const auto position = s.playout.position();
  const bool known = s.playout.has(header.sequence) || (position && header.sequence < *position);
  if (known && !multicast.way.advances(header.group, header.sequence)) return drop(counters_.drop_copy);
  if (multicast.distrust.exhausted(now)) return drop(counters_.drop_distrusted);
  const Bytes sealed = datagram.first(datagram.size() - wire::kSignature);
  if (crypto::verify_frame(setup_.sources[source].key, sealed, datagram.last(wire::kSignature))) return sealed;
  multicast.distrust.failed(now);
  return drop(counters_.drop_signature);
}

void Listener::on_stream(std::size_t p, Bytes datagram, MulticastUplink* multicast, Time now) {
  using Kind = control::Parent::Stream;
  using forward::Way;
  control::Parent& parent = parents_[p];
  if (!parent.leased() || !stream_) return counters_.drop_unleased.add();
  const auto header = wire::parse_header(datagram);
  if (!header || header->group != setup_.group) return counters_.drop_other.add();
  if (multicast) datagram = proven(datagram, *header, *multicast, now);
  if (datagram.empty()) return;
  receive::Playout& playout = stream_->playout;
  switch (header->type) {
    case wire::Type::frame: {
      const Sequence noted = stream_->noted;
      const std::uint64_t known = known_before(playout.counters());
      if (!take_frame(*header, datagram, {multicast ? Way::Kind::multicast : Way::Kind::unicast, p}, now)) return;
      if (known_before(playout.counters()) == known || stream_->noted > noted) stream_->last_fresh = now;
      if (setup_.strict && multicast)
        playout.on_proven(header->source, header->sequence, crypto::attest_hash(datagram), now);
      uplinks_[p].brought.on_frame(header->source, header->sequence, header->jumps());
      if (multicast) {
        multicast->on_frame(parent, *header, std::max(stream_->noted, header->sequence), now);
      } else {
        // What is here already is no sign of life if it is old, or if nothing new comes from anybody: a parent may
        // repeat what it has without having anything new.
        if (stream_->flows(now) && header->sequence.value + stream_->horizon() >= stream_->noted.value)
          parent.on_stream(Kind::frame, now);
        stream_->place.told(header->sequence);
      }
      uplinks_[p].frames.on_frame(now);
      take_rebuilt(now);
      if (playout.awaits(header->source, header->epoch) && !parent.owes_answer() && stream_->epoch_question.due(now))
        parent.hasten(now);
      return;
    }
    case wire::Type::parity: {
      stream_->parity.on_parity(datagram);
      return take_rebuilt(now);
    }
    case wire::Type::attest: {
      const std::uint64_t forged = playout.counters().attest_drop_forged.get();
      if (!playout.on_attest(datagram, now)) {
        if (multicast && playout.counters().attest_drop_forged.get() != forged) multicast->distrust.failed(now);
        return;
      }
      if (const auto attest = wire::parse_attest(datagram)) {
        const Sequence last = attest->last();
        if (stream_->flows(now) && forward::vouches_for_now(*attest, stream_->noted, stream_->frame))
          multicast ? parent.on_multicast(Kind::attestation, false, now) : parent.on_stream(Kind::attestation, now);
        stream_->attestation_gaps.on_attestation(header->source, attest->header.sequence, attest->count, now);
        note_frame(header->source, last, false, {}, now);
        // Of a sequence all that came was forged, and the true one found no room: now it has.
        for (std::size_t i = 0; i < attest->count; ++i) {
          const Sequence covered = attest->header.sequence.plus(i);
          if (playout.attested(covered) && !playout.has(covered)) stream_->gaps.on_refuted(covered, now);
        }
      }
      return;
    }
    case wire::Type::idle: {
      if (multicast) return multicast->on_idle(parent, header->group, now);
      parent.on_stream(header->seeks() ? Kind::seeking : Kind::idle, now);
      const auto position = playout.position();
      if (position && header->sequence.value < position->value + stream_->horizon())
        stream_->gaps.on_newest(header->sequence, now);
      return;
    }
    case wire::Type::proof: {
      const auto proof = wire::parse_proof(datagram);
      return proof ? on_proof(*proof, now) : counters_.drop_other.add();
    }
    default: counters_.drop_other.add();
  }
}

// To one who is not strict it only says that no attestation will come.
void Listener::on_proof(const wire::Proof& proof, Time now) {
  Stream& s = *stream_;
  const SourceId id = proof.header.source;
  const std::size_t source = index_of(id);
  if (source == setup_.sources.size() || s.proofs.exhausted(now)) return counters_.drop_proof.add();
  bool all = true;
  for (std::size_t i = 0; setup_.strict && i < proof.count; ++i) {
    const Sequence sequence = proof.header.sequence.plus(i);
    const Bytes signature = proof.signature(i);
    if (receive::absent(signature)) continue;
    const Bytes frame = s.recent.find(source, sequence);
    if (!frame.empty() && crypto::verify_frame(setup_.sources[source].key, frame, signature)) {
      s.playout.on_proven(id, sequence, crypto::attest_hash(frame), now);
      counters_.proofs.add();
      continue;
    }
    if (!frame.empty()) s.proofs.failed(now);
    counters_.drop_proof.add();
    all = false;
  }
  if (all) s.attestation_gaps.on_attestation(id, proof.header.sequence, proof.count, now);
}

/// False: it is certainly no frame of a source, and nobody's sign of life.
bool Listener::take_frame(const wire::Header& header, Bytes datagram, const forward::Way& way, Time now) {
  Stream& s = *stream_;
  const std::uint64_t before = junk(s.playout.counters());
  const bool opened = s.playout.on_frame(datagram, now);
  if (junk(s.playout.counters()) != before) return false;
  if (setup_.strict && opened)
    if (const std::size_t source = index_of(header.source); source < setup_.sources.size())
      s.recent.keep(source, header.sequence, datagram);
  s.parity.on_frame(header.sequence, datagram);
  s.gaps.expect_parity(s.parity.shape());
  note_frame(header.source, header.sequence, header.jumps(), way, now);
  if (header.ends() && header.sequence == s.noted) s.gaps.on_end(header.sequence);
  return true;
}

// What parity has made again goes in by the same door as what comes: nobody vouches for it.
void Listener::take_rebuilt(Time now) {
  for (Bytes frame = stream_->parity.next(); !frame.empty(); frame = stream_->parity.next())
    (void)take_frame(*wire::parse_header(frame), frame, {forward::Way::Kind::parity, 0}, now);
}

// Gaps hear of a frame that is where it belongs. One that leaps says nothing until an attestation reaches so far.
void Listener::note_frame(SourceId source, Sequence sequence, bool jumps, const forward::Way& way, Time now) {
  Stream& s = *stream_;
  if (!s.playout.has(sequence)) return;
  const auto note = [&](Sequence which, bool skips) {
    s.noted = std::max(s.noted, which);
    s.gaps.on_frame(which, skips, now, way);
    s.attestation_gaps.on_frame(source, which, skips, now);
  };
  if (s.noted.value == 0 || sequence.value <= s.noted.value + kLeap) return note(sequence, jumps);
  if (!s.playout.attested(sequence)) {
    if (jumps) s.jump = sequence;
    return;
  }
  // What is attested beyond it vouches for a jump between; what came after that has not been told of yet.
  const auto jump = std::exchange(s.jump, std::nullopt);
  if (jump && *jump > s.noted && *jump < sequence) note(*jump, true);
  const std::uint64_t horizon = s.horizon();
  for (Sequence q = std::max(s.noted.next(), Sequence{sequence.value - std::min(sequence.value, horizon)});
       q < sequence; q = q.next())
    if (s.playout.has(q)) note(q, false);
  note(sequence, jumps);
}

bool Listener::next(receive::Played& played, Moment now) {
  if (!stream_ || !stream_->playout.next(played)) return false;
  stream_->statistics.on_played(played, now);
  if (!first_frame_at_ && played.kind != receive::PlayedKind::lost) first_frame_at_ = now.mono;
  return true;
}

void Listener::on_timer(Moment now) {
  if (stream_) stream_->playout.on_timer(now.mono);
  for (std::size_t p = 0; p < parents_.size(); ++p) {
    parents_[p].on_timer(now.mono);
    if (auto& multicast = uplinks_[p].multicast) multicast->way.on_timer(now.mono);
  }
  choose_parents(now.mono);
  for (std::size_t p = 0; p < parents_.size(); ++p) pump(p, now.mono);
  leave_who_drains(now.mono);
  ask_for_missing(now.mono);
  count_at_one_parent(now.mono);
}

Time Listener::next_deadline() const {
  Time next = parents_.size() > 1 ? std::min(next_count_, next_leave_) : kNever;
  next = std::min(next, choice_.next_deadline());
  for (const auto& parent : parents_) next = std::min(next, parent.next_deadline());
  for (const Uplink& uplink : uplinks_)
    if (uplink.multicast) next = std::min(next, uplink.multicast->way.next_deadline());
  if (stream_) {
    next = std::min(next, stream_->playout.next_deadline());
    if (std::any_of(parents_.begin(), parents_.end(), [](const auto& p) { return p.may_be_asked(); }))
      next = std::min({next, stream_->gaps.next_deadline(), stream_->attestation_gaps.next_deadline()});
  }
  return next;
}

void Listener::send_records(std::size_t p, Bytes records) {
  if (!parents_[p].leased()) return;  // an earlier datagram may have told that nobody is there any more
  std::array<std::uint8_t, wire::kMaxDatagram> buffer;
  setup_.uplinks->send_up(p, parents_[p].seal(records, buffer));
}

void Listener::pump(std::size_t p, Time now) {
  std::array<std::uint8_t, wire::kMaxDatagram> buffer;
  std::array<std::uint8_t, 16> missed;
  control::KeepaliveContents contents;
  if (auto& multicast = uplinks_[p].multicast) {
    multicast->follow(parents_[p], *setup_.uplinks, p, now);
    contents.delivery = multicast->way.wanted();
  }
  if (stream_ && parents_[p].leased() && parents_[p].lease()->keepalive_due(now)) {
    contents.held = stream_->playout.epochs_held();
    contents.loss = parents_[p].take_loss(stream_->frame, now);
    const forward::Brought::Share share = uplinks_[p].brought.take_share();
    parents_[p].note_way(share.came, share.missed, now);
    // Where another one brings frames nothing is missed that would not be asked for anyway.
    if (parents_[p].take_resume() && !control::another_brings(parents_, p, now)) contents.resume = resume(missed);
  }
  while (true) {
    const Bytes datagram = parents_[p].take_datagram(contents, buffer, now);
    if (datagram.empty()) return;
    setup_.uplinks->send_up(p, datagram);
  }
}

// What came after the newest frame, as far as it is there and can still be played.
Bytes Listener::resume(MutableBytes buffer) const {
  if (!first_frame_at_ || ended()) return {};  // a joiner gets the next frame anyway
  const Duration playout = setup_.playout.value_or(setup_.strict ? wire::kStrictPlayout : wire::kPlayout);
  const auto frames = static_cast<std::uint16_t>(playout / stream_->frame + 1);
  wire::Nack nack{setup_.group, wire::NackKind::frame, {}};
  nack.ranges.push_back({stream_->noted.next(), frames});
  Writer records{buffer};
  wire::write_record(records, nack);
  return records.written();
}

void Listener::ask_for_missing(Time now) {
  if (!stream_) return;
  Stream& s = *stream_;
  asking_.ask(
      {setup_.group, s.gaps, s.attestation_gaps, s.playout.position()},
      parents_, [&](std::size_t p) -> const auto& { return uplinks_[p].brought; },
      [&](std::size_t p, Bytes records) { send_records(p, records); }, now);
}

// With several parents the first live one counts this listener; the others are told not to.
void Listener::count_at_one_parent(Time now) {
  if (now < next_count_) return;
  next_count_ = now + kCountEvery;
  if (parents_.size() == 1) return;               // it counts who has a lease
  const bool repeat = now >= next_count_repeat_;  // it may have been lost
  if (repeat) next_count_repeat_ = now + kCountRepeat;
  bool counted = false;
  for (std::size_t p = 0; p < parents_.size(); ++p) {
    if (!parents_[p].leased()) continue;
    const bool here = !counted && parents_[p].may_be_asked() && parents_[p].live(now);
    counted = counted || here;
    if (here == uplinks_[p].told_counted && !repeat) continue;
    uplinks_[p].told_counted = here;
    std::array<std::uint8_t, 32> buffer;
    Writer records{buffer};
    wire::write_record(records, wire::Tally{setup_.group, here ? 1U : 0U, 0});
    send_records(p, records.written());
  }
}

void Listener::on_go_away(std::size_t p, const wire::GoAway& away, Time now) {
  parents_[p].on_go_away(away.reason, away.retry_after_s, now);
  if (!parents_[p].drains()) return;
  learn(control::EdgeIndices{away.where_else}, now);
  next_leave_ = now;
  seek_instead_of(
      p, parents_, [this](std::size_t other) { return !parents_[other].drains(); },
      [&](Bytes records) { send_records(p, records); }, now);
}

// As soon as another one has brought frames for so long that nothing before them is missing.
void Listener::leave_who_drains(Time now) {
  if (now < next_leave_) return;
  next_leave_ = kNever;
  bool another = ended();
  for (std::size_t p = 0; p < parents_.size(); ++p)
    another =
        another || (!parents_[p].drains() && parents_[p].live(now) && uplinks_[p].frames.may_replace_another(now));
  for (std::size_t p = 0; p < parents_.size(); ++p) {
    if (!parents_[p].drains()) continue;
    if (another) {
      parents_[p].leave(now);
      pump(p, now);
    } else {
      next_leave_ = now + kLeaveLook;
    }
  }
}

void Listener::leave() {
  std::array<std::uint8_t, 16> buffer;
  Writer records{buffer};
  wire::write_record(records, wire::Leave{wire::LeaveReason::stop});
  for (std::size_t p = 0; p < parents_.size(); ++p)
    if (parents_[p].leased()) send_records(p, records.written());
}

receive::Summary Listener::summary() const {
  return stream_ ? stream_->statistics.summary(stream_->playout.counters()) : receive::Summary{};
}

std::size_t Listener::live_parents(Time now) const {
  return static_cast<std::size_t>(std::count_if(parents_.begin(), parents_.end(), [now](const auto& parent) {
    return parent.may_be_asked() && parent.live(now);
  }));
}

bool Listener::barred() const {
  return std::all_of(parents_.begin(), parents_.end(), [](const auto& parent) { return parent.barred(); });
}

Diagnosis Listener::diagnose(const std::vector<std::string>& names) const {
  using Stage = Diagnosis::Stage;
  if (first_frame_at_) return {};
  if (joined()) {
    const auto& counters = stream_->playout.counters();
    if (counters.drop_unknown_source.get() > 0 || counters.attest_drop_unknown_source.get() > 0)
      return {Stage::unknown_source, "joined, but the frames are of a source that no --source-key names",
              ExitCode::unavailable};
    // Epochs come by the lease, from the node itself; an attestation may be anybody's.
    if (counters.drop_epoch_forged.get() > 0 || (counters.attest_drop_forged.get() > 0 && setup_.strict))
      return {Stage::unattested,
              "joined, but the source's signature is not of the key in --source-key: is it the source's public key?",
              ExitCode::unavailable};
    if (counters.drop_forged.get() > 0)
      return {Stage::no_key, "joined, but the frames do not open under the group's key", ExitCode::unavailable};
    if (counters.frames_received.get() > 0 && setup_.strict)
      return {Stage::unattested, "joined, frames come, but no attestation of a source in --source-key",
              ExitCode::unavailable};
    if (said_ended_)
      return {Stage::no_frames, "joined, but the node says that the broadcast has ended", ExitCode::unavailable};
    return {Stage::no_frames, "joined, but no frames come: is the group's origin running, and does the node reach it?",
            ExitCode::unavailable};
  }
  // Not joined anywhere: the parent that got furthest tells most.
  Diagnosis best{Stage::joining, "not joined yet", ExitCode::unavailable};
  for (std::size_t p = 0; p < parents_.size(); ++p) {
    const auto& parent = parents_[p];
    const std::string& name = names[p];
    Diagnosis here;
    if (parent.denial()) {
      here = {Stage::denied, name + " denied the join: " + wire::to_text(parent.denial()->reason),
              parent.denial()->reason == wire::DenyReason::not_allowed ? ExitCode::permission : ExitCode::unavailable};
    } else if (const auto* joining = parent.joining()) {
      switch (joining->state()) {
        case control::JoinState::version: {
          const auto [lowest, highest] = joining->offered_versions();
          here = {Stage::version,
                  name + " speaks versions " + std::to_string(lowest) + " to " + std::to_string(highest) +
                      " of the protocol, this program " + std::to_string(wire::kVersion),
                  ExitCode::unavailable};
          break;
        }
        case control::JoinState::refused:
          here = {Stage::puzzle, name + " asks for more work than is reasonable", ExitCode::unavailable};
          break;
        default:
          if (joining->joins_sent() > 0) {
            here = {Stage::no_accept, name + " answers, but does not accept: is --key its public key?",
                    ExitCode::unavailable};
          } else {
            here = {Stage::no_answer,
                    "no answer at all from " + name +
                        ": is the address right, does the node run, does a firewall drop UDP?",
                    ExitCode::unavailable};
          }
      }
    }
    if (here.stage > best.stage) best = here;
  }
  return best;
}

}  // namespace tiercast::node
