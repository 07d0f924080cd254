#include "tests/node/virtual_tree.hpp"

#include <algorithm>

#include "tests/node/virtual_tree_parts.hpp"

namespace tiercast::test {
namespace {

constexpr std::size_t kMostNodes = 16;
constexpr std::uint16_t kPublicPort = 4800;
constexpr std::uint16_t kMulticastPort = 4801;
constexpr std::uint16_t kUplinkPort = 10'000;
constexpr std::uint16_t kMulticastInPort = 60'000;
constexpr std::int64_t kWallSeconds = 1'700'000'000;

Endpoint endpoint(std::uint8_t net, std::size_t host, std::uint16_t port) {
  Endpoint e;
  e.ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, net, static_cast<std::uint8_t>(host + 1)};
  e.port = port;
  return e;
}

bool is_node(const Endpoint& e) { return e.ip[14] == 0; }
bool contains(const std::vector<std::size_t>& all, std::size_t one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}
std::size_t index_of(const Endpoint& e) { return e.ip[15] - 1U; }

// An Opus packet of one SILK or CELT frame, its number, and as many random bytes as one more or less has.
Datagram opus_packet(std::uint8_t frame_ms, std::uint32_t number, Random& random) {
  // RFC 6716 §3.1: configurations 8 to 11 are SILK wideband of 10, 20, 40 and 60 ms; 30 and 31 CELT of 10 and 20 ms.
  const int silk = frame_ms == 10 ? 8 : frame_ms == 20 ? 9 : frame_ms == 40 ? 10 : 11;
  const int configuration = frame_ms <= 20 && number % 3 == 0 ? silk + 22 : silk;
  Datagram packet(5 + 40 + random.below(120));
  random.fill(packet);
  packet[0] = static_cast<std::uint8_t>(configuration << 3);
  store_be<4>(packet.data() + 1, number);
  return packet;
}

Datagram rtp_packet(std::uint32_t number, std::uint8_t frame_ms, const Datagram& payload) {
  Datagram packet(12);
  packet[0] = 0x80;
  packet[1] = 97;
  store_be<2>(packet.data() + 2, number & 0xffff);
  store_be<4>(packet.data() + 4, (number * frame_ms * 48) & 0xffffffff);
  store_be<4>(packet.data() + 8, 0xabcd);
  packet.insert(packet.end(), payload.begin(), payload.end());
  return packet;
}

}  // namespace

VirtualTree::VirtualTree(std::uint64_t seed, std::vector<GroupSpec> groups)
    : random_(seed),
      network_random_(seed + 1),
      groups_(std::move(groups)),
      next_rtp_(groups_.size(), now_),
      sent_(groups_.size()) {
  for (std::size_t g = 0; g < groups_.size(); ++g) signing_.push_back(crypto::generate_private_key(random_));
  SeededRandom other{999};
  impostor_ = crypto::generate_private_key(other);
  // All keys at once: whoever may be a parent's child is known to it.
  for (std::size_t n = 0; n < kMostNodes; ++n) {
    nodes_.push_back(std::make_unique<Node>());
    nodes_.back()->index = n;
    nodes_.back()->key = crypto::generate_private_key(random_);
  }
}

VirtualTree::~VirtualTree() = default;

Moment VirtualTree::now() const {
  const auto passed = std::chrono::duration_cast<std::chrono::microseconds>(now_ - Time{1h});
  return {now_, WallTime{std::chrono::seconds{kWallSeconds} + passed}};
}

// --- agents ---

std::size_t VirtualTree::add(const NodeSpec& spec) {
  const auto free = std::find_if(nodes_.begin(), nodes_.end(), [](const auto& n) { return !n->agents; });
  REQUIRE(free != nodes_.end());
  (*free)->spec = spec;
  start(**free);
  return (*free)->index;
}

void VirtualTree::kill(std::size_t node) { nodes_[node]->agents.reset(); }
void VirtualTree::stall(std::size_t node, bool on) {
  nodes_[node]->stalled = on;
  if (!on) settle(*nodes_[node]);
}

void VirtualTree::stall_worker(std::size_t n, std::size_t w, bool on) {
  nodes_[n]->agents->workers[w]->stalled = on;
  settle(*nodes_[n]);
}

void VirtualTree::kill_listener(std::size_t listener) { listeners_[listener]->agent.reset(); }
void VirtualTree::move_listener(std::size_t listener) { listeners_[listener]->first_port += 1000; }

void VirtualTree::restart(std::size_t node) {
  kill(node);
  start(*nodes_[node]);
}

std::unique_ptr<node::FeedGroup> VirtualTree::make_group(Node& node, std::size_t g) {
  const NodeSpec& spec = node.spec;
  std::vector<forward::Source> sources{
      {SourceId{1}, crypto::signing_public_key(spec.impostor ? impostor_ : signing_[g])}};
  auto group = std::make_unique<node::FeedGroup>(
      std::make_unique<node::Group>(groups_[g].id, "group", std::chrono::milliseconds{groups_[g].frame_ms}, sources),
      random_);
  group->pinned = spec.pinned;
  if (!spec.origin) return group;
  group->origin = std::make_unique<node::Origin>(
      node::Origin::Setup{groups_[g].id, SourceId{1}, groups_[g].frame_ms, spec.impostor ? &impostor_ : &signing_[g],
                          node.stored[g].epochs, node.stored[g].last, Duration{0}, &random_},
      now());
  while (auto job = group->origin->take_save(now_)) {
    node.stored[g] = *job;
    group->origin->on_saved(true, now());
  }
  return group;
}

bool VirtualTree::carry(std::size_t n, std::size_t g) {
  const bool added = feed(n).add_group(make_group(*nodes_[n], g), now());
  settle(*nodes_[n]);
  return added;
}

void VirtualTree::tell_opaque(std::size_t n, std::uint64_t number) {
  for (auto& worker : nodes_[n]->agents->workers)
    REQUIRE(worker->commands.push(node::OpaqueReady{node::GroupIndex{0}, number, now_}));
  settle(*nodes_[n]);
}

void VirtualTree::carry_no_more(std::size_t n, std::size_t g) {
  feed(n).remove_group(groups_[g].id, now());
  settle(*nodes_[n]);
}

void VirtualTree::add_parent(std::size_t n, std::size_t parent) {
  nodes_[n]->agents->uplinks->add(parent);
  feed(n).add_parent({key_of(parent), contains(nodes_[n]->spec.multicast, parent)}, now());
}

void VirtualTree::retire_parent(std::size_t n, std::size_t parent) {
  const auto& parents = nodes_[n]->agents->uplinks->parents;
  const auto at = std::find(parents.begin(), parents.end(), parent);
  REQUIRE(at != parents.end());
  feed(n).retire_parent(static_cast<std::size_t>(at - parents.begin()), now());
}

void VirtualTree::allow(std::size_t n, const std::vector<std::size_t>& relays) {
  std::vector<crypto::PublicKey> keys;
  for (const std::size_t relay : relays) keys.push_back(crypto::node_public_key(nodes_[relay]->key));
  feed(n).set_relay_keys(std::move(keys), now());
  settle(*nodes_[n]);
}

void VirtualTree::start(Node& node) {
  auto agents = std::make_unique<Agents>();
  const NodeSpec& spec = node.spec;
  random_.fill(agents->token_key.bytes());
  agents->outlet = std::make_unique<Outlet>(*this, address_of(node.index));
  agents->multicast = std::make_unique<MulticastOutlet>(*this, node.index);
  agents->uplinks = std::make_unique<Uplinks>(
      *this, [index = node.index](std::size_t p) { return uplink_of(index, p); }, spec.parents);

  node::Feed::Setup feed;
  node.stored.resize(groups_.size());
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const bool carried =
        spec.groups.empty() || std::find(spec.groups.begin(), spec.groups.end(), g) != spec.groups.end();
    if (carried) feed.groups.push_back(make_group(node, g));
  }
  for (unsigned w = 0; w < spec.workers; ++w) {
    auto agent = std::make_unique<WorkerAgent>(*this, address_of(node.index), spec);
    node::Worker::Setup worker;
    worker.lane = Lane{static_cast<std::uint8_t>(w)};
    worker.boot_tag = static_cast<std::uint16_t>(++boots_);
    worker.max_leases = spec.max_leases;
    worker.secrets = &agent->secrets;
    worker.token_key = &agents->token_key;
    worker.outlet = agents->outlet.get();
    worker.sends_multicast = spec.sends_multicast;
    if (spec.sends_multicast && w == 0) worker.multicast = agents->multicast.get();
    worker.reports = &agent->reports;
    worker.fan_outs = agent.get();
    feed.workers.push_back({worker.lane,
                            worker.boot_tag,
                            &agent->commands,
                            &agent->reports,
                            &agent->secrets,
                            node::FreeSlots{spec.max_leases},
                            {},
                            [] {},
                            false,
                            false});
    agent->worker = std::make_unique<node::Worker>(std::move(worker), now_);
    agents->workers.push_back(std::move(agent));
  }
  feed.key = &node.key;
  feed.token_key = &agents->token_key;
  feed.random = &random_;
  for (const std::size_t p : spec.parents) feed.parents.push_back({key_of(p), contains(spec.multicast, p)});
  for (const auto& other : nodes_) feed.relay_keys.push_back(crypto::node_public_key(other->key));
  feed.outlet = agents->outlet.get();
  feed.uplinks = agents->uplinks.get();
  agents->feed = std::make_unique<node::Feed>(std::move(feed), now());
  node.agents = std::move(agents);
  settle(node);
}

std::size_t VirtualTree::listen(const ListenerSpec& spec) {
  auto listener = std::make_unique<ListenerNode>();
  listener->index = listeners_.size();
  listener->spec = spec;
  listener->uplinks = std::make_unique<Uplinks>(
      *this, [this, index = listener->index](std::size_t p) { return listener_address(index, p); }, spec.parents);
  node::Listener::Setup setup;
  setup.group = groups_[spec.group].id;
  setup.sources = {{SourceId{1}, crypto::signing_public_key(signing_[spec.group])}};
  setup.strict = spec.strict;
  for (const std::size_t p : spec.parents) setup.parents.push_back({key_of(p), contains(spec.multicast, p)});
  setup.random = &random_;
  setup.uplinks = listener->uplinks.get();
  listener->agent = std::make_unique<node::Listener>(std::move(setup), now());
  listeners_.push_back(std::move(listener));
  return listeners_.size() - 1;
}

// --- the network ---

Endpoint VirtualTree::address_of(std::size_t node) { return endpoint(0, node, kPublicPort); }
crypto::PublicKey VirtualTree::key_of(std::size_t node) const { return crypto::node_public_key(nodes_[node]->key); }
Endpoint VirtualTree::multicast_of(std::size_t node) { return endpoint(0, node, kMulticastPort); }
Endpoint VirtualTree::node_multicast(std::size_t node, std::size_t parent) {
  return endpoint(0, node, static_cast<std::uint16_t>(kMulticastInPort + parent));
}
Endpoint VirtualTree::listener_multicast(std::size_t listener, std::size_t parent) {
  return endpoint(1, listener, static_cast<std::uint16_t>(kMulticastInPort + parent));
}
Endpoint VirtualTree::uplink_of(std::size_t node, std::size_t parent) {
  return endpoint(0, node, static_cast<std::uint16_t>(kUplinkPort + parent));
}
Endpoint VirtualTree::listener_address(std::size_t listener, std::size_t parent) const {
  const std::uint16_t first = listener < listeners_.size() ? listeners_[listener]->first_port : kUplinkPort;
  return endpoint(1, listener, static_cast<std::uint16_t>(first + parent));
}

void VirtualTree::watch(const Endpoint& from, const Endpoint& to, Bytes datagram) {
  const auto header = wire::parse_header(datagram);
  const bool multicast = from.port == kMulticastPort;
  if (!header || header->type != wire::Type::frame || (from.port != kPublicPort && !multicast)) return;
  const std::size_t trailers = multicast ? wire::kSignature : is_node(to) ? wire::kSignature + wire::kLinkMac : 0;
  const Bytes frame = datagram.first(datagram.size() - trailers);
  auto& first = sealed_[{header->group.value, header->sequence.value}];
  if (first.empty()) first.assign(frame.begin(), frame.end());
  if (!std::equal(frame.begin(), frame.end(), first.begin(), first.end())) ++conflicts;
}

void VirtualTree::send(const Endpoint& from, const Endpoint& to, Bytes datagram) {
  REQUIRE(!datagram.empty());
  REQUIRE(datagram.size() <= wire::kMaxDatagram);
  ++datagrams;
  watch(from, to, datagram);
  if (drops && drops(from, to, datagram)) return;
  if (lost > 0 && static_cast<double>(network_random_.u64() >> 11) * 0x1.0p-53 < lost) return;
  under_way_.emplace(now_ + delay, Packet{from, to, Datagram(datagram.begin(), datagram.end())});
}

void VirtualTree::send_multicast(std::size_t node, Bytes datagram) {
  ++multicasts;
  for (const auto& other : nodes_)
    if (other->agents && contains(other->spec.multicast, node))
      send(multicast_of(node), node_multicast(other->index, node), datagram);
  for (const auto& listener : listeners_)
    if (listener->agent && contains(listener->spec.multicast, node))
      send(multicast_of(node), listener_multicast(listener->index, node), datagram);
}

// The kernel lets nothing in but what the source that was joined sends (or seems to).
void VirtualTree::deliver_multicast(const Packet& packet) {
  const std::size_t index = index_of(packet.to);
  const std::size_t from = packet.to.port - kMulticastInPort;
  if (packet.from != multicast_of(from)) return;
  const auto number_of = [from](const std::vector<std::size_t>& parents) {
    return static_cast<std::size_t>(std::find(parents.begin(), parents.end(), from) - parents.begin());
  };
  if (is_node(packet.to)) {
    Node& node = *nodes_[index];
    if (!node.agents) return;
    const std::size_t parent = number_of(node.agents->uplinks->parents);
    if (parent == node.agents->uplinks->parents.size()) return;  // closed
    counted([&] { node.agents->feed->on_multicast(parent, packet.bytes, now()); });
    return settle(node);
  }
  ListenerNode& listener = *listeners_[index];
  if (!listener.agent) return;
  listener.agent->on_multicast(number_of(listener.spec.parents), packet.bytes, now());
  drain(listener);
}

void VirtualTree::deliver(const Packet& packet) {
  if (packet.to.port >= kMulticastInPort) return deliver_multicast(packet);
  if (is_node(packet.to)) {
    Node& node = *nodes_[index_of(packet.to)];
    if (!node.agents) return unreachable(packet);
    deliver_to_node(node, packet);
    settle(node);
    return;
  }
  const std::size_t index = index_of(packet.to);
  if (index >= listeners_.size()) return;
  ListenerNode& listener = *listeners_[index];
  if (!listener.agent || packet.to.port < listener.first_port) return unreachable(packet);
  const std::size_t parent = static_cast<std::size_t>(packet.to.port - listener.first_port);
  // A connected socket: from its parent only.
  if (parent >= listener.spec.parents.size() || packet.from != address_of(listener.spec.parents[parent])) return;
  listener.agent->on_datagram(parent, packet.bytes, now());
  drain(listener);
}

template <class F>
void VirtualTree::counted(F&& call) {
  const std::uint64_t outside = outside_;
  const AllocationCount allocated;
  call();
  allocations += allocated.count() - (outside_ - outside);
}

void VirtualTree::deliver_to_node(Node& node, const Packet& packet) {
  Agents& agents = *node.agents;
  if (packet.to.port != kPublicPort) {
    const auto parent = agents.uplinks->parent_of(static_cast<std::size_t>(packet.to.port - kUplinkPort));
    if (!parent || packet.from != address_of(agents.uplinks->parents[*parent])) return;
    return counted([&] { agents.feed->on_uplink(*parent, packet.bytes, now()); });
  }
  LocalAddress local;
  local.ip = packet.to.ip;
  if (packet.bytes[0] < 0x10) return counted([&] { agents.feed->on_join(packet.bytes, packet.from, local, now()); });
  if (packet.bytes[0] != 0x10 || packet.bytes.size() < 2 || packet.bytes[1] >= agents.workers.size()) return;
  WorkerAgent& worker = *agents.workers[packet.bytes[1]];
  if (node.stalled || worker.stalled) return;
  counted([&] {
    while (auto command = worker.commands.pop()) worker.obey(*command, now_);
    worker.worker->on_datagram(packet.bytes, packet.from, local, now_);
  });
}

void VirtualTree::unreachable(const Packet& packet) {
  if (!refuses || packet.from.port == kPublicPort) return;
  if (is_node(packet.from)) {
    Node& node = *nodes_[index_of(packet.from)];
    if (!node.agents) return;
    const auto parent = node.agents->uplinks->parent_of(static_cast<std::size_t>(packet.from.port - kUplinkPort));
    if (parent) node.agents->feed->on_uplink_unreachable(*parent, now());
  } else if (auto& listener = *listeners_[index_of(packet.from)]; listener.agent) {
    listener.agent->on_unreachable(packet.from.port - listener.first_port, now());
  }
}

// --- time ---

// The rings are emptied both ways until there is nothing more to say; what must be on disk is there at once.
void VirtualTree::settle(Node& node) {
  Agents& agents = *node.agents;
  bool reported = true;
  while (reported) {
    reported = false;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      if (!node.spec.origin) continue;
      const auto& origin = agents.feed->groups()[g]->origin;
      while (auto job = origin->take_save(now_)) {
        node.stored[g] = *job;
        origin->on_saved(true, now());
      }
    }
    counted([&] {
      for (auto& worker : agents.workers) {
        if (node.stalled || worker->stalled) continue;
        while (auto command = worker->commands.pop()) worker->obey(*command, now_);
        reported = worker->worker->take_reported() || reported;
      }
      if (reported) agents.feed->on_reports(now());
    });
  }
}

void VirtualTree::drain(ListenerNode& listener) {
  receive::Played played;
  while (listener.agent->next(played, now())) {
    Heard heard{played.sequence, played.kind, -1, false, played.discontinuity, now_};
    const auto& sent = sent_[listener.spec.group];
    if (played.kind == receive::PlayedKind::frame && played.opus.size() >= 5) {
      const auto number = load_be<4>(played.opus.data() + 1);
      heard.as_sent = number < sent.size() &&
                      std::equal(sent[number].begin(), sent[number].end(), played.opus.begin(), played.opus.end());
      if (heard.as_sent) heard.number = static_cast<std::int64_t>(number);
    }
    listener.heard.push_back(heard);
  }
}

void VirtualTree::send_rtp() {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (now_ < next_rtp_[g]) continue;
    next_rtp_[g] = now_ + std::chrono::milliseconds{groups_[g].frame_ms};
    const auto number = static_cast<std::uint32_t>(sent_[g].size());
    sent_[g].push_back(opus_packet(groups_[g].frame_ms, number, random_));
    if (!talking_) continue;
    const Datagram packet = rtp_packet(number, groups_[g].frame_ms, sent_[g].back());
    for (auto& node : nodes_) {
      if (!node->agents || !node->spec.origin) continue;
      counted([&] { node->agents->feed->on_rtp(node::GroupIndex{static_cast<std::uint16_t>(g)}, packet, now()); });
      settle(*node);
    }
  }
}

void VirtualTree::run_timers() {
  for (auto& node : nodes_) {
    if (!node->agents) continue;
    Agents& agents = *node->agents;
    if (agents.feed->next_deadline() <= now_) counted([&] { agents.feed->on_timer(now()); });
    for (auto& worker : agents.workers)
      if (!worker->stalled && worker->worker->next_deadline() <= now_) counted([&] { worker->worker->on_timer(now_); });
    settle(*node);
  }
  for (auto& listener : listeners_) {
    if (!listener->agent || listener->agent->next_deadline() > now_) continue;
    listener->agent->on_timer(now());
    drain(*listener);
  }
}

Time VirtualTree::next_event() const {
  Time next = under_way_.empty() ? kNever : under_way_.begin()->first;
  for (const Time rtp : next_rtp_) next = std::min(next, rtp);
  for (const auto& node : nodes_) {
    if (!node->agents) continue;
    next = std::min(next, node->agents->feed->next_deadline());
    for (const auto& worker : node->agents->workers)
      if (!worker->stalled) next = std::min(next, worker->worker->next_deadline());
  }
  for (const auto& listener : listeners_)
    if (listener->agent) next = std::min(next, listener->agent->next_deadline());
  return next;
}

void VirtualTree::run(Duration d) {
  const Time end = now_ + d;
  int turns_at_once = 0;
  while (true) {
    const Time next = next_event();
    if (next > end) break;
    turns_at_once = next <= now_ ? turns_at_once + 1 : 0;
    REQUIRE_MESSAGE(turns_at_once < 200, "somebody's deadline has passed and stays: a busy loop");
    now_ = std::max(now_, next);
    send_rtp();
    while (!under_way_.empty() && under_way_.begin()->first <= now_) {
      const auto first = under_way_.extract(under_way_.begin());
      deliver(first.mapped());
    }
    run_timers();
  }
  now_ = end;
}

// --- looking ---

node::Feed& VirtualTree::feed(std::size_t n) { return *nodes_[n]->agents->feed; }
node::Listener& VirtualTree::listener(std::size_t l) { return *listeners_[l]->agent; }
const std::vector<VirtualTree::Heard>& VirtualTree::heard(std::size_t l) const { return listeners_[l]->heard; }

std::size_t VirtualTree::destinations(std::size_t n, std::size_t w, std::size_t g) const {
  return nodes_[n]->agents->workers[w]->fan_outs[g]->size();
}

const node::WorkerCounters& VirtualTree::worker_counters(std::size_t n, std::size_t w) const {
  return nodes_[n]->agents->workers[w]->worker->counters();
}

const node::Passage& VirtualTree::passage(std::size_t n, std::size_t w) const {
  return nodes_[n]->agents->workers[w]->worker->passage();
}

std::uint64_t VirtualTree::counter(std::size_t n, const std::string& name) {
  std::uint64_t sum = 0;
  bool known = false;
  const auto add = [&](const char* of, const Counter& counter) {
    if (name != of) return;
    known = true;
    sum += counter.get();
  };
  node::Feed& f = feed(n);
  f.counters().each(add);
  f.responder().counters().each(add);
  for (const auto& parent : f.parents()) {
    parent.counters().each(add);
    if (parent.lease()) parent.lease()->counters().each(add);
  }
  for (std::size_t p = 0; p < f.parents().size(); ++p)
    if (const auto* multicast = f.multicast(p)) multicast->way.counters().each(add);
  for (const auto& g : f.groups()) {
    g->intake.counters().each(add);
    g->gaps.counters().each(add);
    g->attestation_gaps.counters().each(add);
    if (!g->origin) continue;
    g->origin->publisher().counters().each(add);
    g->origin->counters().each(add);
  }
  for (const auto& worker : nodes_[n]->agents->workers) {
    worker->worker->counters().each(add);
    worker->worker->lease_counters().each(add);
    worker->worker->resend_counters().each(add);
    worker->worker->tally_counters().each(add);
  }
  REQUIRE_MESSAGE((known || f.parents().empty()), name);
  return sum;
}

std::uint64_t VirtualTree::listener_counter(std::size_t l, const std::string& name) {
  std::uint64_t sum = 0;
  const auto add = [&](const char* of, const Counter& counter) {
    if (name == of) sum += counter.get();
  };
  listener(l).each_counter(add);
  for (const auto& parent : listener(l).parents()) {
    parent.counters().each(add);
    if (parent.lease()) parent.lease()->counters().each(add);
  }
  for (std::size_t p = 0; p < listener(l).parents().size(); ++p)
    if (const auto* multicast = listener(l).multicast(p)) multicast->way.counters().each(add);
  return sum;
}

std::size_t VirtualTree::lost_by(std::size_t l) const {
  const auto& all = heard(l);
  return static_cast<std::size_t>(
      std::count_if(all.begin(), all.end(), [](const Heard& h) { return h.kind == receive::PlayedKind::lost; }));
}

std::size_t VirtualTree::good(std::size_t l, std::size_t from) const {
  const auto& all = heard(l);
  std::size_t count = 0;
  std::int64_t last = -1;
  for (std::size_t i = from; i < all.size(); ++i) {
    if (i > from) REQUIRE((all[i].discontinuity || all[i].sequence == all[i - 1].sequence.next()));
    if (i > from) REQUIRE(all[i].sequence > all[i - 1].sequence);
    if (all[i].kind != receive::PlayedKind::frame) continue;
    REQUIRE(all[i].as_sent);
    REQUIRE(all[i].number > last);
    last = all[i].number;
    ++count;
  }
  return count;
}

}  // namespace tiercast::test
