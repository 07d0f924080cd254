// The processes of a simulated network: what runs in each is the real agents (node::Feed, node::Worker,
// node::Listener) with their rings; what stands around them in a real process (sockets, clocks, files) is here.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "relay/node/feed.hpp"
#include "relay/node/listener.hpp"
#include "relay/node/worker.hpp"
#include "relay/sim/addresses.hpp"
#include "relay/sim/clock.hpp"
#include "relay/sim/fan_out_table.hpp"
#include "relay/sim/random.hpp"
#include "relay/sim/speech.hpp"

namespace tiercast::sim {

/// Of nodes, groups or parents by their numbers.
inline bool contains(const std::vector<std::size_t>& all, std::size_t one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

struct GroupSpec {
  GroupId id{7};
  std::uint8_t frame_ms = 20;
  std::uint8_t sources = 1;  // or 2
};
struct NodeSpec {
  std::vector<std::size_t> parents{};    // nodes
  std::vector<std::size_t> multicast{};  // of these, those whose IP multicast it takes
  bool sends_multicast = false;
  bool origin = false;                               // of all its groups
  std::uint8_t source = 1;                           // whose, as an origin
  std::optional<std::size_t> align{};                // the node that is the origin of the other source
  bool impostor = false;                             // an origin, but what it signs with is not the source's key
  std::optional<std::vector<std::size_t>> claims{};  // a liar: the nodes by which it says that its way leads
  bool pinned = false;
  std::vector<std::size_t> groups{};  // of the world's; none: all
  unsigned workers = 1;               // ≤ kMaxWorkers
  std::uint32_t max_leases = 256;
  bool knows_edges = false;                // it has the operator's list, in which every node is, by its number
  std::vector<std::uint16_t> elsewhere{};  // those that it tells of who is sent away
  Duration datagram_takes{};               // to a listener: what its workers measure
  std::optional<std::vector<std::size_t>> downstreams{};  // nodes that may join; nullopt: every one
  Clock clock{};
  std::size_t live = 2;  // parents at once, the others stand by
};
struct ListenerSpec {
  std::vector<std::size_t> parents{};    // nodes
  std::vector<std::size_t> multicast{};  // of these, those whose IP multicast it takes
  std::size_t group = 0;
  bool strict = false;
  std::optional<Duration> playout{};
  bool knows_edges = false;
  Clock clock{};
  std::size_t live = 2;  // parents at once, the others stand by
};
inline constexpr unsigned kMaxWorkers = 7;

/// Where datagrams go.
class Carrier {
 public:
  virtual ~Carrier() = default;
  virtual void send(const Endpoint& from, const Endpoint& to, Bytes datagram) = 0;
  /// To all who take that node's IP multicast, each over a way of its own.
  virtual void send_multicast(std::size_t node, Bytes datagram) = 0;
};

/// Told when a node's own code runs, for who measures what that does: enter(), leave(), and again around what the
/// network does within.
class Meter {
 public:
  virtual ~Meter() = default;
  virtual void enter() = 0;
  virtual void leave() = 0;
};
class Inside {
 public:
  explicit Inside(Meter* meter) : meter_(meter) {
    if (meter_) meter_->enter();
  }
  ~Inside() {
    if (meter_) meter_->leave();
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  Meter* meter_;
};
class Outside {
 public:
  explicit Outside(Meter* meter) : meter_(meter) {
    if (meter_) meter_->leave();
  }
  ~Outside() {
    if (meter_) meter_->enter();
  }
  Outside(const Outside&) = delete;
  Outside& operator=(const Outside&) = delete;

 private:
  Meter* meter_;
};

/// The connected sockets towards parents, each on a port of its own for as long as it is open.
class Uplinks final : public node::UplinkOutlet {
 public:
  Uplinks(Carrier& carrier, Meter* meter, Host own, std::uint16_t first_port, const std::vector<std::size_t>& parents);
  void add(std::size_t parent);
  void open_up(std::uint16_t edge) override { add(edge); }
  void close_up(std::size_t p) override;
  void send_up(std::size_t parent, Bytes datagram) override;
  /// Which parent's socket that port is; none: it is closed.
  std::optional<std::size_t> parent_at(std::uint16_t port) const;
  /// Which parent that node is.
  std::optional<std::size_t> parent_of(std::size_t node) const;
  std::size_t node_of(std::size_t parent) const { return parents_[parent]; }
  std::size_t count() const { return parents_.size(); }
  /// The host's NAT gives it other ports.
  void move() { first_port_ = static_cast<std::uint16_t>(first_port_ + 1000); }
  Endpoint address(std::size_t parent) const;

 private:
  Carrier& carrier_;
  Meter* meter_;
  Host own_;
  std::uint16_t first_port_;
  std::vector<std::size_t> parents_;
  std::vector<std::size_t> numbers_;  // of sockets, each once
  std::size_t next_ = 0;
};

/// A worker and its socket.
class WorkerAgent final : public forward::FanOutMaker {
 public:
  WorkerAgent(Carrier& carrier, Meter* meter, const Endpoint& own, const NodeSpec& spec, std::size_t ring);
  std::vector<std::unique_ptr<forward::FanOut>> make_fan_outs() override;
  /// A command and all that it makes the worker send.
  void obey(const node::Command& command, Time now);
  void obey_all(Time now) {
    while (auto command = commands.pop()) obey(*command, now);
  }

  SpscRing<node::Command> commands;
  SpscRing<node::Report> reports;
  control::LeaseSecrets secrets;
  std::vector<FanOutTable*> fan_outs;  // one a group that the node carries, in the order of their coming
  std::unique_ptr<node::Worker> worker;
  bool stalled = false;
  std::optional<node::Standing> claimed;  // what is told in every Standing's place

 private:
  Carrier& carrier_;
  Meter* meter_;
  Endpoint own_;
  Duration datagram_takes_;
};

struct Outlet final : node::Outlet {
  Outlet(Carrier& c, Meter* m, const Endpoint& e) : carrier(c), meter(m), own(e) {}
  void send(Bytes first, Bytes second, const Endpoint& to, const LocalAddress&) override;
  Carrier& carrier;
  Meter* meter;
  Endpoint own;
};

struct MulticastOutlet final : node::MulticastOutlet {
  MulticastOutlet(Carrier& c, Meter* m, std::size_t n) : carrier(c), meter(m), node(n) {}
  void send_multicast(Bytes datagram, Time now) override;
  Carrier& carrier;
  Meter* meter;
  std::size_t node;
};

/// A node's process.
struct NodeProcess {
  explicit NodeProcess(std::uint64_t seed) : random(seed) {}
  SeededRandom random;  // outlives the agents
  crypto::MacKey token_key;
  std::unique_ptr<Outlet> outlet;
  std::unique_ptr<MulticastOutlet> multicast;
  std::unique_ptr<Uplinks> uplinks;
  std::unique_ptr<Uplinks> align_links;  // one a group, all to the node's other origin; null: it has none
  std::vector<std::unique_ptr<WorkerAgent>> workers;
  std::unique_ptr<node::Feed> feed;
};

/// A datagram on its way.
struct Packet {
  Endpoint from, to;
  Datagram bytes;
};

struct NodeHost {
  std::size_t index = 0;
  NodeSpec spec;
  crypto::PrivateKey key;
  crypto::PublicKey public_key{};
  std::vector<node::Origin::SaveJob> stored;  // by group: what an origin has on its disk
  std::unique_ptr<NodeProcess> process;       // null: it does not run
  Time started, ended = kNever;               // of its last process, and of the last that ended, if any
  bool stalled = false;                       // its workers get no time on a processor, and hear nothing
  bool unplugged = false;                     // no RTP comes to it
  bool stopped = false;                       // SIGSTOP: nothing runs, what comes waits in its sockets
  std::vector<Packet> waiting;
  Host host() const { return {true, static_cast<std::uint32_t>(index)}; }
  bool running() const { return process && !stopped; }
  /// Of its process's groups that one; null: it carries it not.
  const node::FeedGroup* carried(GroupId id) const {
    for (const auto& group : process->feed->groups())
      if (group->group.id == id) return group.get();
    return nullptr;
  }
};

struct ListenerHost {
  explicit ListenerHost(std::uint64_t seed) : random(seed) {}
  std::size_t index = 0;
  ListenerSpec spec;
  SeededRandom random;
  std::unique_ptr<Uplinks> uplinks;
  std::unique_ptr<node::Listener> agent;  // null: it is gone
  bool stopped = false;
  std::vector<Packet> waiting;
  Host host() const { return {false, static_cast<std::uint32_t>(index)}; }
  bool running() const { return agent && !stopped; }
};

}  // namespace tiercast::sim
