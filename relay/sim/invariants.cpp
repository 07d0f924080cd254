#include "relay/sim/invariants.hpp"

#include <algorithm>
#include <string_view>

#include "relay/sim/origins.hpp"

namespace tiercast::sim {
namespace {

std::string name(std::size_t listener) { return "listener " + std::to_string(listener); }

}  // namespace

void Sealing::on_sent(const Endpoint& from, const Endpoint& to, Bytes datagram) {
  const bool multicast = from.port == kMulticastPort;
  if (from.port != kPublicPort && !multicast) return;
  const auto header = wire::parse_header(datagram);
  if (!header || header->type != wire::Type::frame) return;
  const auto way = multicast          ? wire::Trailers::signature
                   : host_of(to).node ? wire::Trailers::link
                                      : wire::Trailers::none;
  const Bytes frame = datagram.first(datagram.size() - wire::trailer_size(header->type, way));
  const std::uint64_t digest =
      std::hash<std::string_view>{}({reinterpret_cast<const char*>(frame.data()), frame.size()});
  const Key key{std::uint64_t{header->group.value} << 32 | header->epoch.value,
                std::uint64_t{header->source.value} << 48 | header->sequence.value};
  const auto [first, fresh] = sealed_.try_emplace(key, digest);
  if (!fresh && first->second != digest)
    throw Violation{"two sealed frames of one key and sequence " + std::to_string(header->sequence.value)};
}

// As in Paths: an origin's frame is sealed when it is sent first.
void Sinks::on_sent(const Endpoint& from, const Endpoint&, Bytes datagram) {
  if (wire::Type{datagram[0]} != wire::Type::frame) return;
  const NodeSpec& sender = world_.node_host(host_of(from).index).spec;
  if (!sender.origin || !sender.align) return;
  const auto header = wire::parse_header(datagram);
  if (!header || header->source.value != sender.source) return;
  const std::size_t source = sender.source - 1U;
  for (std::size_t g = 0; g < streams_.size(); ++g) {
    Stream& stream = streams_[g];
    if (world_.groups()[g].id != header->group || header->sequence <= stream.sealed[source]) continue;
    stream.sealed[source] = header->sequence;
    if (apart(world_, g) || missed_the_other(world_, g, host_of(from).index))
      stream.frames[header->sequence.value][source].apart = true;
  }
}

void Sinks::on_played(std::size_t l, const receive::Played& played) {
  if (heard_.size() <= l) heard_.resize(l + 1);
  Heard& heard = heard_[l];
  const std::string sequence = " at sequence " + std::to_string(played.sequence.value);
  if (heard.sequence && played.sequence <= *heard.sequence) throw Violation{name(l) + " went back" + sequence};
  if (heard.sequence && !played.discontinuity && played.sequence != heard.sequence->next())
    throw Violation{name(l) + " skipped ticks in silence" + sequence};
  heard.sequence = played.sequence;
  if (played.kind == receive::PlayedKind::lost) {
    ++lost_;
    return;
  }
  ++frames_;
  const std::size_t group = world_.listener_host(l).spec.group;
  const std::size_t source = played.source.value - 1U;
  Frames& frames = streams_[group].frames[played.sequence.value];
  Frame& frame = frames[source];
  const Frame& other = frames[1 - source];
  std::int64_t packet = kEmpty;
  if (played.kind == receive::PlayedKind::frame) {
    const auto number = world_.speech(group).number_of(played.opus);
    if (!number) throw Violation{name(l) + " played what nobody sent" + sequence};
    packet = *number;
    const bool between_two = heard.source != played.source.value && (heard.apart || frame.apart);
    if (packet <= heard.packet && !between_two)
      throw Violation{name(l) + " played a packet twice or out of order" + sequence};
    heard.packet = packet;
    heard.source = played.source.value;
    heard.apart = frame.apart;
  }
  if (frame.packet == kUnheard) frame.packet = packet;
  const bool others = packet >= 0 && other.packet >= 0 && other.packet != packet && !frame.apart && !other.apart;
  if (frame.packet != packet || others) throw Violation{name(l) + " heard another packet than others" + sequence};
}

void Leases::on_arrived(const Packet& packet) {
  const Host node = host_of(packet.to);
  if (!node.node || packet.to.port != kPublicPort) return;
  const auto type = wire::Type{packet.bytes[0]};
  if (type == wire::Type::control || type == wire::Type::join) heard_[way(node, packet.from)] = world_.time();
}

void Leases::on_sent(const Endpoint& from, const Endpoint& to, Bytes datagram) {
  if (from.port != kPublicPort || wire::Type{datagram[0]} != wire::Type::frame) return;
  const auto heard = heard_.find(way(host_of(from), to));
  if (heard == heard_.end()) throw Violation{"a FRAME to who never asked"};
  if (world_.time() > heard->second + kMost)
    throw Violation{"a FRAME from node " + std::to_string(host_of(from).index) + " to " +
                    (host_of(to).node ? "node " : "listener ") + std::to_string(host_of(to).index) +
                    ", which was last heard " +
                    std::to_string((world_.time() - heard->second) / std::chrono::milliseconds{1}) + " ms ago"};
}

Tallies::Tallies(World& world) : world_(world), counts_(world.groups().size()), above_(world.groups().size()) {}

std::uint32_t Tallies::listeners(std::size_t group) const {
  std::uint32_t count = 0;
  for (std::size_t l = 0; l < world_.listeners(); ++l)
    count += world_.listener_host(l).agent && world_.listener_host(l).spec.group == group ? 1 : 0;
  return count;
}

std::optional<std::uint32_t> Tallies::told(std::size_t g) const {
  std::optional<std::uint32_t> sum;
  for (std::size_t n = 0; n < world_.nodes(); ++n) {
    const NodeHost& node = world_.node_host(n);
    if (!node.spec.origin || !node.running()) continue;
    for (const auto& group : node.process->feed->groups())
      if (group->group.id == world_.groups()[g].id)
        sum = sum.value_or(0) + node.process->feed->tally(group->group.index).listeners;
  }
  return sum;
}

void Tallies::look() {
  const Time now = world_.time();
  for (std::size_t g = 0; g < counts_.size(); ++g) {
    auto& counts = counts_[g];
    counts.push_back({now, listeners(g)});
    std::erase_if(counts, [&](const Count& c) { return c.at + wire::kLeaseLife + 1s < now; });
    std::uint32_t most = 0;
    for (const Count& c : counts) most = std::max(most, c.listeners);
    auto& above = above_[g];
    const auto count = told(g);
    if (!count || *count <= most) {
      above.reset();
    } else if (!above) {
      above = now;
    } else if (now > *above + wire::kLeaseLife) {
      throw Violation{"the origins count " + std::to_string(*count) + " listeners, of " + std::to_string(most) +
                      ", for longer than a lease"};
    }
  }
}

void Tallies::expect_exact() const {
  for (std::size_t g = 0; g < counts_.size(); ++g)
    if (const auto count = told(g); count && *count != listeners(g))
      throw Violation{"after calm the origins count " + std::to_string(*count) + " listeners of " +
                      std::to_string(listeners(g))};
}

}  // namespace tiercast::sim
