// What the feed and every worker of a node share about one group: facts that never change, and the history.
#pragma once

#include <string>
#include <vector>

#include "relay/forward/history.hpp"
#include "relay/forward/intake.hpp"
#include "relay/node/messages.hpp"

namespace tiercast::node {

/// A newest frame older than this tells nobody where a stream is: it has ended, its origin is dead, or nobody wanted
/// the group meanwhile.
inline constexpr Duration kAnchorLife = 1s;

struct Group {
  Group(GroupId g, std::string n, std::chrono::milliseconds f, std::vector<forward::Source> s)
      : id(g),
        name(std::move(n)),
        frame(f),
        sources(std::move(s)),
        history(static_cast<std::size_t>(wire::kHistory / f)) {}
  GroupIndex index = kNoGroup;  // given by the feed before any worker hears of it
  const GroupId id;
  const std::string name;
  const std::chrono::milliseconds frame;
  const std::vector<forward::Source> sources;
  forward::History history;
  Duration silence() const { return silence_limit(frame); }
  static Duration silence_limit(Duration frame) { return wire::silence(frame); }
};

/// What this node says of a group: the origin's `statement` (parents bring it, or there is none), and its own newest
/// frame, which came at `last_frame`.
wire::GroupInfo info_of(const Group& group, const std::optional<wire::GroupInfo>& statement,
                        std::optional<Time> last_frame, Time now);

/// Epochs' values that a node knows of a group, a few of each source: the one in use, those that come next, and the one
/// before. All are the source's word, but an old word may be said again, and a clock that once ran ahead leaves numbers
/// far above: so what counts is how near to the one in use a number is. Fixed size.
class KnownEpochs {
  // The current one, the one before, two announced; and two more, for a start that discards.
  static constexpr std::size_t kPerSource = 6;

 public:
  struct InUse {
    SourceId source;
    Epoch epoch;
  };
  static constexpr std::size_t kMost = kPerSource * wire::kMaxSources;
  /// `epoch` is of one of the group's sources, and signed by it. False: known already, or further from the one in use
  /// than all that is kept.
  bool learn(const wire::EpochRecord& epoch);
  /// A proven frame was sealed with it. False: that was known.
  bool in_use(SourceId source, Epoch epoch);
  bool knows(SourceId source, Epoch epoch) const;
  /// Those that matter most first.
  const auto& all() const { return epochs_; }
  const auto& used() const { return in_use_; }
  /// For a keepalive.
  void list(wire::EpochsHeld& held) const;
  /// As many announcements as there is room for, those that matter most first.
  void write(Writer& records) const;

 private:
  std::uint64_t rank(const wire::EpochRecord& epoch) const;
  void sort();
  InlineVector<wire::EpochRecord, kMost> epochs_;
  InlineVector<InUse, wire::kMaxSources> in_use_;
};

}  // namespace tiercast::node
