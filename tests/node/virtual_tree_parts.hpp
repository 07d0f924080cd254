// What a VirtualTree is made of: the agents with their rings, and the outlets through which they reach its network.
#pragma once

#include <algorithm>

#include "tests/node/virtual_tree.hpp"
#include "tests/support/counting_allocator.hpp"
#include "tests/support/fan_out_table.hpp"

namespace tiercast::test {

struct VirtualTree::Outlet final : node::Outlet {
  Outlet(VirtualTree& t, const Endpoint& e) : tree(t), own(e) {}
  void send(Bytes first, Bytes second, const Endpoint& to, const LocalAddress&) override {
    const AllocationCount allocated;
    Datagram whole(first.begin(), first.end());
    whole.insert(whole.end(), second.begin(), second.end());
    tree.send(own, to, whole);
    tree.outside_ += allocated.count();
  }
  VirtualTree& tree;
  Endpoint own;
};

struct VirtualTree::MulticastOutlet final : node::MulticastOutlet {
  MulticastOutlet(VirtualTree& t, std::size_t n) : tree(t), node(n) {}
  void send_multicast(Bytes datagram, Time) override {
    const AllocationCount allocated;
    tree.send_multicast(node, datagram);
    tree.outside_ += allocated.count();
  }
  VirtualTree& tree;
  std::size_t node;
};

struct VirtualTree::FanOut final : FanOutTable {
  FanOut(VirtualTree& t, const Endpoint& own)
      : FanOutTable{[&t, own](const Entry& entry, Bytes what) {
          const AllocationCount allocated;
          t.send(own, entry.to, what);
          t.outside_ += allocated.count();
        }} {
    entries.reserve(1024);
  }
};

struct VirtualTree::Uplinks final : node::UplinkOutlet {
  Uplinks(VirtualTree& t, std::function<Endpoint(std::size_t)> f, std::vector<std::size_t> p)
      : tree(t), from(std::move(f)) {
    for (const std::size_t parent : p) add(parent);
  }
  void add(std::size_t parent) {
    parents.push_back(parent);
    numbers.push_back(next++);
  }
  void close_up(std::size_t p) override {
    parents.erase(parents.begin() + static_cast<std::ptrdiff_t>(p));
    numbers.erase(numbers.begin() + static_cast<std::ptrdiff_t>(p));
  }
  /// Which parent has the socket of that number; none: it is closed.
  std::optional<std::size_t> parent_of(std::size_t number) const {
    const auto at = std::find(numbers.begin(), numbers.end(), number);
    return at == numbers.end() ? std::nullopt : std::optional{static_cast<std::size_t>(at - numbers.begin())};
  }
  void send_up(std::size_t parent, Bytes datagram) override {
    const AllocationCount allocated;
    tree.send(from(numbers[parent]), address_of(parents[parent]), datagram);
    tree.outside_ += allocated.count();
  }
  VirtualTree& tree;
  std::function<Endpoint(std::size_t)> from;
  std::vector<std::size_t> parents;
  std::vector<std::size_t> numbers;  // of sockets, each once
  std::size_t next = 0;
};

struct VirtualTree::WorkerAgent final : forward::FanOutMaker {
  WorkerAgent(VirtualTree& t, const Endpoint& e, const NodeSpec& spec)
      : tree(t), own(e), datagram_takes(spec.datagram_takes), secrets(spec.max_leases) {}
  std::vector<std::unique_ptr<forward::FanOut>> make_fan_outs() override {
    std::vector<std::unique_ptr<forward::FanOut>> out;
    auto made = std::make_unique<FanOut>(tree, own);
    fan_outs.push_back(made.get());
    out.push_back(std::move(made));
    return out;
  }
  /// A command and all that it makes the worker send.
  void obey(const node::Command& command, Time now) {
    worker->on_command(command, now);
    std::uint64_t before = worker->counters().datagrams.get();
    while (worker->send_some(now)) {
      const std::uint64_t sent = worker->counters().datagrams.get();
      worker->sent_until(now, static_cast<std::int64_t>(sent - before) * datagram_takes);
      before = sent;
    }
  }
  VirtualTree& tree;
  Endpoint own;
  Duration datagram_takes;
  SpscRing<node::Command> commands{4096};
  SpscRing<node::Report> reports{4096};
  control::LeaseSecrets secrets;
  std::vector<FanOut*> fan_outs;
  std::unique_ptr<node::Worker> worker;
  bool stalled = false;
};

struct VirtualTree::Agents {
  crypto::MacKey token_key;
  std::unique_ptr<Outlet> outlet;
  std::unique_ptr<MulticastOutlet> multicast;
  std::unique_ptr<Uplinks> uplinks;
  std::vector<std::unique_ptr<WorkerAgent>> workers;
  std::unique_ptr<node::Feed> feed;
};

struct VirtualTree::Node {
  std::size_t index = 0;
  NodeSpec spec;
  crypto::PrivateKey key;
  std::vector<node::Origin::SaveJob> stored;  // by group: what an origin has on its disk
  std::unique_ptr<Agents> agents;
  bool stalled = false;
};

struct VirtualTree::ListenerNode {
  std::size_t index = 0;
  std::uint16_t first_port = 10'000;
  ListenerSpec spec;
  std::unique_ptr<Uplinks> uplinks;
  std::unique_ptr<node::Listener> agent;
  std::vector<Heard> heard;
};

}  // namespace tiercast::test
