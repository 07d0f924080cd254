// Whom to ask for what is missing: a parent as its child knows it, and which of several most likely has it and brings
// it soonest. Plain arithmetic; used by relays and listeners.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "relay/base/inline_vector.hpp"
#include "relay/base/types.hpp"
#include "relay/wire/limits.hpp"

namespace tiercast::forward {

/// How far a source has come by one way.
struct SourceProgress {
  SourceId source;
  Sequence newest;
};
using Progress = InlineVector<SourceProgress, wire::kMaxSources>;

/// What one parent brings of a group, by its own way: how far it is, and how much of it is lost before it is here.
class Brought {
 public:
  struct Share {
    std::uint64_t came = 0, missed = 0;
    Share& operator+=(const Share& other) {
      came += other.came;
      missed += other.missed;
      return *this;
    }
  };

  /// A frame came from it, new here or not. `jumps`: none lie between it and the one before.
  void on_frame(SourceId source, Sequence sequence, bool jumps) {
    note(source, sequence);
    if (sequence <= newest_) return;  // resent, or out of order: of its way's loss it tells nothing
    const std::uint64_t missed = newest_.value == 0 || jumps ? 0 : sequence.value - newest_.value - 1;
    newest_ = sequence;
    if (missed >= kMemory) return;  // it was away
    ++share_.came;
    share_.missed += missed;
    for (std::uint64_t i = 0; i < missed; ++i) loss_ += (1 - loss_) / kMemory;
    loss_ -= loss_ / kMemory;
  }
  Sequence newest() const { return newest_; }  // 0: none
  const Progress& progress() const { return progress_; }
  double loss() const { return loss_; }  // share of the last frames, some kMemory of them
  /// Of the frames since the last call, those that came by themselves, and those between that did not.
  Share take_share() { return std::exchange(share_, {}); }

 private:
  static constexpr unsigned kMemory = 64;
  void note(SourceId source, Sequence sequence) {
    auto* of = std::find_if(progress_.begin(), progress_.end(), [&](const auto& p) { return p.source == source; });
    if (of == progress_.end())
      progress_.push_back({source, sequence});
    else
      of->newest = std::max(of->newest, sequence);
  }
  Sequence newest_;
  Progress progress_;
  double loss_ = 0;
  Share share_;
};

struct Askee {
  bool leased = false;
  bool live = false;     // it brings the stream; the others are asked only when nobody does
  bool seeking = false;  // nothing comes to it either
  Duration round_trip{};
  double loss = 0;
  Sequence newest;      // that it has brought; 0: none
  Progress progress{};  // of each source
};

/// It has brought frames of that source from `wanted` on, so that it should have that one's word on them.
inline bool carries(const Askee& askee, SourceId source, Sequence wanted) {
  return std::any_of(askee.progress.begin(), askee.progress.end(),
                     [&](const SourceProgress& p) { return p.source == source && p.newest >= wanted; });
}

/// Not `last`, who was asked already, where there is another one as live: a second question goes to somebody else. Of
/// the others one that is past `wanted` before one that may not have it yet; then the one from which it is here
/// soonest, questions and answers that get lost included. nullopt: nobody has a lease. `only`: only that source's word
/// will do, and where some parents bring that source and others the other one, as two origins do, only they have it.
inline std::optional<std::size_t> whom_to_ask(std::span<const Askee> parents, Sequence wanted,
                                              std::optional<std::size_t> last,
                                              std::optional<SourceId> only = std::nullopt) {
  struct Rank {
    int standing = 0;
    double expected_ns = 0;
  };
  const auto rank = [&](std::size_t p) {
    const Askee& a = parents[p];
    const double arrives = std::max((1 - a.loss) * (1 - a.loss), 0.01);
    return Rank{(only && a.live && carries(a, *only, wanted) ? 16 : 0) + (a.live ? 8 : 0) + (last == p ? 0 : 4) +
                    (a.newest > wanted ? 2 : 0) + (a.seeking ? 0 : 1),
                static_cast<double>((std::max(a.round_trip, Duration{0}) + wire::kNackMargin).count()) / arrives};
  };
  std::optional<std::size_t> best;
  Rank of_best;
  for (std::size_t p = 0; p < parents.size(); ++p) {
    if (!parents[p].leased) continue;
    const Rank r = rank(p);
    if (best &&
        (r.standing < of_best.standing || (r.standing == of_best.standing && r.expected_ns >= of_best.expected_ns)))
      continue;
    best = p;
    of_best = r;
  }
  return best;
}

/// Of what one live parent has brought something newer, another one may be about to bring it by itself.
inline bool may_still_come(std::span<const Askee> parents, Sequence wanted) {
  bool passed = false, behind = false;
  for (const Askee& a : parents) {
    if (!a.live || a.newest.value == 0) continue;
    (a.newest > wanted ? passed : behind) = true;
  }
  return passed && behind;
}

}  // namespace tiercast::forward
