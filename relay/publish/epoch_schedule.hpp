// A source's epochs: the one in use and the two announced before use, their numbers and their time. DESIGN's "Epochs".
// Must not know: files (it says what must be on disk, and waits for the word that it is), sealing, who is told.
#pragma once

#include <optional>

#include "relay/base/inline_vector.hpp"
#include "relay/base/random.hpp"
#include "relay/wire/records.hpp"

namespace tiercast::publish {

struct ScheduledEpoch {
  Epoch number;
  std::uint64_t made_unix_s = 0;
  wire::EpochValue value{};
  bool operator==(const ScheduledEpoch&) const = default;
};

/// What must survive the process.
struct EpochState {
  Epoch highest;                          // of all numbers ever made, discarded ones too
  std::optional<ScheduledEpoch> current;  // used: never again after a restart
  InlineVector<ScheduledEpoch, wire::kEpochsAhead> announced;
};

/// Changes take effect only when they are on disk: an epoch is neither used nor announced before. So:
///   if (auto state = schedule.to_persist()) save it; then on_persisted() or on_persist_failed().
/// Until the first on_persisted() there is no current(), and nothing can be sealed.
class EpochSchedule {
 public:
  /// `stored` is what the last process left, or empty at the very first start. The next announced epoch becomes the
  /// current one; what is missing is made. `rotate_every` 0: only on command.
  EpochSchedule(GroupId group, SourceId source, const EpochState& stored, Duration rotate_every, Random& random,
                Moment now);

  /// A state to save; once for each change, and again after a failure.
  std::optional<EpochState> to_persist(Time now);
  void on_persisted(Time now);
  /// Nothing has changed then: sealing goes on, and the save is asked for again a second later.
  void on_persist_failed(Time now);

  /// Starts a rotation that has become due.
  void on_timer(Moment now);
  Time next_deadline() const;

  /// As the constructor's, from now on.
  void set_rotation(Duration every) { rotate_every_ = every; }
  /// Rotates as soon as the next epoch has been announced for kEpochAge. When that is, at the earliest.
  Time request_rotation(Time now);
  /// For a revocation: both announced epochs are replaced by others, unless a save is under way; then after it.
  void discard_announced(Moment now);

  /// The epoch to seal with.
  std::optional<wire::EpochRecord> current() const;
  /// The current one, then those announced: what everybody below should hold.
  InlineVector<wire::EpochRecord, 1 + wire::kEpochsAhead> announced() const;
  /// Counts the changes to current() and announced().
  std::uint64_t changes() const { return changes_; }

 private:
  enum class Save : std::uint8_t { none, wanted, under_way };
  void propose_next(Moment now);
  void propose_discard(Moment now);
  void fill(EpochState& state, WallTime now);
  wire::EpochRecord record(const ScheduledEpoch& epoch) const;
  Time next_usable() const;

  const GroupId group_;
  const SourceId source_;
  Duration rotate_every_;
  Random* random_;
  EpochState state_;     // on disk
  EpochState proposed_;  // to be
  Save save_ = Save::none;
  Time save_from_;
  // Since when each announced epoch is known below; those of an earlier process by their age.
  InlineVector<Time, wire::kEpochsAhead> known_since_;
  Time current_since_;
  bool rotation_requested_ = false;
  bool discard_requested_ = false;
  std::uint64_t changes_ = 0;
};

}  // namespace tiercast::publish
