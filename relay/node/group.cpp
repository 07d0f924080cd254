#include "relay/node/group.hpp"

#include <algorithm>

namespace tiercast::node {

bool KnownEpochs::knows(SourceId source, Epoch epoch) const {
  return std::any_of(epochs_.begin(), epochs_.end(),
                     [&](const auto& known) { return known.source == source && known.epoch == epoch; });
}

bool KnownEpochs::learn(const wire::EpochRecord& epoch) {
  if (knows(epoch.source, epoch.epoch)) return false;
  std::size_t of_source = 0;
  std::size_t oldest = epochs_.size();
  for (std::size_t i = 0; i < epochs_.size(); ++i) {
    if (epochs_[i].source != epoch.source) continue;
    ++of_source;
    if (oldest == epochs_.size() || epochs_[i].epoch < epochs_[oldest].epoch) oldest = i;
  }
  if (of_source >= kPerSource || epochs_.full()) {
    if (oldest == epochs_.size() || epochs_[oldest].epoch > epoch.epoch) return false;
    epochs_.erase_at(oldest);
  }
  return epochs_.push_back(epoch);
}

void KnownEpochs::list(wire::EpochsHeld& held) const {
  for (const auto& known : epochs_) held.epochs.push_back({known.group, known.source, known.epoch});
}

}  // namespace tiercast::node
