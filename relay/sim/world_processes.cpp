// Processes that come, go, stand still and are reconfigured.
#include <algorithm>

#include "relay/sim/world.hpp"

namespace tiercast::sim {
namespace {

// Streams of the world's randomness, apart from the network's.
constexpr std::uint64_t kKeys = 2, kEncoder = 3, kImpostor = 4, kStandby = 5, kBoots = 1000;

}  // namespace

World::World(Config config)
    : network(config.seed),
      seed_(config.seed),
      groups_(std::move(config.groups)),
      ring_(config.worker_ring),
      meter_(config.meter),
      encoder_random_(SeededRandom::of(config.seed, kEncoder)),
      next_rtp_(groups_.size(), kBegin) {
  SeededRandom keys = SeededRandom::of(seed_, kKeys), other = SeededRandom::of(seed_, kImpostor),
               standby = SeededRandom::of(seed_, kStandby);
  for (const GroupSpec& group : groups_) {
    signing_.push_back(crypto::generate_private_key(keys));
    standby_signing_.push_back(crypto::generate_private_key(standby));
    speeches_.emplace_back(group.frame_ms);
  }
  impostor_ = crypto::generate_private_key(other);
  // All keys at once: whoever may be a parent's child is known to it.
  for (std::size_t n = 0; n < config.nodes; ++n) {
    auto node = std::make_unique<NodeHost>();
    node->index = n;
    node->key = crypto::generate_private_key(keys);
    node->public_key = crypto::node_public_key(node->key);
    nodes_.push_back(std::move(node));
  }
}

World::~World() = default;

std::size_t World::add(const NodeSpec& spec) {
  if (added_ == nodes_.size()) throw std::logic_error{"a world of more nodes than it was made for"};
  if (spec.workers > kMaxWorkers) throw std::logic_error{"more workers than a node here may have"};
  NodeHost& node = *nodes_[added_++];
  node.spec = spec;
  start(node);
  return node.index;
}

std::unique_ptr<node::FeedGroup> World::make_group(NodeHost& node, std::size_t g) {
  const NodeSpec& spec = node.spec;
  const auto sources = sources_of<forward::Source>(g, spec.impostor ? impostor_ : signing_[g]);
  const crypto::PrivateKey& signing = spec.impostor ? impostor_ : spec.source == 1 ? signing_[g] : standby_signing_[g];
  SeededRandom& random = node.process->random;
  auto group = std::make_unique<node::FeedGroup>(
      std::make_unique<node::Group>(groups_[g].id, "group", std::chrono::milliseconds{groups_[g].frame_ms}, sources),
      random);
  group->pinned = spec.pinned;
  if (!spec.origin) return group;
  const node::Origin::SaveJob& stored = node.stored[g];
  node::Origin::Setup setup;
  setup.group = groups_[g].id;
  setup.source = SourceId{spec.source};
  setup.frame_ms = groups_[g].frame_ms;
  setup.signing_key = &signing;
  setup.epochs = stored.epochs;
  setup.last = stored.last;
  setup.random = &random;
  if (stored.last.value > 0) {
    setup.since = moment(node).mono - stored.at;
    setup.point = stored.point;
  }
  if (spec.align) {
    const forward::Source& there = sources[spec.source == 1 ? 1 : 0];
    setup.align = there.id;
    const node::AlignLink::Setup link{
        groups_[g].id, std::chrono::milliseconds{groups_[g].frame_ms}, there, key_of(*spec.align), &node.key, &random};
    group->align = std::make_unique<node::AlignLink>(link, moment(node).mono);
  }
  group->origin = std::make_unique<node::Origin>(setup, moment(node));
  while (auto job = group->origin->take_save(moment(node).mono)) {
    node.stored[g] = *job;
    group->origin->on_saved(true, moment(node));
  }
  return group;
}

node::EdgeKeys World::edge_keys(bool known) const {
  node::EdgeKeys out;
  if (!known) return out;
  for (const auto& node : nodes_) out.emplace_back(node->public_key);
  return out;
}

void World::save_state(NodeHost& node) {
  if (!node.spec.origin) return;
  for (const auto& group : node.process->feed->groups()) {
    if (!group->origin) continue;
    const auto at =
        std::find_if(groups_.begin(), groups_.end(), [&](const GroupSpec& spec) { return spec.id == group->group.id; });
    node::Origin::SaveJob& stored = node.stored[static_cast<std::size_t>(at - groups_.begin())];
    const Inside inside{meter_};
    while (auto job = group->origin->take_save(moment(node).mono)) {
      stored = *job;
      group->origin->on_saved(true, moment(node));
    }
  }
}

void World::start(NodeHost& node) {
  const NodeSpec& spec = node.spec;
  node.process = std::make_unique<NodeProcess>(SeededRandom::of(seed_, kBoots + boots_).next());
  NodeProcess& process = *node.process;
  node.started = time();
  node.stopped = false;
  node.waiting.clear();
  const Moment now = moment(node);
  const Endpoint own = endpoint_of(node.host(), kPublicPort);
  process.random.fill(process.token_key.bytes());
  process.outlet = std::make_unique<Outlet>(*this, meter_, own);
  process.multicast = std::make_unique<MulticastOutlet>(*this, meter_, node.index);
  process.uplinks = std::make_unique<Uplinks>(*this, meter_, node.host(), kUplinkPort, spec.parents);

  if (spec.align)
    process.align_links = std::make_unique<Uplinks>(*this, meter_, node.host(), kAlignPort,
                                                    std::vector<std::size_t>(groups_.size(), *spec.align));

  node::Feed::Setup feed;
  node.stored.resize(groups_.size());
  for (std::size_t g = 0; g < groups_.size(); ++g)
    if (spec.groups.empty() || contains(spec.groups, g)) feed.groups.push_back(make_group(node, g));
  for (unsigned w = 0; w < spec.workers; ++w) {
    auto agent = std::make_unique<WorkerAgent>(*this, meter_, own, spec, ring_);
    if (spec.claims) {
      agent->claimed.emplace().path.push_back(crypto::node_id(node.public_key));
      for (const std::size_t n : *spec.claims) agent->claimed->path.push_back(crypto::node_id(key_of(n)));
    }
    node::Worker::Setup worker;
    worker.lane = Lane{static_cast<std::uint8_t>(w)};
    worker.boot_tag = static_cast<std::uint16_t>(++boots_);
    worker.max_leases = spec.max_leases;
    worker.secrets = &agent->secrets;
    worker.token_key = &process.token_key;
    worker.outlet = process.outlet.get();
    worker.sends_multicast = spec.sends_multicast;
    if (spec.sends_multicast && w == 0) worker.multicast = process.multicast.get();
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
    agent->worker = std::make_unique<node::Worker>(std::move(worker), now.mono);
    process.workers.push_back(std::move(agent));
  }
  feed.key = &node.key;
  feed.token_key = &process.token_key;
  feed.random = &process.random;
  for (const std::size_t p : spec.parents) feed.parents.push_back({key_of(p), contains(spec.multicast, p)});
  if (spec.downstreams) {
    for (const std::size_t n : *spec.downstreams) feed.relay_keys.push_back(key_of(n));
  } else {
    for (const auto& other : nodes_) feed.relay_keys.push_back(other->public_key);
  }
  feed.live_parents = spec.live;
  feed.edges = edge_keys(spec.knows_edges);
  feed.elsewhere = spec.elsewhere;
  feed.outlet = process.outlet.get();
  feed.uplinks = process.uplinks.get();
  feed.align_links = process.align_links.get();
  process.feed = std::make_unique<node::Feed>(std::move(feed), now);
  settle(node);
}

std::size_t World::listen(const ListenerSpec& spec) {
  auto listener = std::make_unique<ListenerHost>(SeededRandom::of(seed_, kBoots + ++boots_).next());
  listener->index = listeners_.size();
  listener->spec = spec;
  listener->uplinks = std::make_unique<Uplinks>(*this, nullptr, listener->host(), kUplinkPort, spec.parents);
  node::Listener::Setup setup;
  setup.group = groups_[spec.group].id;
  setup.sources = sources_of<receive::SourceKey>(spec.group, signing_[spec.group]);
  setup.strict = spec.strict;
  setup.live_parents = spec.live;
  setup.playout = spec.playout;
  for (const std::size_t p : spec.parents) setup.parents.push_back({key_of(p), contains(spec.multicast, p)});
  setup.edges = edge_keys(spec.knows_edges);
  setup.random = &listener->random;
  setup.uplinks = listener->uplinks.get();
  listener->agent = std::make_unique<node::Listener>(std::move(setup), spec.clock.at(now_));
  listeners_.push_back(std::move(listener));
  set_timer(*listeners_.back());
  return listeners_.size() - 1;
}

// --- what happens to processes ---

void World::kill(std::size_t n) {
  NodeHost& node = *nodes_[n];
  if (!node.process) return;
  node.stopped = true;  // no timer
  set_timers(node);
  node.stopped = false;
  node.waiting.clear();
  node.process.reset();
  node.ended = time();
}

void World::restart(std::size_t n) {
  kill(n);
  start(*nodes_[n]);
}

void World::restart(std::size_t n, const NodeSpec& spec) {
  if (spec.workers > kMaxWorkers) throw std::logic_error{"more workers than a node here may have"};
  kill(n);
  nodes_[n]->spec = spec;
  start(*nodes_[n]);
}

void World::drain(std::size_t n, Duration over) {
  feed(n).drain(over, moment(*nodes_[n]));
  settle(*nodes_[n]);
}

void World::stop(std::size_t n) {
  feed(n).stop(moment(*nodes_[n]));
  settle(*nodes_[n]);
  kill(n);
}

void World::pause(std::size_t n, bool on) {
  NodeHost& node = *nodes_[n];
  if (!node.process || node.stopped == on) return;
  node.stopped = on;
  if (on) return set_timers(node);
  const std::vector<Packet> waiting = std::exchange(node.waiting, {});
  for (const Packet& packet : waiting) deliver(packet);
  settle(node);
}

void World::pause_listener(std::size_t l, bool on) {
  ListenerHost& listener = *listeners_[l];
  if (!listener.agent || listener.stopped == on) return;
  listener.stopped = on;
  if (on) return set_timer(listener);
  const std::vector<Packet> waiting = std::exchange(listener.waiting, {});
  for (const Packet& packet : waiting) deliver(packet);
  drain(listener);
}

void World::stall(std::size_t n, bool on) {
  nodes_[n]->stalled = on;
  if (nodes_[n]->running()) settle(*nodes_[n]);
}

void World::stall_worker(std::size_t n, std::size_t w, bool on) {
  nodes_[n]->process->workers[w]->stalled = on;
  settle(*nodes_[n]);
}

void World::kill_listener(std::size_t l) {
  ListenerHost& listener = *listeners_[l];
  listener.stopped = true;  // no timer
  set_timer(listener);
  listener.stopped = false;
  listener.waiting.clear();
  listener.agent.reset();
}

void World::step_wall_clock(Host host, Duration by) {
  (host.node ? nodes_[host.index]->spec.clock : listeners_[host.index]->spec.clock).wall_offset += by;
}

void World::move_listener(std::size_t l) { listeners_[l]->uplinks->move(); }

// --- what a reload does ---

bool World::carry(std::size_t n, std::size_t g) {
  const bool added = feed(n).add_group(make_group(*nodes_[n], g), moment(*nodes_[n]));
  settle(*nodes_[n]);
  return added;
}

void World::carry_no_more(std::size_t n, std::size_t g) {
  feed(n).remove_group(groups_[g].id, moment(*nodes_[n]));
  settle(*nodes_[n]);
}

void World::add_parent(std::size_t n, std::size_t parent) {
  process(n).uplinks->add(parent);
  feed(n).add_parent({key_of(parent), contains(nodes_[n]->spec.multicast, parent)}, feed(n).parents().size(),
                     moment(*nodes_[n]));
  settle(*nodes_[n]);
}

void World::retire_parent(std::size_t n, std::size_t parent) {
  const auto at = process(n).uplinks->parent_of(parent);
  if (!at) throw std::logic_error{"that is none of its parents"};
  feed(n).retire_parent(*at, moment(*nodes_[n]));
  settle(*nodes_[n]);
}

void World::allow(std::size_t n, const std::vector<std::size_t>& relays) {
  std::vector<crypto::PublicKey> keys;
  for (const std::size_t relay : relays) keys.push_back(key_of(relay));
  feed(n).set_relay_keys(std::move(keys), moment(*nodes_[n]));
  settle(*nodes_[n]);
}

void World::rotate(std::size_t n, std::size_t g) {
  for (const auto& group : feed(n).groups())
    if (group->group.id == groups_[g].id) feed(n).rotate(group->group.index, moment(*nodes_[n]));
  settle(*nodes_[n]);
}

void World::tell_opaque(std::size_t n, std::uint64_t number) {
  for (auto& worker : process(n).workers)
    worker->commands.push(node::OpaqueReady{node::GroupIndex{0}, number, moment(*nodes_[n]).mono});
  settle(*nodes_[n]);
}

}  // namespace tiercast::sim
