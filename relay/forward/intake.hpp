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
#include "relay/forward/active_source.hpp"
#include "relay/forward/distrust.hpp"
#include "relay/forward/history.hpp"
#include "relay/forward/spare_frames.hpp"

namespace tiercast::forward {

struct IntakeCounters {
  Counter frames, attestations, duplicates, idles, opaques, spares, spares_used, source_changes;
  Counter drop_malformed, drop_link_mac, drop_group, drop_source, drop_signature, drop_distrusted, drop_conflict,
      drop_stale, drop_ahead, drop_inactive_source, drop_pinned, drop_opaque_rate, drop_unsigned;
  template <class F>
  void each(F&& f) const {
    f("intake_frame", frames);
    f("intake_attestation", attestations);
    f("intake_duplicate", duplicates);
    f("intake_idle", idles);
    f("intake_opaque", opaques);
    f("intake_spare", spares);            // of the source that is not active: kept until it is known to be of no use
    f("intake_spare_used", spares_used);  // forwarded, for the active one's did not come
    f("intake_source_change", source_changes);
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
    f("intake_drop_unsigned", drop_unsigned);  // by multicast: of a type that has no signature; or a PROOF
  }
};

enum class Taken : std::uint8_t {
  fresh,      // stored: fan it out
  duplicate,  // equal to the stored one
  spare,      // proven, of the source that is not active: frames flow, but this one is not needed, or not yet
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
///
/// Of two sources the active one's frames are taken at once. The other one's wait aside, proven, until they are of use:
/// the active one has sent a later frame, and lacks this one, or it has fallen silent. So a frame that one origin could
/// not bring is there without asking, and a dead origin costs the silence limit and no frame.
class Intake {
 public:
  Intake(GroupId group, std::span<const Source> sources, History& history, Duration frame, Duration silence);

  /// A datagram from a parent over a unicast relay link, with its trailers. `link_key`: of that link; `distrust`: of
  /// that parent.
  IntakeResult on_datagram(Bytes datagram, std::span<const std::uint8_t, 32> link_key, Distrust& distrust, Time now);
  /// One that came by IP multicast, in the signed form (wire::Trailers::signature): nothing tells who sent it, so that
  /// an IDLE proves nothing, and what is not signed is dropped. `distrust`: of that way.
  IntakeResult on_multicast(Bytes datagram, Distrust& distrust, Time now);
  /// A spare frame that has become of use and is in history now. After each of the above and on_timer(), until nullopt.
  std::optional<wire::Header> take_released(Time now);
  /// When take_released() may have something though nothing came.
  Time next_deadline() const;
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
  bool store(const wire::Header& header, Bytes sealed, Bytes signature, Time now);
  IntakeResult keep_spare(const wire::Header& header, Bytes sealed, Bytes signature, Distrust& distrust, Time now);
  bool far_ahead(Sequence sequence) const;
  bool may_leap(const wire::Header& header, Time now) const;
  IntakeResult drop(Counter& reason, const wire::Header& header = {});
  IntakeResult refute(Distrust& distrust, const wire::Header& header, Time now);
  const Source* source(SourceId id) const;

  GroupId group_;
  InlineVector<Source, wire::kMaxSources> sources_;
  History& history_;
  ActiveSource active_;
  SpareFrames spare_;
  Time advanced_;   // when the newest sequence last grew
  Sequence stray_;  // the highest frame far ahead that was not believed, whatever came since; 0: none

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
