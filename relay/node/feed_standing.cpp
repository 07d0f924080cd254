// Where this node stands in the tree: by which parent its way leads, what it tells those below of that, and where it
// counts them.
#include <algorithm>

#include "relay/node/feed.hpp"

namespace tiercast::node {
namespace {

constexpr Duration kTallyRepeat = 5s;  // of zeros
constexpr std::size_t kTallyRecord = 3 + 11;

}  // namespace

/// With it before them, those below could not take this node for a parent: it is too long, or leads through one of
/// them. `joiner` is about to be one.
bool Feed::cuts_off(const InlineVector<NodeId, wire::kMaxPath>& path, std::optional<NodeId> joiner) const {
  return path.size() + 1 >= wire::kMaxPath ||
         std::any_of(path.begin(), path.end(), [&](NodeId id) { return id == joiner || below_.contains(id); });
}

// The subtree is counted at one parent, so that the sums above are right, and that one's path is told below. Of those
// that live the best is one that cuts nobody off, then one that has input, and had it when it told its path, then the
// nearest to its origin: paths are their word, and a false one should not count where there is another (but one that
// names somebody farther below, where it is the shorter one: of those this node does not know). Never a standby: what
// is told there is told again when it is taken up.
std::optional<std::size_t> Feed::primary(Time now, std::optional<NodeId> joiner) const {
  std::optional<std::size_t> best;
  std::array<std::size_t, 4> of_best{};
  for (std::size_t p = 0; p < parents_.size(); ++p) {
    const control::Parent& parent = parents_[p];
    if (!parent.may_be_asked()) continue;
    const auto& path = parent.lease()->path();
    const std::array<std::size_t, 4> of_this{parent.live(now), !cuts_off(path, joiner), !parent.seeking(),
                                             wire::kMaxPath - path.size()};
    if (best && of_this <= of_best) continue;
    best = p;
    of_best = of_this;
  }
  return best;
}

bool Feed::brings(std::size_t p, Time now) const {
  return std::any_of(groups_.begin(), groups_.end(), [&](const auto& group) {
    return !group->origin && group->subscribed && group->subscriptions[p].frames.brings(now);
  });
}

/// With `joiner` below it, if there is one.
Standing Feed::stand(Time now, std::optional<NodeId> joiner) const {
  Standing standing;
  standing.path.push_back(id_);
  const auto at = primary(now, joiner);
  standing.seeking = !parents_.empty();
  for (std::size_t p = 0; p < parents_.size(); ++p) {
    // Of another one than that its word is not enough: it may have chosen its path so that it is not told.
    const bool has_input = parents_[p].may_be_asked() && parents_[p].live(now) && !parents_[p].seeking();
    if (has_input && (p == at || brings(p, now))) standing.seeking = false;
  }
  if (at) {
    for (NodeId id : parents_[*at].lease()->path()) standing.path.push_back(id);
  }
  return standing;
}

void Feed::update_standing(Time now) {
  if (parents_.empty() && !standing_.seeking && standing_.path.size() == 1) return;
  const Standing standing = stand(now);
  const bool same = standing.seeking == standing_.seeking && std::equal(standing.path.begin(), standing.path.end(),
                                                                        standing_.path.begin(), standing_.path.end());
  if (same) return;
  standing_ = standing;
  command_all(standing_);
}

void Feed::report_tallies_up(Time now) {
  if (parents_.empty() || now < next_tally_up_) return;
  next_tally_up_ = now + wire::kTallyEvery;
  update_expectations(now);
  const auto at = primary(now);
  if (!at) return;
  // To the one that counts it every second, since it forgets within kTallyLife; to the others zeros when that changes.
  for (std::size_t p = 0; p < parents_.size(); ++p) {
    if (!parents_[p].leased()) continue;
    std::array<std::uint8_t, wire::kMaxDatagram - wire::kMinControl> buffer;
    Writer records{buffer};
    for (auto& group : groups_) {
      if (group->origin || !group->subscribed) continue;
      if (p != *at && group->told_primary == at && now < group->next_tally_repeat) continue;
      wire::Tally total = tally(group->group.index);
      total.relays += 1;  // this one
      if (records.left() < kTallyRecord) {
        send_up(p, records.written());
        records = Writer{buffer};
      }
      wire::write_record(records, p == *at ? total : wire::Tally{total.group, 0, 0});
    }
    if (records.size() > 0) send_up(p, records.written());
  }
  for (auto& group : groups_) {
    if (group->told_primary == at && now < group->next_tally_repeat) continue;
    group->told_primary = at;
    group->next_tally_repeat = now + kTallyRepeat;
  }
}

}  // namespace tiercast::node
