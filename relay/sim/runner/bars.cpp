#include "relay/sim/runner/bars.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <set>

#include "relay/sim/invariants.hpp"

namespace tiercast::sim {
namespace {

using Counts = std::vector<std::size_t>;

std::string text(const char* format, auto... values) {
  std::array<char, 300> buffer{};
  std::snprintf(buffer.data(), buffer.size(), format, values...);
  return buffer.data();
}

/// What all of them have sent again, and NACKs that reached one.
std::uint64_t resend_sum(const World& world, std::size_t n, Counter node::ResendCounters::*which) {
  std::uint64_t sum = 0;
  for (const auto& worker : world.node_host(n).process->workers)
    sum += (worker->worker->resend_counters().*which).get();
  return sum;
}

/// FRAMEs that the network lost.
struct LostFrames final : Observer {
  void on_lost(const Endpoint&, const Endpoint&, Bytes datagram) override {
    count += wire::Type{datagram[0]} == wire::Type::frame ? 1 : 0;
  }
  std::uint64_t count = 0;
};

// --- loss ---

struct Lossy {
  LinkModel link;
  bool two_parents = false;
  double played_at_least = 0;
  double resent_at_most = 0;  // of the lost ones; 0: any
};

/// Three tiers of lossy links, 10 ms each: regional relays, edges, listeners. With two parents everywhere the first
/// tier's are two relays beside the origin, to which links are clean.
bool lossy(const Lossy& of, std::uint64_t seeds) {
  constexpr Duration kFor = 60s;
  std::uint64_t frames = 0, lost = 0, resent = 0, lost_datagrams = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    World world{{.seed = seed, .nodes = 20}};
    Sealing sealing;
    Sinks sinks{world};
    LostFrames losses;
    world.watch(&sealing);
    world.watch(&sinks);
    world.watch(&losses);
    world.network.base.delay = 10ms;
    Counts above{world.add({.origin = true})};
    if (of.two_parents) {
      const std::size_t origin = above[0];
      above.clear();
      for (int i = 0; i < 2; ++i) above.push_back(world.add({.parents = {origin}, .pinned = true}));
      LinkModel clean;
      clean.delay = 1ms;
      for (const std::size_t n : above)
        world.network.set_both({true, static_cast<std::uint32_t>(n)}, {true, static_cast<std::uint32_t>(origin)},
                               clean);
    }
    const auto parents = [&](std::size_t i) {
      Counts out{above[i % above.size()]};
      if (of.two_parents) out.push_back(above[(i + 1) % above.size()]);
      return out;
    };
    for (const std::size_t width : {3, 6}) {
      Counts here;
      for (std::size_t i = 0; i < width; ++i) here.push_back(world.add({.parents = parents(i), .pinned = true}));
      above = here;
    }
    world.run(2s);
    for (std::size_t i = 0; i < 18; ++i) world.listen({.parents = parents(i)});
    world.run(2s);
    world.network.base = of.link;
    world.network.base.delay = 10ms;
    const std::uint64_t before = sinks.frames(), before_lost = sinks.lost();
    const auto resent_now = [&] {
      std::uint64_t sum = 0;
      for (std::size_t n = 0; n < world.nodes(); ++n) sum += resend_sum(world, n, &node::ResendCounters::resent);
      return sum;
    };
    const std::uint64_t before_resent = resent_now();
    losses.count = 0;
    world.run(kFor);
    frames += sinks.frames() - before;
    lost += sinks.lost() - before_lost;
    resent += resent_now() - before_resent;
    lost_datagrams += losses.count;
  }
  const double due = static_cast<double>(seeds) * 18 * static_cast<double>(kFor / 20ms);
  const double played = static_cast<double>(frames) / static_cast<double>(frames + lost);
  const double ratio = static_cast<double>(resent) / static_cast<double>(std::max<std::uint64_t>(lost_datagrams, 1));
  std::printf("  %.4f %% of %llu frames played, %llu lost; %llu resent for %llu that the links lost: %.3f\n",
              100 * played, static_cast<unsigned long long>(frames + lost), static_cast<unsigned long long>(lost),
              static_cast<unsigned long long>(resent), static_cast<unsigned long long>(lost_datagrams), ratio);
  return static_cast<double>(frames + lost) > 0.99 * due && played >= of.played_at_least &&
         (of.resent_at_most == 0 || ratio <= of.resent_at_most);
}

// --- one of two parents ---

enum class Fate : std::uint8_t { killed, stopped, cut };

/// The longest time between two FRAMEs that reached a listener.
struct Arrivals final : Observer {
  explicit Arrivals(const World& w) : world(w) {}
  void on_arrived(const Packet& packet) override {
    const Host to = host_of(packet.to);
    if (to.node || wire::Type{packet.bytes[0]} != wire::Type::frame) return;
    if (last.size() <= to.index) last.resize(to.index + 1, kNever);
    if (last[to.index] != kNever) longest = std::max(longest, world.time() - last[to.index]);
    last[to.index] = world.time();
  }
  const World& world;
  std::vector<Time> last;
  Duration longest{};
};

/// With one live parent the other stands by, at the edge and at the listeners; 20 ms frames, 10 ms there and back.
bool parent_lost(Fate fate, std::uint64_t seeds, std::size_t live = 2) {
  std::uint64_t whole = 0, lost = 0;
  Duration longest{};
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    SeededRandom random = SeededRandom::of(seed, 5);
    World world{{.seed = seed, .nodes = 4}};
    Sinks sinks{world};
    world.watch(&sinks);
    world.network.base.delay = 5ms;
    const auto origin = world.add({.origin = true});
    const auto a = world.add({.parents = {origin}, .pinned = true});
    const auto b = world.add({.parents = {origin}, .pinned = true});
    const auto edge = world.add({.parents = {a, b}, .pinned = true, .live = live});
    world.run(1s);
    for (int i = 0; i < 50; ++i) world.listen({.parents = {a, b}, .playout = 200ms, .live = live});
    for (int i = 0; i < 50; ++i) world.listen({.parents = {edge}, .playout = 200ms});
    world.run((live == 1 ? 7500ms : 2500ms) + random.up_to(1s));
    Arrivals arrivals{world};
    world.watch(&arrivals);
    const std::uint64_t before = sinks.frames() + sinks.lost();
    if (fate == Fate::killed) world.kill(a);
    if (fate == Fate::stopped) world.pause(a, true);
    if (fate == Fate::cut) world.network.put_on_side({true, static_cast<std::uint32_t>(a)}, 1);
    world.run(3s);
    lost += sinks.lost();
    longest = std::max(longest, arrivals.longest);
    whole += sinks.lost() == 0 && sinks.frames() - before > 100 * 145 ? 1 : 0;
  }
  std::printf(
      "  no frame lost by any of 100 listeners in %llu of %llu; %llu lost; %lld ms between two arrivals at most\n",
      static_cast<unsigned long long>(whole), static_cast<unsigned long long>(seeds),
      static_cast<unsigned long long>(lost), static_cast<long long>(longest / 1ms));
  return whole == seeds && longest <= 200ms;
}

// --- NACKs ---

bool one_nack(std::uint64_t seeds) {
  std::uint64_t least = ~std::uint64_t{0}, most = 0, lost = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    World world{{.seed = seed, .nodes = 3}};
    Sinks sinks{world};
    world.watch(&sinks);
    const auto origin = world.add({.origin = true});
    const auto parent = world.add({.parents = {origin}, .pinned = true});
    const auto edge = world.add({.parents = {parent}, .pinned = true, .max_leases = 1100});
    world.run(1s);
    for (int i = 0; i < 1000; ++i) world.listen({.parents = {edge}});
    world.run(3s);
    const std::uint64_t before = resend_sum(world, parent, &node::ResendCounters::nacks);
    const std::uint64_t lost_before = sinks.lost();
    std::optional<Sequence> gone;
    world.drops = [&](const Endpoint& from, const Endpoint& to, Bytes datagram) {
      const auto header = wire::parse_header(datagram);
      if (!header || header->type != wire::Type::frame || host_of(from).index != parent || host_of(to).index != edge)
        return false;
      const bool first = !gone;
      if (first) gone = header->sequence;
      return first;
    };
    world.run(1s);
    const std::uint64_t nacks = resend_sum(world, parent, &node::ResendCounters::nacks) - before;
    least = std::min(least, nacks);
    most = std::max(most, nacks);
    lost += sinks.lost() - lost_before;
  }
  std::printf("  %llu to %llu NACKs reached the edge's parent; %llu frames lost\n",
              static_cast<unsigned long long>(least), static_cast<unsigned long long>(most),
              static_cast<unsigned long long>(lost));
  return least >= 1 && most <= 2 && lost == 0;
}

// --- a dead origin ---

/// Joins by whom, and by the second.
struct Joins final : Observer {
  explicit Joins(const World& w) : world(w) {}
  void on_sent(const Endpoint& from, const Endpoint&, Bytes datagram) override {
    const auto type = wire::Type{datagram[0]};
    if (type != wire::Type::hello && type != wire::Type::join) return;
    const auto second = (world.time() - since) / 1s;
    if (type == wire::Type::hello) ++hellos[second];
    if (type == wire::Type::join) {
      ++joins[second];
      ++by[host_of(from)];
    }
  }
  static std::uint64_t most(const std::map<std::int64_t, std::uint64_t>& of) {
    std::uint64_t out = 0;
    for (const auto& [second, count] : of) out = std::max(out, count);
    return out;
  }
  const World& world;
  Time since;
  std::map<std::int64_t, std::uint64_t> hellos, joins;
  std::map<Host, std::uint64_t> by;
};

bool stampede(std::uint64_t seeds) {
  constexpr std::size_t kRegional = 10, kEdges = 300, kAll = 10'000;
  constexpr std::size_t kNodes = 1 + kRegional + kEdges;
  bool good = true;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    World world{{.seed = seed, .groups = {{GroupId{7}, 60}}, .nodes = kNodes, .worker_ring = 256}};
    Sinks sinks{world};
    world.watch(&sinks);
    Counts regional, edges;
    for (std::size_t i = 0; i < kRegional; ++i) regional.push_back(1 + i);
    for (std::size_t i = 0; i < kEdges; ++i) edges.push_back(1 + kRegional + i);
    const auto children = [&](std::size_t r) {
      Counts out;
      for (std::size_t i = r; i < kEdges; i += kRegional) out.push_back(edges[i]);
      return out;
    };
    const auto origin = world.add({.origin = true, .max_leases = 16, .downstreams = regional});
    for (std::size_t r = 0; r < kRegional; ++r)
      world.add({.parents = {origin}, .pinned = true, .max_leases = 48, .downstreams = children(r)});
    for (std::size_t i = 0; i < kEdges; ++i)
      world.add({.parents = {regional[i % kRegional]}, .pinned = true, .max_leases = 64, .downstreams = Counts{}});
    world.run(1s);
    for (std::size_t i = 0; i < kAll - kNodes; ++i) world.listen({.parents = {edges[i % kEdges]}});
    world.run(5s);
    const std::uint64_t heard = sinks.frames();
    Joins joins{world};
    joins.since = world.time();
    world.watch(&joins);
    world.kill(origin);
    world.run(15s);
    const std::uint64_t while_dead = joins.by.size();
    world.restart(origin);
    world.run(4s);
    const std::uint64_t before = sinks.frames();
    world.run(2s);
    std::uint64_t most = 0, all = 0;
    for (const auto& [host, count] : joins.by) {
      most = std::max(most, count);
      all += count;
    }
    const double again = static_cast<double>(sinks.frames() - before) / static_cast<double>((kAll - kNodes) * 33);
    std::printf(
        "  %llu joins by its silence of 15 s and its return, %llu hosts joined while it was dead, %llu a host and %llu "
        "a "
        "second at most; %llu HELLOs a second at most; %.1f %% of frames heard again from 4 s after its return on "
        "(%llu "
        "frames before)\n",
        static_cast<unsigned long long>(all), static_cast<unsigned long long>(while_dead),
        static_cast<unsigned long long>(most), static_cast<unsigned long long>(Joins::most(joins.joins)),
        static_cast<unsigned long long>(Joins::most(joins.hellos)), 100 * again,
        static_cast<unsigned long long>(heard));
    good = good && most <= 1 && again > 0.97;
  }
  return good;
}

// --- clocks ---

bool drift(std::uint64_t seeds) {
  bool good = true;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const std::int64_t ppm = seed % 2 == 0 ? -500 : 500;
    World world{{.seed = seed, .groups = {{GroupId{7}, 60}}, .nodes = 2}};
    Sinks sinks{world};
    world.watch(&sinks);
    world.set_encoder_drift(ppm);
    const auto origin = world.add({.origin = true, .clock = {.drift_ppm = -ppm / 5}});
    const auto edge = world.add({.parents = {origin}, .pinned = true, .clock = {.drift_ppm = ppm / 5}});
    world.listen({.parents = {edge}, .clock = {.drift_ppm = -ppm / 5}});
    constexpr Duration kFor = 3h;
    world.run(kFor);
    const double due = static_cast<double>(world.speech(0).spoken());
    std::printf("  3 h at %+lld ppm of the encoder: %llu of %.0f packets played, %llu lost\n",
                static_cast<long long>(ppm), static_cast<unsigned long long>(sinks.frames()), due,
                static_cast<unsigned long long>(sinks.lost()));
    good = good && sinks.lost() == 0 && static_cast<double>(sinks.frames()) > due - 20 &&
           static_cast<double>(sinks.frames()) < due + 20;
  }
  return good;
}

LinkModel losing(double share) {
  LinkModel link;
  link.loss = share;
  return link;
}

struct Bar {
  const char* name;
  const char* asks;
  std::uint64_t seeds;
  bool (*run)(std::uint64_t seeds);
};
constexpr std::array kBars{
    Bar{"loss-5", "5 % loss on every link of three tiers, one parent each: 99.99 % played, resent/lost at most 1.25", 4,
        [](std::uint64_t n) {
          return lossy({losing(0.05), false, 0.9999, 1.25}, n);
        }},
    Bar{"loss-20", "20 % loss on every link of three tiers, two parents each: 99.9 % played", 2,
        [](std::uint64_t n) {
          return lossy({losing(0.20), true, 0.999, 0}, n);
        }},
    Bar{"bursts", "bursts of 5 in the mean, 5 % of all, one parent each: 99.9 % played", 4,
        [](std::uint64_t n) {
          return lossy({LinkModel::bursty(0.05, 5, 10ms), false, 0.999, 0}, n);
        }},
    Bar{"parent-killed", "one of two live parents killed: nobody loses a frame", 50,
        [](std::uint64_t n) { return parent_lost(Fate::killed, n); }},
    Bar{"parent-stopped", "one of two live parents stopped: nobody loses a frame", 50,
        [](std::uint64_t n) { return parent_lost(Fate::stopped, n); }},
    Bar{"parent-cut", "one of two live parents cut off: nobody loses a frame", 50,
        [](std::uint64_t n) { return parent_lost(Fate::cut, n); }},
    Bar{"standby-killed", "the only live parent killed, another one stands by: nobody loses a frame, 200 ms at most",
        50, [](std::uint64_t n) { return parent_lost(Fate::killed, n, 1); }},
    Bar{"standby-stopped", "likewise, stopped", 50, [](std::uint64_t n) { return parent_lost(Fate::stopped, n, 1); }},
    Bar{"standby-cut", "likewise, cut off", 50, [](std::uint64_t n) { return parent_lost(Fate::cut, n, 1); }},
    Bar{"one-nack", "1,000 listeners lack the same frame: one or two NACKs reach the edge's parent", 5, one_nack},
    Bar{"stampede", "the origin of 10,000 dies, no standby: at most one join each", 1, stampede},
    Bar{"drift", "an encoder that drifts for hours changes nothing", 2, drift},
};

}  // namespace

std::string list_bars() {
  std::string out;
  for (const Bar& bar : kBars) out += text("  %-15s %s\n", bar.name, bar.asks);
  return out;
}

int run_bar(const std::string& name, std::uint64_t seeds) {
  int status = 64;
  for (const Bar& bar : kBars) {
    if (name != "all" && name != bar.name) continue;
    if (status == 64) status = 0;
    std::printf("%s: %s\n", bar.name, bar.asks);
    std::fflush(stdout);
    bool good = false;
    try {
      good = bar.run(seeds != 0 ? seeds : bar.seeds);
    } catch (const Violation& violation) {
      std::printf("  %s\n", violation.what());
    }
    std::printf("%s %s\n", good ? "PASS" : "FAIL", bar.name);
    std::fflush(stdout);
    if (!good) status = 1;
  }
  return status;
}

}  // namespace tiercast::sim
