#include "relay/sim/paths.hpp"

#include <algorithm>

namespace tiercast::sim {
namespace {

constexpr Duration kSlack = 150ms;  // rounding to frames and to clocks

const node::FeedGroup* carried(const NodeHost& node, GroupId id) {
  for (const auto& group : node.process->feed->groups())
    if (group->group.id == id) return group.get();
  return nullptr;
}

bool works(const NodeHost& node) {
  return node.running() && !node.stalled &&
         std::none_of(node.process->workers.begin(), node.process->workers.end(),
                      [](const auto& worker) { return worker->stalled; });
}

}  // namespace

bool Paths::passes(Host child, std::size_t parent) const {
  const Host up{true, static_cast<std::uint32_t>(parent)};
  const Network& network = world_.network;
  return works(world_.node_host(parent)) && network.reachable(up, child) && network.model(up, child).clean() &&
         network.model(child, up).clean();
}

Time Paths::through(Group& group, Host child, std::size_t parent, bool solid) {
  const auto edge = std::pair{child, parent};
  if (!solid) {
    group.edges.erase(edge);
    return kNever;
  }
  return std::max(group.edges.try_emplace(edge, world_.time()).first->second, group.since[parent]);
}

Time Paths::node_since(std::size_t g, std::size_t n) {
  Group& group = groups_[g];
  const NodeHost& node = world_.node_host(n);
  const node::FeedGroup* here = node.running() ? carried(node, world_.groups()[g].id) : nullptr;
  if (here != nullptr && here->origin) return group.origins.try_emplace(n, world_.time()).first->second;
  group.origins.erase(n);
  Time since = kNever;
  const std::size_t parents = node.running() ? node.process->uplinks->count() : 0;
  for (std::size_t p = 0; p < parents; ++p) {
    const std::size_t parent = node.process->uplinks->node_of(p);
    const bool solid = here != nullptr && here->subscribed && here->subscriptions[p].confirmed &&
                       passes(node.host(), parent) && node.process->feed->parents()[p].may_be_asked() &&
                       node.process->feed->parents()[p].live(node.spec.clock.mono(world_.time()));
    since = std::min(since, through(group, node.host(), parent, solid));
  }
  if (parents == 0) std::erase_if(group.edges, [&](const auto& edge) { return edge.first.first == node.host(); });
  return since;
}

Time Paths::listener_since(std::size_t l) {
  const ListenerHost& listener = world_.listener_host(l);
  Group& group = groups_[listener.spec.group];
  Time since = kNever;
  for (std::size_t p = 0; p < listener.uplinks->count(); ++p) {
    const std::size_t parent = listener.uplinks->node_of(p);
    const bool solid = listener.running() && passes(listener.host(), parent) &&
                       carried(world_.node_host(parent), world_.groups()[listener.spec.group].id) != nullptr &&
                       listener.agent->parents()[p].may_be_asked() &&
                       listener.agent->parents()[p].live(listener.spec.clock.mono(world_.time()));
    since = std::min(since, through(group, listener.host(), parent, solid));
  }
  return since;
}

void Paths::disturb(Host host) {
  for (Group& group : groups_) std::erase_if(group.edges, [&](const auto& edge) { return edge.first.first == host; });
}

void Paths::look() {
  // Parents have lower numbers than their children.
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    groups_[g].since.resize(world_.nodes(), kNever);
    for (std::size_t n = 0; n < world_.nodes(); ++n) groups_[g].since[n] = node_since(g, n);
  }
  listeners_.resize(world_.listeners());
  for (std::size_t l = 0; l < listeners_.size(); ++l) {
    listeners_[l].since = listener_since(l);
    check(l);
  }
}

Duration Paths::playout_of(const ListenerSpec& spec) const {
  return spec.playout.value_or(spec.strict ? wire::kStrictPlayout : wire::kPlayout);
}

void Paths::check(std::size_t l) {
  Listener& listener = listeners_[l];
  const ListenerSpec& spec = world_.listener_host(l).spec;
  const Group& group = groups_[spec.group];
  const Time now = world_.time();
  const Duration wait =
      playout_of(spec) + way_ + std::chrono::milliseconds{world_.groups()[spec.group].frame_ms} + kSlack;
  listener.heard.resize(group.sealed.size());
  for (; listener.next < group.sealed.size() && group.sealed[listener.next].at + wait <= now; ++listener.next) {
    const Sealed& frame = group.sealed[listener.next];
    if (listener.since > frame.at - kSettles) continue;
    ++owed_;
    if (listener.heard[listener.next]) continue;
    throw Violation{"listener " + std::to_string(l) + " has not played sequence " + std::to_string(frame.sequence) +
                    ", sealed " + std::to_string((now - frame.at) / std::chrono::milliseconds{1}) +
                    " ms ago, with a connected path for " +
                    std::to_string((now - listener.since) / std::chrono::milliseconds{1}) + " ms"};
  }
}

void Paths::expect_all() const {
  for (std::size_t l = 0; l < listeners_.size(); ++l)
    if (world_.listener_host(l).running() && listeners_[l].since > world_.time() - kSettles)
      throw Violation{"after calm listener " + std::to_string(l) + " has no path"};
}

// An origin's frame is sealed when it is sent first; what others send they have from there.
void Paths::on_sent(const Endpoint& from, const Endpoint&, Bytes datagram) {
  if (wire::Type{datagram[0]} != wire::Type::frame || !world_.node_host(host_of(from).index).spec.origin) return;
  const auto header = wire::parse_header(datagram);
  if (!header) return;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (world_.groups()[g].id != header->group) continue;
    Group& group = groups_[g];
    // One that is asked for and was never sent is an old one: who joined since was never owed it.
    if (!group.sealed.empty() && header->sequence.value < group.sealed.back().sequence) return;
    const auto place = static_cast<std::uint32_t>(group.sealed.size());
    if (group.place.try_emplace(header->sequence.value, place).second)
      group.sealed.push_back({header->sequence.value, world_.time()});
  }
}

void Paths::on_played(std::size_t l, const receive::Played& played) {
  if (played.kind == receive::PlayedKind::lost) return;
  const Group& group = groups_[world_.listener_host(l).spec.group];
  const auto place = group.place.find(played.sequence.value);
  if (place == group.place.end()) return;
  if (listeners_.size() <= l) listeners_.resize(l + 1);
  auto& heard = listeners_[l].heard;
  if (heard.size() < group.sealed.size()) heard.resize(group.sealed.size());
  heard[place->second] = true;
}

}  // namespace tiercast::sim
