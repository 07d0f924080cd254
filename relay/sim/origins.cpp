#include "relay/sim/origins.hpp"

namespace tiercast::sim {

bool apart(const World& world, std::size_t g) {
  std::size_t alone = 0;
  for (std::size_t n = 0; n < world.nodes(); ++n) {
    const NodeHost& node = world.node_host(n);
    const node::FeedGroup* here = node.spec.origin && node.running() ? node.carried(world.groups()[g].id) : nullptr;
    const auto* alignment = here != nullptr && here->origin ? here->origin->alignment() : nullptr;
    alone += alignment != nullptr && !here->origin->ingest().held_back() && !alignment->agree() ? 1 : 0;
  }
  return alone > 1;
}

}  // namespace tiercast::sim
