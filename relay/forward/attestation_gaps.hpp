// Which attestations are missing: frames have come for which, after the time it takes, no attestation has. Asked for by
// NACK like a frame, a few times. Used by relays and listeners.
#pragma once

#include <array>
#include <optional>

#include "relay/base/counter.hpp"
#include "relay/base/inline_vector.hpp"
#include "relay/forward/askee.hpp"
#include "relay/wire/records.hpp"

namespace tiercast::forward {

struct AttestationGapCounters {
  Counter asked, given_up;
  template <class F>
  void each(F&& f) const {
    f("repair_attestation_asked", asked);
    f("repair_attestation_given_up", given_up);
  }
};

/// Whether an attestation vouches for what comes now, `newest` being the newest frame: an old one, said again, does
/// not.
inline bool vouches_for_now(const wire::Attest& attest, Sequence newest, std::chrono::milliseconds frame) {
  return attest.header.sequence.value + attest.count + static_cast<std::uint64_t>(wire::kUnattested / frame) >
         newest.value;
}

/// Those of one source.
class AttestationGaps {
 public:
  /// Frames without an attestation are normal for kAttestEvery or kAttestFrames, whichever is over first: then their
  /// source has made it. After `grace` more it is a gap.
  AttestationGaps(SourceId source, std::chrono::milliseconds frame, Duration grace = 60ms);

  void on_frame(Sequence sequence, bool jumps, Time now);
  void on_attestation(Sequence first, std::uint8_t count, Time now);
  /// The record to ask one of the parents with now, marked as asked; nullopt: none is due, or nobody has a lease.
  std::optional<std::size_t> due(GroupId group, std::span<const Askee> parents, wire::Nack& nack, Time now);
  Time next_deadline() const { return ask_at_; }
  const AttestationGapCounters& counters() const { return counters_; }

 private:
  static constexpr int kRounds = 6;
  static constexpr std::size_t kArrivals = 2 * wire::kAttestFrames;  // that are remembered
  void note_arrival(Sequence sequence, Time now);
  void wait_for_next(Time now);
  Sequence first_unattested() const;
  SourceId source_;
  Duration patience_;
  std::optional<Sequence> attested_below_;  // everything below is attested or given up
  Sequence newest_;
  std::array<Time, kArrivals> arrived_;  // by sequence, of the newest; kNever: it did not
  Time waiting_since_;                   // since when the first unattested frame waits
  bool waiting_ = false;
  Sequence beyond_, beyond_end_;  // what attestations covered that came while an earlier one was missing
  int rounds_ = 0;
  std::optional<std::size_t> last_;  // who was asked for it
  Time ask_at_ = kNever;
  AttestationGapCounters counters_;
};

/// Those of a group: each source attests its own frames only, and what comes may be of one, then of the other.
class GroupAttestationGaps {
 public:
  explicit GroupAttestationGaps(std::chrono::milliseconds frame, Duration grace = 60ms)
      : frame_(frame), grace_(grace) {}

  void on_frame(SourceId source, Sequence sequence, bool jumps, Time now);
  void on_attestation(SourceId source, Sequence first, std::uint8_t count, Time now);
  /// As AttestationGaps::due().
  std::optional<std::size_t> due(GroupId group, std::span<const Askee> parents, wire::Nack& nack, Time now);
  Time next_deadline() const;
  template <class F>
  void each(F&& f) const {
    for (const OfSource& of : sources_) of.gaps.counters().each(f);
  }

 private:
  struct OfSource {
    SourceId id;
    Sequence newest;
    AttestationGaps gaps{SourceId{}, 20ms};
  };
  std::chrono::milliseconds frame_;
  Duration grace_;
  InlineVector<OfSource, wire::kMaxSources> sources_;
};

}  // namespace tiercast::forward
