#include "relay/sim/origins.hpp"

namespace tiercast::sim {
namespace {

constexpr Duration kMeeting = 500ms;

/// Null: it is none that aligns, or does not run.
const node::Origin* aligning(const World& world, std::size_t group, std::size_t n) {
  const NodeHost& node = world.node_host(n);
  const node::FeedGroup* here = node.spec.origin && node.running() ? node.carried(world.groups()[group].id) : nullptr;
  return here != nullptr && here->origin && here->origin->alignment() != nullptr ? &*here->origin : nullptr;
}

}  // namespace

bool apart(const World& world, std::size_t group) {
  std::size_t alone = 0;
  for (std::size_t n = 0; n < world.nodes(); ++n) {
    const node::Origin* origin = aligning(world, group, n);
    alone += origin != nullptr && !origin->ingest().held_back() && !origin->alignment()->agree() ? 1 : 0;
  }
  return alone > 1;
}

bool missed_the_other(const World& world, std::size_t group, std::size_t n) {
  const NodeHost& node = world.node_host(n);
  const node::Origin* origin = aligning(world, group, n);
  if (origin == nullptr || !node.spec.align) return false;
  const auto& aligned = origin->alignment()->counters();
  const Time ended = world.node_host(*node.spec.align).ended;
  return aligned.announced.get() + aligned.matched.get() == 0 && ended != kNever && ended >= node.started &&
         ended < node.started + kMeeting;
}

}  // namespace tiercast::sim
