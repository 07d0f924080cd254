#include "relay/node/group.hpp"

#include <algorithm>

namespace tiercast::node {

wire::GroupInfo info_of(const Group& group, const std::optional<wire::GroupInfo>& statement,
                        std::optional<Time> last_frame, Time now) {
  wire::GroupInfo info = statement.value_or(wire::GroupInfo{});
  info.group = group.id;
  info.frame_ms = static_cast<std::uint8_t>(group.frame.count());
  info.newest = group.history.newest();
  if (const auto pin = group.history.frame(info.newest))
    if (const auto header = wire::parse_header(pin.datagram())) info.source = header->source;  // the active one
  // An old one is no anchor: nobody wanted the group meanwhile, and the stream is elsewhere. Nor is a parent's.
  info.flags &= static_cast<std::uint8_t>(~wire::kInfoAnchored);
  if (info.newest.value != 0 && last_frame && now - *last_frame < kAnchorLife) info.flags |= wire::kInfoAnchored;
  return info;
}

bool KnownEpochs::knows(SourceId source, Epoch epoch) const {
  return std::any_of(epochs_.begin(), epochs_.end(),
                     [&](const auto& known) { return known.source == source && known.epoch == epoch; });
}

// 0: in use. Then what comes next, the nearest first; then what was before, the last one first.
std::uint64_t KnownEpochs::rank(const wire::EpochRecord& epoch) const {
  constexpr std::uint64_t kBefore = std::uint64_t{1} << 32;
  std::uint32_t current = 0;
  for (const InUse& used : in_use_)
    if (used.source == epoch.source) current = used.epoch.value;
  const std::uint32_t number = epoch.epoch.value;
  if (number < current) return kBefore + (current - number);
  return number - current;
}

void KnownEpochs::sort() {
  std::sort(epochs_.begin(), epochs_.end(), [&](const auto& a, const auto& b) {
    return std::pair{rank(a), a.source.value} < std::pair{rank(b), b.source.value};
  });
}

bool KnownEpochs::learn(const wire::EpochRecord& epoch) {
  if (knows(epoch.source, epoch.epoch)) return false;
  std::size_t of_source = 0;
  std::size_t last = 0;
  for (std::size_t i = 0; i < epochs_.size(); ++i) {
    if (epochs_[i].source != epoch.source) continue;
    ++of_source;
    last = i;  // they are sorted
  }
  if (of_source >= kPerSource) {
    if (rank(epochs_[last]) <= rank(epoch)) return false;
    epochs_.erase_at(last);
  }
  const bool added = epochs_.push_back(epoch);
  sort();
  return added;
}

bool KnownEpochs::in_use(SourceId source, Epoch epoch) {
  const auto used = std::find_if(in_use_.begin(), in_use_.end(), [&](const InUse& u) { return u.source == source; });
  if (used == in_use_.end()) {
    if (!in_use_.push_back({source, epoch})) return false;
  } else {
    if (used->epoch == epoch) return false;
    used->epoch = epoch;
  }
  sort();
  return true;
}

void KnownEpochs::write(Writer& records) const {
  for (const auto& known : epochs_)
    if (records.left() >= wire::kEpochRecord) wire::write_record(records, known);
}

void KnownEpochs::list(wire::EpochsHeld& held) const {
  for (const auto& known : epochs_) held.epochs.push_back({known.group, known.source, known.epoch});
}

}  // namespace tiercast::node
