// A whole tree in one thread on one virtual clock: the real agents, with a network between them that does what a seed
// says. One seed gives one history, byte for byte. Nothing here decides what an agent decides.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>

#include "relay/sim/agents.hpp"
#include "relay/sim/network.hpp"
#include "relay/sim/timers.hpp"

namespace tiercast::sim {

/// Something that must never happen did.
struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class World;

/// Who looks on. Changes nothing; may throw Violation.
class Observer {
 public:
  virtual ~Observer() = default;
  /// It leaves.
  virtual void on_sent(const Endpoint& /*from*/, const Endpoint& /*to*/, Bytes /*datagram*/) {}
  /// The network lost it.
  virtual void on_lost(const Endpoint& /*from*/, const Endpoint& /*to*/, Bytes /*datagram*/) {}
  /// It reached a process that runs.
  virtual void on_arrived(const Packet& /*packet*/) {}
  virtual void on_played(std::size_t /*listener*/, const receive::Played& /*played*/) {}
};

class World : public Carrier {
 public:
  struct Config {
    std::uint64_t seed = 1;
    std::vector<GroupSpec> groups{{}};
    std::size_t nodes = 16;          // that may ever be added; their keys are made at once
    std::size_t worker_ring = 4096;  // commands, and reports, that wait at most
    Meter* meter = nullptr;          // outlives the world
  };
  explicit World(Config config);
  ~World() override;

  // --- who is there ---
  /// Started at once; its number.
  std::size_t add(const NodeSpec& spec);
  std::size_t listen(const ListenerSpec& spec);
  std::size_t nodes() const { return added_; }
  std::size_t listeners() const { return listeners_.size(); }

  // --- time ---
  void run(Duration d);
  /// Called once, when that time has come, before anything else of that moment.
  void at(Time when, std::function<void()> action);
  Time time() const { return now_; }
  /// By clocks that run true.
  Moment now() const { return Clock{}.at(now_); }
  /// Turns of the event loop so far.
  std::uint64_t events() const { return events_; }

  // --- the encoder: one RTP packet a frame to every origin ---
  void talk(bool on) { talking_ = on; }
  /// Another SSRC and other timestamps from now on.
  void new_encoder() {
    for (Speech& speech : speeches_) speech.new_encoder();
  }
  /// None of its RTP comes to that origin.
  void unplug(std::size_t origin, bool on) { nodes_[origin]->unplugged = on; }
  /// Its crystal is so much faster than true time.
  void set_encoder_drift(std::int64_t ppm) { encoder_ppm_ = ppm; }
  const Speech& speech(std::size_t group) const { return speeches_[group]; }

  // --- what happens to processes ---
  /// Gone without a word. What it stored is kept until restart(), as a dead process's state directory is.
  void kill(std::size_t node);
  void restart(std::size_t node);
  /// With another configuration.
  void restart(std::size_t node, const NodeSpec& spec);
  /// Tells those below to go elsewhere, and serves them on.
  void drain(std::size_t node, Duration over = std::chrono::seconds{10});
  /// As kill(), but with goodbyes to all around.
  void stop(std::size_t node);
  /// SIGSTOP and SIGCONT: what comes meanwhile waits in its sockets as far as there is room.
  void pause(std::size_t node, bool on);
  void pause_listener(std::size_t listener, bool on);
  /// Its workers get no time on a processor, and hear nothing.
  void stall(std::size_t node, bool on);
  /// One of them.
  void stall_worker(std::size_t node, std::size_t worker, bool on);
  void kill_listener(std::size_t listener);
  /// Its wall clock goes so much forward at once; the monotonic one, and time, do not.
  void step_wall_clock(Host host, Duration by);
  /// Its NAT gives it another port.
  void move_listener(std::size_t listener);

  // --- what a reload does, while it runs ---
  /// False: not while one of that id leaves.
  bool carry(std::size_t node, std::size_t group);
  void carry_no_more(std::size_t node, std::size_t group);
  void add_parent(std::size_t node, std::size_t parent);
  void retire_parent(std::size_t node, std::size_t parent);
  /// Of a node's [[downstream]].
  void allow(std::size_t node, const std::vector<std::size_t>& relays);
  /// Its source takes a new epoch, as soon as all have it.
  void rotate(std::size_t node, std::size_t group);
  /// Its workers are told of what history has under that number, as of a PARITY from a parent.
  void tell_opaque(std::size_t node, std::uint64_t number);

  // --- the network ---
  Network network;
  bool refuses = false;  // who sends to nobody is told (ICMP)
  /// True: this one is lost.
  std::function<bool(const Endpoint& from, const Endpoint& to, Bytes datagram)> drops;
  void send(const Endpoint& from, const Endpoint& to, Bytes datagram) override;
  void send_multicast(std::size_t node, Bytes datagram) override;
  std::uint64_t datagrams = 0;   // that anybody sent
  std::uint64_t multicasts = 0;  // IP multicast datagrams, each once however many take it
  /// Outlives the world, or is none.
  void watch(Observer* observer) { observers_.push_back(observer); }

  // --- looking ---
  const NodeHost& node_host(std::size_t n) const { return *nodes_[n]; }
  const ListenerHost& listener_host(std::size_t l) const { return *listeners_[l]; }
  /// Of one that runs or is paused.
  node::Feed& feed(std::size_t n) { return *nodes_[n]->process->feed; }
  node::Listener& listener(std::size_t l) { return *listeners_[l]->agent; }
  const std::vector<GroupSpec>& groups() const { return groups_; }
  crypto::PublicKey key_of(std::size_t node) const { return nodes_[node]->public_key; }

 protected:
  NodeProcess& process(std::size_t n) const { return *nodes_[n]->process; }
  /// What must be on disk is there at once, and the rings are emptied both ways until there is nothing more to say.
  void settle(std::size_t n);

 private:
  struct UnderWay {
    Time at;
    std::uint64_t order;  // of equal times the first sent comes first
    std::uint32_t packet;
    bool operator<(const UnderWay& other) const { return at != other.at ? at > other.at : order > other.order; }
  };
  struct Action {
    Time at;
    std::uint64_t order;
    std::function<void()> call;
    bool operator<(const Action& other) const { return at != other.at ? at > other.at : order > other.order; }
  };
  static constexpr std::size_t kWaiting = 512;  // datagrams that a paused process's sockets hold

  // world_processes.cpp
  void start(NodeHost& node);
  std::unique_ptr<node::FeedGroup> make_group(NodeHost& node, std::size_t g);
  /// (id, public key) of all its sources.
  template <class Source>
  std::vector<Source> sources_of(std::size_t g, const crypto::PrivateKey& first) const {
    std::vector<Source> out{{SourceId{1}, crypto::signing_public_key(first)}};
    if (groups_[g].sources > 1) out.push_back({SourceId{2}, crypto::signing_public_key(standby_signing_[g])});
    return out;
  }
  void save_state(NodeHost& node);
  node::EdgeKeys edge_keys(bool known) const;

  // world.cpp
  Moment moment(const NodeHost& node) const { return node.spec.clock.at(now_); }
  void deliver(const Packet& packet);
  void deliver_multicast(const Packet& packet);
  void deliver_to_node(NodeHost& node, const Packet& packet);
  void deliver_to_listener(ListenerHost& listener, const Packet& packet);
  void unreachable(const Packet& packet);
  void drain(ListenerHost& listener);
  void settle(NodeHost& node);
  void set_timers(NodeHost& node);
  void set_timer(ListenerHost& listener);
  void run_timer(std::uint32_t id);
  void speak();
  Time next_event() const;
  /// Of the first of these, for a person.
  std::string whose_deadline(const std::vector<std::uint32_t>& ids) const;

  const std::uint64_t seed_;
  const std::vector<GroupSpec> groups_;
  const std::size_t ring_;
  Meter* const meter_;
  SeededRandom encoder_random_;
  std::vector<crypto::PrivateKey> signing_, standby_signing_;  // by group
  crypto::PrivateKey impostor_;
  std::vector<std::unique_ptr<NodeHost>> nodes_;
  std::vector<std::unique_ptr<ListenerHost>> listeners_;
  std::size_t added_ = 0;
  std::uint64_t boots_ = 0;
  std::vector<Observer*> observers_;

  Time now_ = kBegin;
  std::uint64_t order_ = 0, events_ = 0;
  std::vector<UnderWay> under_way_;  // a heap
  std::vector<Packet> packets_;      // what is under way, by number
  std::vector<std::uint32_t> free_packets_;
  std::vector<Action> actions_;  // a heap
  Timers timers_;                // the feed and workers of each node, then the listeners
  std::vector<std::uint32_t> due_;
  bool talking_ = true;
  std::int64_t encoder_ppm_ = 0;
  std::vector<Time> next_rtp_;
  std::vector<Speech> speeches_;
};

}  // namespace tiercast::sim
