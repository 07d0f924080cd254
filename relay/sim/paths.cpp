#include "relay/sim/paths.hpp"

#include <algorithm>

#include "relay/sim/origins.hpp"

namespace tiercast::sim {
namespace {

constexpr Duration kSlack = 150ms;  // rounding to frames and to clocks

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

Paths::Paths(World& world, Duration way) : world_(world), way_(way), places_(world.groups().size()) {
  for (std::size_t g = 0; g < world.groups().size(); ++g)
    for (std::uint8_t source = 1; source <= world.groups()[g].sources; ++source) {
      Stream& stream = streams_.emplace_back();
      stream.group = g;
      stream.source = SourceId{source};
    }
}

Time Paths::through(Stream& stream, Host child, std::size_t parent, bool solid) {
  const auto edge = std::pair{child, parent};
  if (!solid) {
    stream.edges.erase(edge);
    return kNever;
  }
  return std::max(stream.edges.try_emplace(edge, world_.time()).first->second, stream.since[parent]);
}

Time Paths::node_since(Stream& stream, std::size_t n) {
  const NodeHost& node = world_.node_host(n);
  const node::FeedGroup* here = node.running() ? node.carried(world_.groups()[stream.group].id) : nullptr;
  if (node.spec.origin) {
    if (node.spec.source != stream.source.value) return kNever;
    if (here == nullptr || !here->origin) return stream.origin = kNever;
    return stream.origin = std::min(stream.origin, world_.time());
  }
  Time since = kNever;
  const std::size_t parents = node.running() ? node.process->uplinks->count() : 0;
  for (std::size_t p = 0; p < parents; ++p) {
    const std::size_t parent = node.process->uplinks->node_of(p);
    const bool solid = here != nullptr && here->subscribed && here->subscriptions[p].confirmed &&
                       passes(node.host(), parent) && node.process->feed->parents()[p].may_be_asked() &&
                       node.process->feed->parents()[p].live(node.spec.clock.mono(world_.time()));
    since = std::min(since, through(stream, node.host(), parent, solid));
  }
  if (parents == 0) std::erase_if(stream.edges, [&](const auto& edge) { return edge.first.first == node.host(); });
  return since;
}

Time Paths::listener_since(Stream& stream, std::size_t l) {
  const ListenerHost& listener = world_.listener_host(l);
  Time since = kNever;
  for (std::size_t p = 0; p < listener.uplinks->count(); ++p) {
    const std::size_t parent = listener.uplinks->node_of(p);
    const bool solid = listener.running() && passes(listener.host(), parent) &&
                       world_.node_host(parent).carried(world_.groups()[stream.group].id) != nullptr &&
                       listener.agent->parents()[p].may_be_asked() &&
                       listener.agent->parents()[p].live(listener.spec.clock.mono(world_.time()));
    since = std::min(since, through(stream, listener.host(), parent, solid));
  }
  return since;
}

void Paths::disturb(Host host) {
  for (Stream& stream : streams_)
    std::erase_if(stream.edges, [&](const auto& edge) { return edge.first.first == host; });
}

void Paths::look() {
  listeners_.resize(world_.listeners());
  for (Stream& stream : streams_) {
    stream.since.resize(world_.nodes(), kNever);
    if (apart(world_, stream.group)) {
      stream.origin = kNever;
      stream.edges.clear();
    }
    // Parents have lower numbers than their children.
    for (std::size_t n = 0; n < world_.nodes(); ++n) stream.since[n] = node_since(stream, n);
    for (std::size_t l = 0; l < listeners_.size(); ++l) {
      if (world_.listener_host(l).spec.group != stream.group) continue;
      listeners_[l].of[stream.source.value - 1U].since = listener_since(stream, l);
      check(stream, l);
    }
  }
}

Duration Paths::playout_of(const ListenerSpec& spec) const {
  return spec.playout.value_or(spec.strict ? wire::kStrictPlayout : wire::kPlayout);
}

void Paths::check(const Stream& stream, std::size_t l) {
  const Time now = world_.time();
  const ListenerSpec& spec = world_.listener_host(l).spec;
  const auto& heard = listeners_[l].heard;
  auto& listener = listeners_[l].of[stream.source.value - 1U];
  const Duration wait =
      playout_of(spec) + way_ + std::chrono::milliseconds{world_.groups()[spec.group].frame_ms} + kSlack;
  for (; listener.next < stream.sealed.size() && stream.sealed[listener.next].at + wait <= now; ++listener.next) {
    const Sealed& frame = stream.sealed[listener.next];
    if (listener.since > frame.at - kSettles) continue;
    ++owed_;
    if (frame.place < heard.size() && heard[frame.place]) continue;
    throw Violation{"listener " + std::to_string(l) + " has not played sequence " + std::to_string(frame.sequence) +
                    " of source " + std::to_string(stream.source.value) + ", sealed " +
                    std::to_string((now - frame.at) / std::chrono::milliseconds{1}) +
                    " ms ago, with a connected path for " +
                    std::to_string((now - listener.since) / std::chrono::milliseconds{1}) + " ms"};
  }
}

void Paths::expect_all() const {
  for (std::size_t l = 0; l < listeners_.size(); ++l) {
    if (!world_.listener_host(l).running()) continue;
    Time since = kNever;
    for (const auto& of : listeners_[l].of) since = std::min(since, of.since);
    if (since > world_.time() - kSettles) throw Violation{"after calm listener " + std::to_string(l) + " has no path"};
  }
}

// An origin's frame is sealed when it is sent first; what others send they have from there.
void Paths::on_sent(const Endpoint& from, const Endpoint&, Bytes datagram) {
  if (wire::Type{datagram[0]} != wire::Type::frame) return;
  const NodeSpec& sender = world_.node_host(host_of(from).index).spec;
  if (!sender.origin) return;
  const auto header = wire::parse_header(datagram);
  if (!header || header->source.value != sender.source) return;
  for (Stream& stream : streams_) {
    if (world_.groups()[stream.group].id != header->group || stream.source != header->source) continue;
    // One that is asked for and was never sent is an old one: who joined since was never owed it.
    if (!stream.sealed.empty() && header->sequence.value <= stream.sealed.back().sequence) return;
    stream.sealed.push_back({header->sequence.value, place(stream.group, header->sequence), world_.time()});
  }
}

void Paths::on_played(std::size_t l, const receive::Played& played) {
  if (played.kind == receive::PlayedKind::lost) return;
  if (listeners_.size() <= l) listeners_.resize(l + 1);
  const std::uint32_t at = place(world_.listener_host(l).spec.group, played.sequence);
  auto& heard = listeners_[l].heard;
  if (heard.size() <= at) heard.resize(at + 64);
  heard[at] = true;
}

}  // namespace tiercast::sim
