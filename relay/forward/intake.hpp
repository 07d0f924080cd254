// What a relay does with every FRAME and ATTEST from its parents: link MAC, dedupe, signature, history. In that order:
// cheap before dear, and nothing unproven is ever stored or passed on. Several parents bring the same frames; the first
// good copy wins, an equal copy costs one comparison, a conflicting one is refused.
#pragma once

#include <array>
#include <optional>
#include <span>

#include "crypto/signature.hpp"
#include "relay/base/counter.hpp"
#include "relay/base/inline_vector.hpp"
#include "relay/forward/distrust.hpp"
#include "relay/forward/history.hpp"

namespace tiercast::forward {

struct Source {
  SourceId id;
  crypto::PublicKey key{};
};

struct IntakeCounters {
  Counter frames, attestations, duplicates, idles, opaques;
  Counter drop_malformed, drop_link_mac, drop_group, drop_source, drop_signature, drop_distrusted, drop_conflict,
      drop_stale, drop_ahead, drop_inactive_source, drop_pinned, drop_opaque_rate, drop_unsigned;
  template <class F>
  void each(F&& f) const {
    f("intake_frame", frames);
    f("intake_attestation", attestations);
    f("intake_duplicate", duplicates);
    f("intake_idle", idles);
    f("intake_opaque", opaques);
    f("intake_drop_malformed", drop_malformed);
    f("intake_drop_link_mac", drop_link_mac);
    f("intake_drop_group", drop_group);
    f("intake_drop_source", drop_source);
    f("intake_drop_signature", drop_signature);
    f("intake_drop_distrusted", drop_distrusted);  // unread: too many bad signatures came from that parent
    f("intake_drop_conflict", drop_conflict);
    f("intake_drop_stale", drop_stale);
    f("intake_drop_ahead", drop_ahead);
    f("intake_drop_inactive_source", drop_inactive_source);
    f("intake_drop_pinned", drop_pinned);
    f("intake_drop_opaque_rate", drop_opaque_rate);
    f("intake_drop_unsigned", drop_unsigned);  // by multicast: of a type that has no signature
  }
};

/// Which of a group's sources is forwarded: the one that speaks. Sticky: another takes over only when this one has been
/// silent for `silence` (an end is followed by silence).
class ActiveSource {
 public:
  explicit ActiveSource(Duration silence) : silence_(silence) {}
  /// What admit() would say; changes nothing, so it may be asked about a frame that is not proven yet.
  bool would_admit(SourceId source, Time now) const {
    return !current_ || *current_ == source || now - heard_ >= silence_;
  }
  /// A proven frame of `source` came, newer than all before. True: it is the active one's (perhaps since now).
  bool admit(SourceId source, Time now);
  /// The same for one that outranks stickiness.
  void take_over(SourceId source, Time now);
  std::optional<SourceId> current() const { return current_; }

 private:
  Duration silence_;
  std::optional<SourceId> current_;
  Time heard_;
};

enum class Taken : std::uint8_t {
  fresh,      // stored: fan it out
  duplicate,  // equal to the stored one
  idle,       // the parent lives, its input does not
  opaque,     // PARITY, or a type of a later version: not stored; pass `IntakeResult::opaque` on, once
  dropped,
};

struct IntakeResult {
  Taken taken = Taken::dropped;
  wire::Header header;            // valid unless dropped as malformed
  std::uint64_t attestation = 0;  // number in history, when a fresh ATTEST
  Bytes opaque;                   // Taken::opaque: the datagram without its link MAC; points into what came
};

/// One group's intake.
///
/// What a sequence may do to history, given that its signature is good:
/// - older than history: never taken (drop_stale). So a replayed frame can do nothing, whoever replays it.
/// - up to one history ahead of the newest, or the first of all: taken.
/// - further ahead: it would make stale all that came before, so it must be meant. It is, when the source says so
///   (discontinuity) or nothing new came for kCutOff (this relay was cut off); else the first such frame is dropped
///   (drop_ahead) and the next one above it is taken: one stray sequence from a sick origin wedges nothing, while a
///   parent that feeds a just started relay an old recording is overruled by the first parent that has the live stream
///   within two frames, whichever source that comes from. Of two streams the later one is the live one.
class Intake {
 public:
  Intake(GroupId group, std::span<const Source> sources, History& history, Duration silence);

  /// A datagram from a parent over a unicast relay link, with its trailers. `link_key`: of that link; `distrust`: of
  /// that parent.
  IntakeResult on_datagram(Bytes datagram, std::span<const std::uint8_t, 32> link_key, Distrust& distrust, Time now);
  /// One that came by IP multicast, in the signed form (wire::Trailers::signature): nothing tells who sent it, so that
  /// an IDLE proves nothing, and what is not signed is dropped. `distrust`: of that way.
  IntakeResult on_multicast(Bytes datagram, Distrust& distrust, Time now);
  const ActiveSource& active() const { return active_; }
  const IntakeCounters& counters() const { return counters_; }

 private:
  static constexpr Duration kCutOff = 1s;
  static constexpr std::uint32_t kOpaqueBurst = 64;

  std::optional<wire::Header> admissible(Bytes datagram, wire::Trailers trailers);
  IntakeResult on_signed(const wire::Header& header, Bytes datagram, Distrust& distrust, Time now);
  IntakeResult on_frame(const wire::Header& header, Bytes sealed, Bytes signature, Distrust& distrust, Time now);
  IntakeResult on_attest(const wire::Header& header, Bytes datagram, Distrust& distrust, Time now);
  IntakeResult on_opaque(const wire::Header& header, Bytes datagram);
  IntakeResult compare(const wire::Header& header, const SlotRing::Pin& stored, Bytes sealed, Bytes signature,
                       Distrust& distrust, Time now);
  bool far_ahead(Sequence sequence) const;
  bool may_leap(const wire::Header& header, Time now) const;
  bool may_advance(const wire::Header& header, Time now) const;
  IntakeResult drop(Counter& reason, const wire::Header& header = {});
  IntakeResult refute(Distrust& distrust, const wire::Header& header, Time now);
  const Source* source(SourceId id) const;

  GroupId group_;
  InlineVector<Source, wire::kMaxSources> sources_;
  History& history_;
  ActiveSource active_;
  Time advanced_;          // when the newest sequence last grew
  Sequence stray_;         // the highest frame far ahead that was not believed, whatever came since; 0: none
  Sequence active_since_;  // the first sequence of the active source: below it the other one's frames fill holes

  struct SeenAttest {
    SourceId source;
    Epoch epoch;
    Sequence first;
    std::uint8_t count = 0;
    std::uint64_t number = 0;  // in history
  };
  std::array<SeenAttest, 64> seen_attests_{};
  std::size_t next_seen_ = 0;

  // Opaque datagrams carry no signature: each passes once (several parents bring it, and every tier would multiply it),
  // and never more of them than frames. As many hashes as frames fit a history of 10 ms frames, and a burst.
  std::array<std::uint64_t, 1088> seen_opaque_{};
  std::size_t next_opaque_ = 0;
  std::uint32_t opaque_allowance_ = 0;
  IntakeCounters counters_;
};

}  // namespace tiercast::forward
