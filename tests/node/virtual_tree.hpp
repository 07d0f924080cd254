// A simulated world (relay/sim/) for tests of how a few nodes and listeners behave together: it keeps what was heard,
// counts what the nodes' agents allocate, and REQUIREs what a test takes for granted.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "relay/sim/world.hpp"
#include "tests/support/counting_allocator.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::test {

using sim::Datagram;
using sim::GroupSpec;
using sim::ListenerSpec;
using sim::NodeSpec;

/// What the nodes' agents (not the listeners', nor the network) asked of operator new.
class AllocationMeter : public sim::Meter {
 public:
  void enter() override { since_ = AllocationCount{}; }
  void leave() override { total += since_.count(); }
  std::uint64_t total = 0;

 private:
  AllocationCount since_;
};

class VirtualTree : private AllocationMeter, private sim::Observer, public sim::World {
 public:
  explicit VirtualTree(std::uint64_t seed = 1, std::vector<GroupSpec> groups = {{}});

  /// A killed node's place is taken first.
  std::size_t add(const NodeSpec& spec);

  // --- the network ---
  double& lost = network.base.loss;  // of every link's datagrams
  Duration& delay = network.base.delay;
  static Endpoint address_of(std::size_t node) { return node_endpoint(node, sim::kPublicPort); }
  /// Where its IP multicast leaves from, and where it comes to at one who takes it.
  static Endpoint multicast_of(std::size_t node) { return node_endpoint(node, sim::kMulticastPort); }
  static Endpoint node_multicast(std::size_t node, std::size_t parent) {
    return node_endpoint(node, sim::kMulticastInPort + parent);
  }
  static Endpoint listener_multicast(std::size_t listener, std::size_t parent);
  static Endpoint uplink_of(std::size_t node, std::size_t parent) {
    return node_endpoint(node, sim::kUplinkPort + parent);
  }
  Endpoint listener_address(std::size_t listener, std::size_t parent) const;

  // --- looking ---
  node::FeedGroup& group(std::size_t n, std::size_t g = 0) { return *feed(n).groups()[g]; }
  /// Destinations in a worker's fan-out table.
  std::size_t destinations(std::size_t n, std::size_t w = 0, std::size_t g = 0) const;
  const node::WorkerCounters& worker_counters(std::size_t n, std::size_t w = 0) const;
  const node::Passage& passage(std::size_t n, std::size_t w = 0) const;
  std::uint64_t counter(std::size_t node, const std::string& name);
  std::uint64_t listener_counter(std::size_t listener, const std::string& name);
  std::uint64_t& allocations = AllocationMeter::total;

  struct Heard {
    Sequence sequence;
    receive::PlayedKind kind = receive::PlayedKind::lost;
    std::int64_t number = -1;  // of the encoder's packet; -1: none
    bool as_sent = false;      // that packet, bit by bit
    bool discontinuity = false;
    Time at;
  };
  const std::vector<Heard>& heard(std::size_t l) const;
  std::size_t lost_by(std::size_t l) const;
  /// Packets of the encoder heard by it, each once, in order and unchanged; REQUIREd.
  std::size_t good(std::size_t l, std::size_t from = 0) const;
  std::size_t conflicts = 0;  // FRAMEs on any link that were not, bit by bit, what first left for that sequence

 private:
  static Endpoint node_endpoint(std::size_t node, std::size_t port) {
    return endpoint_of(sim::Host{true, static_cast<std::uint32_t>(node)}, static_cast<std::uint16_t>(port));
  }
  void on_sent(const Endpoint& from, const Endpoint& to, Bytes datagram) override;
  void on_played(std::size_t listener, const receive::Played& played) override;

  std::vector<std::vector<Heard>> heard_;
  std::map<std::tuple<std::uint32_t, std::uint8_t, std::uint64_t>, Datagram> sealed_;  // by group, source, sequence
};

}  // namespace tiercast::test
