// A whole tree in one thread on one virtual clock: the real feeds, workers and listeners, with a network between them
// that loses, delays and remembers what a test says. Nothing here decides what an agent decides.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "relay/node/feed.hpp"
#include "relay/node/listener.hpp"
#include "relay/node/worker.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::test {

using Datagram = std::vector<std::uint8_t>;

struct GroupSpec {
  GroupId id{7};
  std::uint8_t frame_ms = 20;
};
struct NodeSpec {
  std::vector<std::size_t> parents{};    // nodes
  std::vector<std::size_t> multicast{};  // of these, those whose IP multicast it takes
  bool sends_multicast = false;
  bool origin = false;    // of all its groups
  bool impostor = false;  // an origin, but what it signs with is not the source's key
  bool pinned = false;
  std::vector<std::size_t> groups{};  // of the tree's; none: all
  unsigned workers = 1;
  std::uint32_t max_leases = 256;
  Duration datagram_takes{};  // to a listener: what its workers measure
};
struct ListenerSpec {
  std::vector<std::size_t> parents{};    // nodes
  std::vector<std::size_t> multicast{};  // of these, those whose IP multicast it takes
  std::size_t group = 0;
  bool strict = false;
};

class VirtualTree {
 public:
  explicit VirtualTree(std::uint64_t seed = 1, std::vector<GroupSpec> groups = {{}});
  ~VirtualTree();

  std::size_t add(const NodeSpec& spec);
  std::size_t listen(const ListenerSpec& spec);
  void run(Duration d);
  /// The encoder sends one RTP packet a frame to every origin (on from the start).
  void talk(bool on) { talking_ = on; }

  /// Gone without a word. Its memory is kept until restart(), as a dead process's state directory is.
  void kill(std::size_t node);
  void restart(std::size_t node);
  // --- what a reload does, while it runs ---
  /// False: not while one of that id leaves.
  bool carry(std::size_t node, std::size_t group);
  void carry_no_more(std::size_t node, std::size_t group);
  void add_parent(std::size_t node, std::size_t parent);
  void retire_parent(std::size_t node, std::size_t parent);
  /// Of a node's [[downstream]], all nodes at first.
  void allow(std::size_t node, const std::vector<std::size_t>& relays);

  /// Its workers are told of what history has under that number, as of a PARITY from a parent.
  void tell_opaque(std::size_t node, std::uint64_t number);

  /// Its workers get no time on a processor, and hear nothing.
  void stall(std::size_t node, bool on);
  /// One of them.
  void stall_worker(std::size_t node, std::size_t worker, bool on);
  void kill_listener(std::size_t listener);
  /// Its NAT gives it another port.
  void move_listener(std::size_t listener);

  // --- the network ---
  double lost = 0;  // of every link's datagrams
  Duration delay = 5ms;
  bool refuses = false;  // who sends to nobody is told (ICMP)
  /// True: this one is lost.
  std::function<bool(const Endpoint& from, const Endpoint& to, Bytes datagram)> drops;
  void send(const Endpoint& from, const Endpoint& to, Bytes datagram);
  /// To all who take that node's IP multicast, each over a way of its own.
  void send_multicast(std::size_t node, Bytes datagram);
  static Endpoint address_of(std::size_t node);
  /// Where its IP multicast leaves from, and where it comes to at one who takes it.
  static Endpoint multicast_of(std::size_t node);
  static Endpoint node_multicast(std::size_t node, std::size_t parent);
  static Endpoint listener_multicast(std::size_t listener, std::size_t parent);
  crypto::PublicKey key_of(std::size_t node) const;
  static Endpoint uplink_of(std::size_t node, std::size_t parent);
  Endpoint listener_address(std::size_t listener, std::size_t parent) const;
  std::uint64_t datagrams = 0;   // that anybody sent
  std::uint64_t multicasts = 0;  // IP multicast datagrams, each once however many take it

  // --- looking ---
  node::Feed& feed(std::size_t n);
  node::FeedGroup& group(std::size_t n, std::size_t g = 0) { return *feed(n).groups()[g]; }
  /// Destinations in a worker's fan-out table.
  std::size_t destinations(std::size_t n, std::size_t w = 0, std::size_t g = 0) const;
  const node::WorkerCounters& worker_counters(std::size_t n, std::size_t w = 0) const;
  const node::Passage& passage(std::size_t n, std::size_t w = 0) const;
  node::Listener& listener(std::size_t l);
  Moment now() const;
  std::uint64_t counter(std::size_t node, const std::string& name);
  std::uint64_t listener_counter(std::size_t listener, const std::string& name);
  /// What the nodes' agents (not the listeners', nor this network) asked of operator new so far.
  std::uint64_t allocations = 0;

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
  struct WorkerAgent;
  struct Agents;
  struct Node;
  struct Outlet;
  struct FanOut;
  struct Uplinks;
  struct MulticastOutlet;
  struct ListenerNode;
  struct Packet {
    Endpoint from, to;
    Datagram bytes;
  };
  void start(Node& node);
  std::unique_ptr<node::FeedGroup> make_group(Node& node, std::size_t g);
  void deliver(const Packet& packet);
  void deliver_multicast(const Packet& packet);
  void deliver_to_node(Node& node, const Packet& packet);
  void unreachable(const Packet& packet);
  void settle(Node& node);
  void drain(ListenerNode& listener);
  void run_timers();
  void send_rtp();
  Time next_event() const;
  template <class F>
  void counted(F&& call);
  void watch(const Endpoint& from, const Endpoint& to, Bytes datagram);

  SeededRandom random_, network_random_;
  std::vector<GroupSpec> groups_;
  std::vector<crypto::PrivateKey> signing_;
  crypto::PrivateKey impostor_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::unique_ptr<ListenerNode>> listeners_;
  std::multimap<Time, Packet> under_way_;
  std::map<std::pair<std::uint32_t, std::uint64_t>, Datagram> sealed_;  // by group and sequence
  Time now_{1h};
  std::uint64_t outside_ = 0;  // allocations of this network within agents' calls
  bool talking_ = true;
  std::vector<Time> next_rtp_;
  std::vector<std::vector<Datagram>> sent_;  // by group, by number
  std::size_t boots_ = 0;
};

}  // namespace tiercast::test
