// Time, and datagrams on their way.
#include "relay/sim/world.hpp"

#include <algorithm>

namespace tiercast::sim {
namespace {

constexpr int kTurnsAtOnce = 200;
constexpr std::uint32_t kTimersEach = kMaxWorkers + 1;

}  // namespace

// --- the network ---

void World::send(const Endpoint& from, const Endpoint& to, Bytes datagram) {
  if (datagram.empty() || datagram.size() > wire::kMaxDatagram) throw Violation{"a datagram of no length that may be"};
  ++datagrams;
  for (Observer* observer : observers_) observer->on_sent(from, to, datagram);
  if (drops && drops(from, to, datagram)) return;
  const Network::Arrivals arrivals = network.carry(host_of(from), host_of(to), datagram.size());
  if (arrivals.empty())
    for (Observer* observer : observers_) observer->on_lost(from, to, datagram);
  for (const Network::Arrival& arrival : arrivals) {
    std::uint32_t number = static_cast<std::uint32_t>(packets_.size());
    if (free_packets_.empty()) {
      packets_.emplace_back();
    } else {
      number = free_packets_.back();
      free_packets_.pop_back();
    }
    Packet& packet = packets_[number];
    packet.from = from;
    packet.to = to;
    packet.bytes.assign(datagram.begin(), datagram.end());
    if (arrival.corrupted) network.corrupt(packet.bytes);
    under_way_.push_back({now_ + arrival.after, order_++, number});
    std::push_heap(under_way_.begin(), under_way_.end());
  }
}

void World::send_multicast(std::size_t node, Bytes datagram) {
  ++multicasts;
  const Endpoint from = endpoint_of(nodes_[node]->host(), kMulticastPort);
  const auto port = static_cast<std::uint16_t>(kMulticastInPort + node);
  for (const auto& other : nodes_)
    if (other->process && contains(other->spec.multicast, node)) send(from, endpoint_of(other->host(), port), datagram);
  for (const auto& listener : listeners_)
    if (listener->agent && contains(listener->spec.multicast, node))
      send(from, endpoint_of(listener->host(), port), datagram);
}

void World::deliver(const Packet& packet) {
  const Host to = host_of(packet.to);
  if (to.node ? to.index >= added_ : to.index >= listeners_.size()) return;
  const bool exists = to.node ? nodes_[to.index]->process != nullptr : listeners_[to.index]->agent != nullptr;
  if (!exists) return unreachable(packet);
  const bool stopped = to.node ? nodes_[to.index]->stopped : listeners_[to.index]->stopped;
  if (stopped) {
    auto& waiting = to.node ? nodes_[to.index]->waiting : listeners_[to.index]->waiting;
    if (waiting.size() < kWaiting) waiting.push_back(packet);
    return;
  }
  for (Observer* observer : observers_) observer->on_arrived(packet);
  if (packet.to.port >= kMulticastInPort) {
    deliver_multicast(packet);
  } else if (to.node) {
    deliver_to_node(*nodes_[to.index], packet);
    settle(*nodes_[to.index]);
  } else {
    deliver_to_listener(*listeners_[to.index], packet);
  }
}

// The kernel lets nothing in but what the source that was joined sends (or seems to).
void World::deliver_multicast(const Packet& packet) {
  const Host to = host_of(packet.to);
  const std::size_t from = packet.to.port - kMulticastInPort;
  if (from >= added_ || packet.from != endpoint_of(nodes_[from]->host(), kMulticastPort)) return;
  if (to.node) {
    NodeHost& node = *nodes_[to.index];
    const auto parent = node.process->uplinks->parent_of(from);
    if (!parent) return;  // closed
    {
      const Inside inside{meter_};
      node.process->feed->on_multicast(*parent, packet.bytes, moment(node));
    }
    return settle(node);
  }
  ListenerHost& listener = *listeners_[to.index];
  const auto parent = listener.uplinks->parent_of(from);
  if (!parent) return;
  listener.agent->on_multicast(*parent, packet.bytes, listener.spec.clock.at(now_));
  drain(listener);
}

void World::deliver_to_node(NodeHost& node, const Packet& packet) {
  NodeProcess& process = *node.process;
  const Moment now = moment(node);
  if (packet.to.port >= kAlignPort) {
    const auto link = process.align_links ? process.align_links->parent_at(packet.to.port) : std::nullopt;
    if (!link || packet.from != endpoint_of(nodes_[*node.spec.align]->host(), kPublicPort)) return;
    const Inside inside{meter_};
    return process.feed->on_align(*link, packet.bytes, now);
  }
  if (packet.to.port != kPublicPort) {
    const auto parent = process.uplinks->parent_at(packet.to.port);
    // A connected socket: from its parent only.
    if (!parent || packet.from != endpoint_of(nodes_[process.uplinks->node_of(*parent)]->host(), kPublicPort)) return;
    const Inside inside{meter_};
    return process.feed->on_uplink(*parent, packet.bytes, now);
  }
  LocalAddress local;
  local.ip = packet.to.ip;
  // What the sockets' filters steer and drop (relay/net/steering).
  if (packet.bytes[0] < 0x10) {
    const Inside inside{meter_};
    return process.feed->on_join(packet.bytes, packet.from, local, now);
  }
  if (packet.bytes[0] != 0x10 || packet.bytes.size() < 2 || packet.bytes[1] >= process.workers.size()) return;
  WorkerAgent& worker = *process.workers[packet.bytes[1]];
  if (node.stalled || worker.stalled) return;
  const Inside inside{meter_};
  worker.obey_all(now.mono);
  worker.worker->on_datagram(packet.bytes, packet.from, local, now.mono);
}

void World::deliver_to_listener(ListenerHost& listener, const Packet& packet) {
  const auto parent = listener.uplinks->parent_at(packet.to.port);
  if (!parent) return packet.to.port < listener.uplinks->address(0).port ? unreachable(packet) : void();
  if (packet.from != endpoint_of(nodes_[listener.uplinks->node_of(*parent)]->host(), kPublicPort)) return;
  listener.agent->on_datagram(*parent, packet.bytes, listener.spec.clock.at(now_));
  drain(listener);
}

void World::unreachable(const Packet& packet) {
  if (!refuses || packet.from.port == kPublicPort) return;
  const Host from = host_of(packet.from);
  if (from.node) {
    NodeHost& node = *nodes_[from.index];
    if (!node.running()) return;
    if (packet.from.port >= kAlignPort) {
      node.process->feed->on_align_unreachable(packet.from.port - kAlignPort, moment(node));
      settle(node);
    } else if (const auto parent = node.process->uplinks->parent_at(packet.from.port)) {
      node.process->feed->on_uplink_unreachable(*parent, moment(node));
      settle(node);
    }
  } else if (ListenerHost& listener = *listeners_[from.index]; listener.running()) {
    if (const auto parent = listener.uplinks->parent_at(packet.from.port)) {
      listener.agent->on_unreachable(*parent, listener.spec.clock.at(now_));
      drain(listener);
    }
  }
}

void World::drain(ListenerHost& listener) {
  receive::Played played;
  while (listener.agent->next(played, listener.spec.clock.at(now_)))
    for (Observer* observer : observers_) observer->on_played(listener.index, played);
  set_timer(listener);
}

// --- time ---

void World::settle(NodeHost& node) {
  NodeProcess& process = *node.process;
  bool reported = true;
  while (reported) {
    reported = false;
    save_state(node);
    const Inside inside{meter_};
    for (auto& worker : process.workers) {
      if (node.stalled || worker->stalled) continue;
      worker->obey_all(moment(node).mono);
      reported = worker->worker->take_reported() || reported;
    }
    if (reported) process.feed->on_reports(moment(node));
  }
  set_timers(node);
}

void World::settle(std::size_t n) { settle(*nodes_[n]); }

void World::set_timers(NodeHost& node) {
  const auto first = static_cast<std::uint32_t>(node.index) * kTimersEach;
  const bool runs = node.running();
  timers_.set(first, runs ? node.spec.clock.when(node.process->feed->next_deadline()) : kNever);
  for (std::uint32_t w = 0; w < node.spec.workers; ++w) {
    const bool works = runs && !node.stalled && !node.process->workers[w]->stalled;
    timers_.set(first + 1 + w,
                works ? node.spec.clock.when(node.process->workers[w]->worker->next_deadline()) : kNever);
  }
}

void World::set_timer(ListenerHost& listener) {
  const auto id = static_cast<std::uint32_t>(nodes_.size() * kTimersEach + listener.index);
  timers_.set(id, listener.running() ? listener.spec.clock.when(listener.agent->next_deadline()) : kNever);
}

void World::run_timer(std::uint32_t id) {
  if (id >= nodes_.size() * kTimersEach) {
    ListenerHost& listener = *listeners_[id - nodes_.size() * kTimersEach];
    listener.agent->on_timer(listener.spec.clock.at(now_));
    return drain(listener);
  }
  NodeHost& node = *nodes_[id / kTimersEach];
  {
    const Inside inside{meter_};
    if (id % kTimersEach == 0) {
      node.process->feed->on_timer(moment(node));
    } else {
      node.process->workers[id % kTimersEach - 1]->worker->on_timer(moment(node).mono);
    }
  }
  settle(node);
}

void World::speak() {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (now_ < next_rtp_[g]) continue;
    const Duration frame = std::chrono::milliseconds{groups_[g].frame_ms};
    next_rtp_[g] = now_ + frame - frame / 1'000'000 * encoder_ppm_;
    const Datagram& rtp = speeches_[g].speak(encoder_random_);
    if (!talking_) continue;
    for (auto& node : nodes_) {
      if (!node->spec.origin || !node->running() || node->unplugged) continue;
      const node::FeedGroup* group = nullptr;
      for (const auto& carried : node->process->feed->groups())
        if (carried->group.id == groups_[g].id && carried->origin) group = carried.get();
      if (group == nullptr) continue;
      {
        const Inside inside{meter_};
        node->process->feed->on_rtp(group->group.index, rtp, moment(*node));
      }
      settle(*node);
    }
  }
}

std::string World::whose_deadline(const std::vector<std::uint32_t>& ids) const {
  if (ids.empty()) return "nobody";
  const std::uint32_t id = ids.front();
  if (id >= nodes_.size() * kTimersEach) return "listener " + std::to_string(id - nodes_.size() * kTimersEach);
  return (id % kTimersEach == 0 ? "the feed of node " : "a worker of node ") + std::to_string(id / kTimersEach);
}

Time World::next_event() const {
  Time next = timers_.next();
  if (!under_way_.empty()) next = std::min(next, under_way_.front().at);
  if (!actions_.empty()) next = std::min(next, actions_.front().at);
  for (const Time rtp : next_rtp_) next = std::min(next, rtp);
  return next;
}

void World::at(Time when, std::function<void()> action) {
  actions_.push_back({when, order_++, std::move(action)});
  std::push_heap(actions_.begin(), actions_.end());
}

void World::run(Duration d) {
  const Time end = now_ + d;
  int turns_at_once = 0;
  while (true) {
    const Time next = next_event();
    if (next > end) break;
    turns_at_once = next <= now_ ? turns_at_once + 1 : 0;
    if (turns_at_once >= kTurnsAtOnce)
      throw Violation{"a deadline has passed and stays, of " + whose_deadline(due_) + ": a busy loop"};
    now_ = std::max(now_, next);
    ++events_;
    while (!actions_.empty() && actions_.front().at <= now_) {
      std::pop_heap(actions_.begin(), actions_.end());
      const Action action = std::move(actions_.back());
      actions_.pop_back();
      action.call();
    }
    speak();
    while (!under_way_.empty() && under_way_.front().at <= now_) {
      const std::uint32_t number = under_way_.front().packet;
      std::pop_heap(under_way_.begin(), under_way_.end());
      under_way_.pop_back();
      Packet packet = std::move(packets_[number]);  // delivering may make packets_ grow
      deliver(packet);
      packets_[number].bytes = std::move(packet.bytes);  // for its memory
      free_packets_.push_back(number);
    }
    // Each once: whose deadline stays in the past has its turn in the next round.
    due_.clear();
    for (std::uint32_t id = 0; timers_.take(id, now_);) due_.push_back(id);
    for (const std::uint32_t id : due_) run_timer(id);
  }
  now_ = end;
}

}  // namespace tiercast::sim
