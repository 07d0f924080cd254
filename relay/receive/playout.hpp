// A listener's core: sealed datagrams of one group in, Opus packets in sequence order out, each exactly once. Used by
// `tiercast listen` and by the recorder inside a node. Knows no socket, no NACK and no audio device: a frame leaves as
// soon as every earlier one is there or given up; evening out the pace is a player's jitter buffer, behind this.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "relay/base/counter.hpp"
#include "relay/receive/attestations.hpp"
#include "relay/receive/epoch_keys.hpp"
#include "relay/receive/playout_clock.hpp"
#include "relay/receive/waiting_frames.hpp"

namespace tiercast::receive {

struct SourceKey {
  SourceId id;
  crypto::PublicKey key{};
};

struct PlayoutConfig {
  GroupId group;
  std::chrono::milliseconds frame{20};
  /// Play only what its source has signed; otherwise what opens under the group's key.
  bool strict = false;
  /// How long after its time a missing frame is waited for; at most kMaxDelay. nullopt: wire::kPlayout, or
  /// wire::kStrictPlayout in strict mode.
  std::optional<Duration> delay;
  static constexpr Duration kMaxDelay = wire::kHistory - 1s;
  std::vector<SourceKey> sources;
  std::vector<std::uint8_t> group_secret;  // empty in key mode "relay"
};

enum class PlayedKind : std::uint8_t {
  frame,
  empty,  // a tick without audio: it came, and carries nothing
  lost,   // given up
};

/// One tick of the group's clock.
struct Played {
  Sequence sequence;
  PlayedKind kind = PlayedKind::lost;
  Bytes opus;  // valid until the playout's next call
  SourceId source;
  bool discontinuity = false;  // the ticks since the last one do not exist: neither lost nor silence
  bool end = false;            // attested: the broadcast ends with this one
  bool repaired = false;       // came after a later one: resent, rebuilt from parity, or reordered
  Time arrived;                // lost: when it was given up
  Time expected = kNever;      // when it comes if nothing delays it, as far as that is known
  Bytes next_opus;             // lost: the packet after it, if that is here, valid as long: its FEC may hold this one
};

struct PlayoutCounters {
  Counter frames_received, frames, empty, lost, lost_unattested, repaired, discontinuities;
  Counter drop_malformed, drop_other_group, drop_unknown_source, drop_forged, drop_duplicate, drop_late, drop_ahead;
  Counter drop_third_version, drop_not_as_attested, drop_unknown_epoch, drop_awaiting_epoch, drop_epoch_forged;
  Counter attests, attest_drop_malformed, attest_drop_other_group, attest_drop_unknown_source, attest_drop_old,
      attest_drop_duplicate, attest_drop_forged;
  template <class F>
  void each(F&& f) const {
    f("playout_frames_received", frames_received);
    f("playout_frames", frames);
    f("playout_empty", empty);
    f("playout_lost", lost);                        // includes:
    f("playout_lost_unattested", lost_unattested);  // strict mode: came, but nobody signed it in time
    f("playout_repaired", repaired);
    f("playout_discontinuities", discontinuities);
    f("playout_drop_malformed", drop_malformed);
    f("playout_drop_other_group", drop_other_group);
    f("playout_drop_unknown_source", drop_unknown_source);
    f("playout_drop_forged", drop_forged);
    f("playout_drop_duplicate", drop_duplicate);
    f("playout_drop_late", drop_late);    // given up, or before the start
    f("playout_drop_ahead", drop_ahead);  // too far ahead for too long
    f("playout_drop_third_version", drop_third_version);
    f("playout_drop_not_as_attested", drop_not_as_attested);
    f("playout_drop_unknown_epoch", drop_unknown_epoch);    // a third unknown epoch's
    f("playout_drop_awaiting_epoch", drop_awaiting_epoch);  // more than can wait
    f("playout_drop_epoch_forged", drop_epoch_forged);      // an announcement that the source has not signed
    f("playout_attests", attests);
    f("playout_attest_drop_malformed", attest_drop_malformed);
    f("playout_attest_drop_other_group", attest_drop_other_group);
    f("playout_attest_drop_unknown_source", attest_drop_unknown_source);
    f("playout_attest_drop_old", attest_drop_old);
    f("playout_attest_drop_duplicate", attest_drop_duplicate);
    f("playout_attest_drop_forged", attest_drop_forged);
  }
};

/// All storage is taken at construction (a ring of wire::kHistory, some 0.6 MB at 20 ms frames, twice that in strict
/// mode); only a new epoch's key takes a cell of guarded memory. After every call call next() until it gives false.
///
/// What it believes. A frame: when it opens, in strict mode when attested too. A missing one is given up `delay` after
/// its time, once something later is known of; a stream that falls silent is waited for. An end, and that ticks were
/// skipped on purpose (the discontinuity flag): when attested; where there are two sources the other one may have those
/// ticks, and they are skipped when they would be given up. Its place in the stream: start_from(); else an attested
/// frame or three consecutive ones. A jump beyond the window: when attested, or (normal mode) on three consecutive
/// frames when no attestation came for wire::kUnattested. So a single forged frame moves nothing.
class Playout {
 public:
  explicit Playout(PlayoutConfig config);

  /// Start here: ACCEPT's newest sequence, or a lower one that will be asked for. Ignored once it has started.
  void start_from(Sequence first);

  EpochKeys::Added on_epoch(const wire::EpochRecord& record);
  /// A FRAME without trailers. True: it has been opened, and was not here before; so whoever has the group's key made
  /// it.
  bool on_frame(Bytes datagram, Time now);
  /// An ATTEST without a link's MAC. False: it is no source's word, new or repeated.
  bool on_attest(Bytes datagram, Time now);
  /// A frame of that hash bears its source's own signature: as good as an attestation of this one sequence.
  void on_proven(SourceId source, Sequence sequence, const crypto::AttestHash& hash, Time now);
  void on_timer(Time now);
  /// When on_timer() is due; kNever: only input brings anything.
  Time next_deadline() const;

  /// The next tick that is due. Sequences rise; only where an unattested place turns out not to be the stream's does
  /// the next one, marked as a discontinuity, start lower.
  bool next(Played& out);
  /// f(const Played&) for what is held and may be played from position() on, holes or not: for a player, who cannot
  /// wait until next() is sure. Whether the ticks before one exist (discontinuity), and an end, only next() tells.
  template <class F>
  void each_ahead(F&& f) const {
    if (!started_) return;
    for (Sequence s = next_; s < heard_end_; s = s.next())
      if (const Version* v = playable(s)) f(describe(*v));
  }

  /// Nothing needs to be asked for: it is held, played, given up or before the start.
  bool has(Sequence sequence) const;
  /// A source's word on this sequence is here.
  bool attested(Sequence sequence) const;
  /// The first sequence that next() has not given yet; nullopt before the start.
  std::optional<Sequence> position() const;
  /// The attested end was the last one given. A later frame (the broadcast goes on) takes that back.
  bool ended() const { return ended_; }
  /// Such frames wait for their key.
  bool awaits(SourceId source, Epoch epoch) const;
  wire::EpochsHeld epochs_held() const { return keys_.held(); }
  const PlayoutCounters& counters() const { return counters_; }

 private:
  /// One received version of a frame.
  struct Version {
    bool present = false;
    bool attested = false;
    bool repaired = false;
    std::uint8_t flags = 0;
    std::uint8_t source = 0;  // index into config_.sources
    std::uint16_t size = 0;
    Sequence sequence;
    Time arrived;
    crypto::AttestHash hash{};
    std::array<std::uint8_t, wire::kMaxOpus> opus;
  };
  struct UnknownEpoch {
    SourceId source;
    Epoch epoch;
    Time seen;
    unsigned weight = 0;
  };
  /// The end is told by a frame that may have no place any more: its claim is kept until its attestation comes.
  struct EndClaim {
    bool used = false;
    std::size_t source = 0;
    Sequence sequence;
    crypto::AttestHash hash{};
  };
  enum class Step : std::uint8_t { wait, play, lose, skip, jump };

  std::optional<std::size_t> source_index(SourceId id) const;
  std::span<Version> versions(Sequence sequence);
  std::span<const Version> versions(Sequence sequence) const;
  const Version* playable(Sequence sequence) const;
  bool any_version(Sequence sequence) const;
  Sequence sure_end() const;
  Sequence limit() const;
  bool attestations_flow() const;
  Time deadline(Sequence sequence) const;
  bool due(Sequence sequence) const;
  bool before_skip() const;
  Time skip_at() const;
  bool beyond_end(Sequence sequence) const;

  bool place(const wire::Header& header, std::size_t source, Bytes datagram, Time arrived);
  bool hold_ahead(const wire::Header& header, std::size_t source, Bytes datagram, Time arrived);
  bool track_epoch(const wire::Header& header);
  void await_epoch(const wire::Header& header, Bytes datagram, Time arrived);
  void judge(Version& version, bool matches);
  void note_end(const wire::Header& header, std::size_t source, Bytes datagram);
  void settle_end_claims(std::size_t source, Sequence sequence, const crypto::AttestHash& hash);
  void believe_end(Sequence sequence);
  void find_place();
  std::optional<Sequence> agreeing_run(Sequence from) const;
  void follow(Sequence first, Sequence last);
  void restart_at(Sequence sequence);
  void admit_held();
  Step step() const;
  void advance_to(Sequence sequence);
  Played describe(const Version& version) const;
  void give(const Version& version, Played& out);
  void give_up(Played& out);

  const PlayoutConfig config_;
  const Duration frame_;
  const Duration delay_;
  const std::size_t window_;         // sequences the ring holds
  const std::size_t versions_each_;  // 1, in strict mode 2
  EpochKeys keys_;
  Attestations attestations_;
  PlayoutClock clock_;
  std::vector<Version> ring_;
  WaitingFrames awaiting_epoch_{wire::kFramesAwaitingEpoch};
  WaitingFrames ahead_{wire::kFramesAwaitingEpoch};
  InlineVector<UnknownEpoch, wire::kUnknownEpochs> unknown_epochs_;
  std::array<EndClaim, 8> end_claims_;
  std::size_t next_end_claim_ = 0;
  std::array<std::uint8_t, wire::kMaxOpus> scratch_;

  Time now_ = Time::min();
  bool started_ = false;
  bool place_attested_ = false;      // the sources have signed sequences around here
  Sequence start_;                   // of this run: since the start or the last jump
  Sequence next_;                    // the next to be given out
  Sequence heard_end_;               // one past the highest that came
  Sequence known_end_;               // one past the highest that is known to exist: came, or attested
  std::optional<Sequence> skip_to_;  // lowest attested frame ahead that has the discontinuity flag
  std::optional<Sequence> jump_to_;  // beyond the window: once what is held has been given out
  std::optional<Sequence> end_;
  bool discontinuity_ = false;  // of the next one given out
  bool ended_ = false;
  std::optional<Time> last_attest_;
  PlayoutCounters counters_;
};

}  // namespace tiercast::receive
