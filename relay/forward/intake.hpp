// What a relay does with every FRAME and ATTEST from its parents: link MAC, dedupe, signature, history. In that order:
// cheap before dear, and nothing unproven is ever stored or passed on. Several parents bring the same frames; the first
// good copy wins, an equal copy costs one comparison, a conflicting one is refused.
#pragma once

#include <array>
#include <span>

#include "crypto/signature.hpp"
#include "relay/base/counter.hpp"
#include "relay/base/inline_vector.hpp"
#include "relay/forward/history.hpp"

namespace tiercast::forward {

struct Source {
  SourceId id;
  crypto::PublicKey key{};
};

struct IntakeCounters {
  Counter frames, attestations, duplicates, idles;
  Counter drop_malformed, drop_link_mac, drop_group, drop_source, drop_signature, drop_conflict, drop_stale,
      drop_inactive_source, drop_pinned, drop_unknown_type;
  template <class F>
  void each(F&& f) const {
    f("intake_frame", frames);
    f("intake_attestation", attestations);
    f("intake_duplicate", duplicates);
    f("intake_idle", idles);
    f("intake_drop_malformed", drop_malformed);
    f("intake_drop_link_mac", drop_link_mac);
    f("intake_drop_group", drop_group);
    f("intake_drop_source", drop_source);
    f("intake_drop_signature", drop_signature);
    f("intake_drop_conflict", drop_conflict);
    f("intake_drop_stale", drop_stale);
    f("intake_drop_inactive_source", drop_inactive_source);
    f("intake_drop_pinned", drop_pinned);
    f("intake_drop_unknown_type", drop_unknown_type);
  }
};

/// Which of a group's sources is forwarded: the one that speaks; the other takes over after silence, or its end.
class ActiveSource {
 public:
  explicit ActiveSource(Duration silence) : silence_(silence) {}
  /// A proven frame of `source` came. True: it is the active one's (perhaps since now).
  bool admit(SourceId source, Time now);
  std::optional<SourceId> current() const { return current_; }

 private:
  Duration silence_;
  std::optional<SourceId> current_;
  Time heard_;
};

enum class Taken : std::uint8_t {
  fresh,      // stored: fan it out
  duplicate,  // proven equal to the stored one
  idle,       // the parent lives, its input does not
  dropped,
};

struct IntakeResult {
  Taken taken = Taken::dropped;
  wire::Header header;                // valid unless dropped as malformed
  std::uint64_t attestation = 0;      // number in history, when a fresh ATTEST
};

/// One group's intake.
class Intake {
 public:
  Intake(GroupId group, std::span<const Source> sources, History& history, Duration silence);

  /// A datagram from a parent over a unicast relay link, with its trailers. `link_key`: of that link.
  IntakeResult on_datagram(Bytes datagram, std::span<const std::uint8_t, 32> link_key, Time now);
  const ActiveSource& active() const { return active_; }
  const IntakeCounters& counters() const { return counters_; }

 private:
  IntakeResult on_frame(const wire::Header& header, Bytes sealed, Bytes signature, Time now);
  IntakeResult on_attest(const wire::Header& header, Bytes datagram);
  IntakeResult drop(Counter& reason, const wire::Header& header = {});
  const Source* source(SourceId id) const;
  GroupId group_;
  InlineVector<Source, wire::kMaxSources> sources_;
  History& history_;
  ActiveSource active_;
  struct SeenAttest {
    SourceId source;
    Epoch epoch;
    Sequence first;
    std::uint8_t count = 0;
  };
  std::array<SeenAttest, 64> seen_attests_{};
  std::size_t next_seen_ = 0;
  IntakeCounters counters_;
};

}  // namespace tiercast::forward
