#include "relay/sim/runner/trial.hpp"

#include <algorithm>
#include <set>

#include "relay/sim/history.hpp"
#include "relay/sim/invariants.hpp"
#include "relay/sim/paths.hpp"
#include "relay/sim/runner/memory.hpp"
#include "relay/sim/runner/tracer.hpp"

namespace tiercast::sim {
namespace {

constexpr Duration kLookEvery = 20ms;
constexpr Duration kTallyEvery = 500ms;
constexpr std::uint64_t kMostEvents = 20'000'000;
constexpr Duration kAgain = 500ms;

class Trial {
 public:
  explicit Trial(const Scenario& scenario)
      : scenario_(scenario),
        world_({.seed = scenario.seed,
                .groups = scenario.groups,
                .nodes = scenario.nodes.size(),
                .worker_ring = 512,
                .meter = &memory_}),
        sinks_(world_),
        leases_(world_),
        paths_(world_, scenario.way),
        tallies_(world_) {
    for (Observer* observer : std::initializer_list<Observer*>{&sealing_, &sinks_, &leases_, &paths_})
      world_.watch(observer);
    world_.network.base = scenario.base;
    world_.drops = [this](const Endpoint& from, const Endpoint&, Bytes) {
      return from.port == kMulticastPort && multicast_lost_.contains(host_of(from).index);
    };
    world_.refuses = scenario.refuses;
    world_.set_encoder_drift(scenario.encoder_ppm);
    for (const NodeSpec& spec : scenario.nodes) world_.add(spec);
    for (const ListenerSpec& spec : scenario.listeners) world_.listen(spec);
    for (const Fault& fault : scenario.faults) {
      world_.at(kBegin + fault.from, [this, &fault] { begin(fault); });
      world_.at(kBegin + fault.from + fault.length, [this, &fault] { end(fault); });
    }
    look();
    count();
  }

  void go(Outcome& outcome, const RunOptions& options) {
    History history{world_};
    if (options.digest) world_.watch(&history);
    Tracer tracer{world_, options.traced.value_or(Host{})};
    if (options.traced) world_.watch(&tracer);
    const Duration whole = scenario_.warm_up + scenario_.faulty + scenario_.rest;
    try {
      while (world_.time() < kBegin + whole) {
        world_.run(std::min<Duration>(1s, kBegin + whole - world_.time()));
        if (world_.events() > kMostEvents) throw Violation{"no end of events: somebody is busy with nothing"};
      }
      if (scenario_.calm && scenario_.base.clean()) {
        paths_.expect_all();
        tallies_.expect_exact();
      }
    } catch (const std::exception& e) {
      outcome.violation = e.what();
      outcome.at = world_.time() - kBegin;
    }
    if (options.traced) tracer.tell_counters();
    outcome.ran = world_.time() - kBegin;
    outcome.processes = world_.nodes() + world_.listeners();
    outcome.datagrams = world_.datagrams;
    outcome.frames = sinks_.frames();
    outcome.lost = sinks_.lost();
    outcome.owed = paths_.owed();
    if (options.digest) outcome.history = history.finish();
  }

 private:
  void look() {
    paths_.look();
    world_.at(world_.time() + kLookEvery, [this] { look(); });
  }
  void count() {
    tallies_.look();
    memory_.check(world_.nodes() * scenario_.groups.size());
    world_.at(world_.time() + kTallyEvery, [this] { count(); });
  }
  bool runs(Host node) const { return world_.node_host(node.index).running(); }
  bool parent_of(const Fault& f) {
    return world_.node_host(f.who.index).process->uplinks->parent_of(f.other.index).has_value();
  }

  void begin(const Fault& f) {
    using enum FaultKind;
    const std::size_t n = f.who.index;
    switch (f.kind) {
      case kill: return world_.kill(n);
      case pause: return world_.pause(n, true);
      case pause_listener: return world_.pause_listener(n, true);
      case stall: return world_.stall(n, true);
      case link: {
        world_.network.set(f.who, f.other, f.model);
        if (f.both) world_.network.set(f.other, f.who, f.model);
        return;
      }
      case network: world_.network.base = f.model; return;
      case partition:
        for (const Host host : f.side) world_.network.put_on_side(host, 1);
        return;
      case move: world_.move_listener(n); return paths_.disturb(f.who);
      case leave: return world_.kill_listener(n);
      case come: world_.listen(f.listener); return;
      case quiet: return world_.talk(false);
      case rotate:
        if (runs(f.who)) world_.rotate(n, f.group);
        return;
      case drop_group:
        if (runs(f.who)) world_.carry_no_more(n, f.group);
        return;
      case retire:
        if (runs(f.who) && world_.node_host(n).process->uplinks->count() > 1 && parent_of(f))
          world_.retire_parent(n, f.other.index);
        return;
      case forbid:
        if (runs(f.who)) world_.allow(n, {});
        return;
      case drain:
        if (runs(f.who)) world_.drain(n, f.length);
        return;
      case unplug: return world_.unplug(n, true);
      case step: return world_.step_wall_clock(f.who, f.by);
      case multicast_lost: multicast_lost_.insert(n); return;
    }
  }

  void end(const Fault& f) {
    using enum FaultKind;
    const std::size_t n = f.who.index;
    const auto again = [&] { world_.at(world_.time() + kAgain, [this, &f] { end(f); }); };
    switch (f.kind) {
      case kill:
        if (!world_.node_host(n).process) world_.restart(n);
        return;
      case drain:
        if (!world_.node_host(n).process) return;
        if (!runs(f.who)) return again();  // paused
        world_.stop(n);
        return world_.at(world_.time() + kAgain, [this, n] {
          if (!world_.node_host(static_cast<std::uint32_t>(n)).process) world_.restart(n);
        });
      case pause: return world_.pause(n, false);
      case pause_listener: return world_.pause_listener(n, false);
      case stall: return world_.stall(n, false);
      case link: world_.network.forget_links(); return;
      case network: world_.network.base = scenario_.base; return;
      case partition: return world_.network.heal_partition();
      case quiet: return world_.talk(true);
      case drop_group: {
        if (!runs(f.who)) return again();
        for (const auto& group : world_.feed(n).groups())
          if (group->group.id == scenario_.groups[f.group].id) return;
        if (!world_.carry(n, f.group)) again();
        return;
      }
      case retire:
        if (!runs(f.who)) return again();
        if (!parent_of(f)) return world_.add_parent(n, f.other.index);
        if (world_.feed(n).retiring(*world_.node_host(n).process->uplinks->parent_of(f.other.index))) again();
        return;
      case forbid: {
        if (!runs(f.who)) return again();
        std::vector<std::size_t> all(world_.nodes());
        for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
        return world_.allow(n, all);
      }
      case unplug: return world_.unplug(n, false);
      case step:
        if (f.both) world_.step_wall_clock(f.who, -f.by);
        return;
      case multicast_lost: multicast_lost_.erase(n); return;
      case move:
      case leave:
      case come:
      case rotate: return;
    }
  }

  const Scenario& scenario_;
  std::set<std::size_t> multicast_lost_;
  Memory memory_;
  World world_;
  Sealing sealing_;
  Sinks sinks_;
  Leases leases_;
  Paths paths_;
  Tallies tallies_;
};

}  // namespace

Outcome run(const Scenario& scenario, const RunOptions& options) {
  Outcome outcome;
  Trial trial{scenario};
  trial.go(outcome, options);
  return outcome;
}

}  // namespace tiercast::sim
