// Which of a group's sources is forwarded, the active one: the primary (the first that the configuration names), but
// for while it is silent, or brings empty frames where the other one brings audio. Must not know: bytes, signatures,
// what becomes of the other one's frames.
#pragma once

#include <array>
#include <optional>
#include <span>

#include "crypto/keys.hpp"
#include "relay/base/inline_vector.hpp"
#include "relay/wire/limits.hpp"

namespace tiercast::forward {

struct Source {
  SourceId id;
  crypto::PublicKey key{};
};

/// Away from the active one at once: within the silence limit, so that the other one's frames are in time for every
/// playout. Back to the primary only when it has been good for a while (kSourceHold), and the longer the more often it
/// has failed: changing over costs nobody a frame, but strict listeners proofs (crypto/PROTOCOL.md, §11).
class ActiveSource {
 public:
  ActiveSource(std::span<const Source> sources, Duration frame, Duration silence);

  /// A proven frame came. Of what is not newer than all before of that source only the audio counts.
  void heard(SourceId source, Sequence sequence, bool audio, Time now);
  /// Changes over if it is time; true: it has.
  bool update(Time now);
  /// `source` brings the stream, whatever the active one does: where there was none, or it was left behind.
  void take_over(SourceId source, Time now);

  /// Nothing of the active one has come for the silence limit, or there is none: whoever comes may be it.
  bool silent(Time now) const { return !current_ || now - of(*current_).heard_at >= silence_; }
  bool would_admit(SourceId source, Time now) const {
    return !current_ || sources_[*current_].id == source || silent(now);
  }
  /// When the active one is silent if nothing of it comes.
  Time silent_at() const { return current_ ? of(*current_).heard_at + silence_ : Time::min(); }
  std::optional<SourceId> current() const { return current_ ? std::optional{sources_[*current_].id} : std::nullopt; }
  std::uint64_t changes() const { return changes_; }

  Time heard_at(std::size_t i) const { return sources_[i].heard_at; }

  // --- for status ---
  std::size_t size() const { return sources_.size(); }
  SourceId id(std::size_t i) const { return sources_[i].id; }
  /// Its newest frame; 0: none has come.
  Sequence newest(std::size_t i) const { return sources_[i].newest; }
  std::optional<Duration> age(std::size_t i, Time now) const {
    return sources_[i].newest.value == 0 ? std::nullopt : std::optional{now - sources_[i].heard_at};
  }
  /// It comes, and with audio where the other one has any.
  bool good(std::size_t i, Time now) const {
    return sources_[i].newest.value != 0 && now - sources_[i].heard_at < silence_ && sources_[i].starved == 0;
  }

 private:
  static constexpr std::size_t kCompared = 64;  // sequences: further apart two sources tell nothing of each other
  struct OfSource {
    SourceId id;
    Sequence newest;
    Time heard_at;
    Time good_since;
    unsigned starved = 0;  // sequences in a row that were empty here, and not there
    struct Seen {
      Sequence sequence;
      bool audio = false;
    };
    std::array<Seen, kCompared> seen{};  // by sequence % kCompared
  };
  const OfSource& of(std::size_t i) const { return sources_[i]; }
  void compare(OfSource& here, const OfSource& there, Sequence sequence, Time now);
  void change_to(std::size_t i, Time now);

  const Duration frame_, silence_;
  InlineVector<OfSource, wire::kMaxSources> sources_;  // in the configuration's order: the primary is the first
  std::optional<std::size_t> current_;
  Duration hold_ = wire::kSourceHold;  // so long the primary must be good before it is taken back
  std::optional<Time> returned_;       // when it was
  Time next_for_audio_{};              // not before it is changed over to who has audio
  std::uint64_t changes_ = 0;
};

}  // namespace tiercast::forward
