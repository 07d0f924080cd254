#include "relay/sim/runner/scenario.hpp"

#include <algorithm>

namespace tiercast::sim {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kStream = 77;  // of the seed's randomness
// After all is healed: who was denied asks again (7.5 s), a dead listener's lease ends (15 s), and two keepalives.
constexpr Duration kCalm = 28s;

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(SeededRandom::of(seed, kStream)) { made_.seed = seed; }

  Scenario make() {
    shape();
    network();
    const auto count = 1 + random_.below(6);
    for (std::uint64_t i = 0; i < count; ++i) fault();
    std::stable_sort(made_.faults.begin(), made_.faults.end(),
                     [](const Fault& a, const Fault& b) { return a.from < b.from; });
    return std::move(made_);
  }

 private:
  bool chance(double p) { return random_.happens(p); }
  std::size_t upto(std::size_t most) { return static_cast<std::size_t>(random_.below(most + 1)); }
  template <class T>
  T one_of(std::initializer_list<T> all) {
    return *(all.begin() + static_cast<std::ptrdiff_t>(random_.below(all.size())));
  }
  Duration between(Duration least, Duration most) { return least + random_.up_to(most - least); }

  Clock clock() {
    return {random_.up_to(100h), random_.up_to(10s) - 5s, static_cast<std::int64_t>(random_.below(401)) - 200};
  }

  /// One or two of `from`.
  std::vector<std::size_t> parents(const std::vector<std::size_t>& from) {
    std::vector<std::size_t> out{from[upto(from.size() - 1)]};
    if (from.size() > 1 && chance(0.6)) {
      std::size_t second = out[0];
      while (second == out[0]) second = from[upto(from.size() - 1)];
      out.push_back(second);
    }
    return out;
  }

  bool sends_multicast() { return multicast_ && chance(0.6); }
  /// Of these, those whose IP multicast is taken.
  std::vector<std::size_t> multicast(const std::vector<std::size_t>& parents) {
    std::vector<std::size_t> out;
    for (const std::size_t p : parents)
      if (made_.nodes[p].sends_multicast && chance(0.7)) out.push_back(p);
    return out;
  }

  void shape() {
    const bool large = chance(0.03);
    made_.calm = chance(0.2);
    made_.groups = {{GroupId{7}, one_of<std::uint8_t>({10, 20, 20, 40, 60})}};
    if (made_.calm || large) made_.groups[0].frame_ms = one_of<std::uint8_t>({40, 60});
    if (chance(0.2)) made_.groups.push_back({GroupId{9}, made_.groups[0].frame_ms});
    made_.warm_up = between(1500ms, 4s);
    made_.faulty = between(3s, chance(0.1) ? Duration{25s} : Duration{9s});
    made_.rest = made_.calm ? kCalm : between(2s, 5s);

    two_origins_ = chance(0.3);
    multicast_ = chance(0.2);
    made_.nodes.push_back({.sends_multicast = sends_multicast(), .origin = true});
    std::vector<std::size_t> above{0};
    if (two_origins_) {
      for (GroupSpec& group : made_.groups) group.sources = 2;
      made_.nodes[0].align = 1;
      made_.nodes.push_back({.sends_multicast = sends_multicast(), .origin = true, .source = 2, .align = 0});
      above.push_back(1);
    }
    const std::size_t tiers = 1 + upto(2);
    for (std::size_t tier = 0; tier < tiers; ++tier) {
      std::vector<std::size_t> here;
      const std::size_t width = large ? 3 + upto(5) : 1 + upto(2);
      for (std::size_t i = 0; i < width; ++i) {
        NodeSpec spec;
        spec.parents = parents(above);
        spec.multicast = multicast(spec.parents);
        spec.sends_multicast = sends_multicast();
        spec.pinned = chance(0.3);
        here.push_back(made_.nodes.size());
        made_.nodes.push_back(spec);
      }
      if (chance(0.2)) here.push_back(above[0]);  // of two tiers' parents
      above = here;
    }
    for (NodeSpec& spec : made_.nodes) {
      spec.clock = clock();
      if (chance(0.15)) spec.workers = 2;
    }
    const std::size_t count = large ? 10 + upto(20) : 2 + upto(6);
    for (std::size_t i = 0; i < count; ++i) made_.listeners.push_back(listener(above));
    edges_ = above;
    tiers_ = tiers + 1;
  }

  ListenerSpec listener(const std::vector<std::size_t>& edges) {
    ListenerSpec spec;
    spec.parents = parents(edges);
    spec.multicast = multicast(spec.parents);
    spec.group = upto(made_.groups.size() - 1);
    spec.strict = chance(0.15);
    if (!spec.strict && chance(0.3)) spec.playout = between(200ms, 1s);
    spec.clock = clock();
    return spec;
  }

  void network() {
    made_.base.delay = between(500us, 40ms);
    if (chance(0.5)) made_.base.jitter = random_.up_to(20ms);
    made_.refuses = chance(0.5);
    made_.encoder_ppm = static_cast<std::int64_t>(random_.below(201)) - 100;
    made_.way = static_cast<Duration::rep>(tiers_ + 1) * (made_.base.delay + made_.base.jitter);
    // Where something is always lost, nothing is ever owed; all else must hold.
    if (chance(0.15)) made_.base = bad_link(0.1);
  }

  LinkModel bad_link(double most) {
    LinkModel model = made_.base;
    switch (random_.below(7)) {
      case 0: model.loss = random_.unit() * most; break;
      case 1: model = LinkModel::bursty(random_.unit() * most, 2 + random_.unit() * 8, model.delay); break;
      case 2: model.duplicated = random_.unit() * most; break;
      case 3: model.corrupted = random_.unit() * most; break;
      case 4:
        model.late = random_.unit() * most;
        model.late_by = between(5ms, 200ms);
        break;
      case 5:
        model.loss = model.duplicated = model.corrupted = random_.unit() * most / 3;
        model.jitter = random_.up_to(100ms);
        break;
      default: model.mtu = 100 + upto(1200); break;
    }
    return model;
  }

  Host node() { return {true, static_cast<std::uint32_t>(upto(made_.nodes.size() - 1))}; }
  std::size_t origins() const { return two_origins_ ? 2 : 1; }
  Host origin() { return {true, static_cast<std::uint32_t>(upto(origins() - 1))}; }
  Host relay() { return {true, static_cast<std::uint32_t>(origins() + upto(made_.nodes.size() - origins() - 1))}; }
  Host some_listener() { return {false, static_cast<std::uint32_t>(upto(made_.listeners.size() - 1))}; }

  void fault() {
    using enum FaultKind;
    Fault f;
    f.from = made_.warm_up + random_.up_to(made_.faulty * 8 / 10);
    f.length =
        std::min(made_.warm_up + made_.faulty - f.from, chance(0.4) ? between(100ms, 500ms) : between(500ms, 8s));
    f.kind = one_of({kill,   kill,       kill,      pause,     pause, pause_listener, stall, link,  link,
                     link,   network,    partition, partition, move,  leave,          come,  quiet, unplug,
                     rotate, drop_group, retire,    forbid,    drain, drain,          step,  step,  multicast_lost});
    if (f.kind == multicast_lost && !multicast_) f.kind = step;
    f.who = node();
    switch (f.kind) {
      case kill:
      case pause:
      case stall:
      case drain: f.who = two_origins_ && chance(0.4) ? origin() : chance(0.7) ? relay() : node(); break;
      case pause_listener:
      case move:
      case leave: f.who = some_listener(); break;
      case link: {
        // One that is in use.
        const bool below = chance(0.4);
        f.who = two_origins_ && chance(0.2) ? Host{true, 0} : below ? some_listener() : relay();
        const auto& parents = f.who.node ? made_.nodes[f.who.index].parents : made_.listeners[f.who.index].parents;
        f.other = {true, parents.empty() ? 1 : static_cast<std::uint32_t>(parents[upto(parents.size() - 1)])};
        f.both = chance(0.5);
        if (!f.both && chance(0.5)) std::swap(f.who, f.other);
        f.model = bad_link(0.5);
        f.model.cut = chance(0.3);
        break;
      }
      case network: f.model = bad_link(0.3); break;
      case partition:
        for (std::uint32_t n = 0; n < made_.nodes.size(); ++n)
          if (chance(0.4)) f.side.push_back({true, n});
        for (std::uint32_t l = 0; l < made_.listeners.size(); ++l)
          if (chance(0.4)) f.side.push_back({false, l});
        break;
      case come: f.listener = listener(edges_); break;
      case drop_group:
        f.who = relay();
        f.group = upto(made_.groups.size() - 1);
        break;
      case retire: {
        f.who = relay();
        const auto& parents = made_.nodes[f.who.index].parents;
        f.other = {true, static_cast<std::uint32_t>(parents[upto(parents.size() - 1)])};
        break;
      }
      case unplug: f.who = origin(); break;
      case rotate:
        f.who = origin();
        f.group = upto(made_.groups.size() - 1);
        break;
      case step:
        if (chance(0.3)) f.who = some_listener();
        if (chance(0.3)) f.who = origin();
        f.by = one_of<Duration>({2s, 20s, 1h, 24h * 30});
        f.by = (chance(0.5) ? 1 : -1) * random_.up_to(f.by);
        f.both = chance(0.5);
        break;
      case quiet:
      case multicast_lost:
      case forbid: break;
    }
    made_.faults.push_back(std::move(f));
  }

  SeededRandom random_;
  Scenario made_;
  std::vector<std::size_t> edges_;
  std::size_t tiers_ = 0;
  bool two_origins_ = false, multicast_ = false;
};

std::string text(Host host) { return (host.node ? "node " : "listener ") + std::to_string(host.index); }
std::string text(Duration d) { return std::to_string(d / milliseconds{1}) + " ms"; }
std::string text(const std::vector<std::size_t>& all) {
  std::string out;
  for (const std::size_t one : all) out += (out.empty() ? "" : "+") + std::to_string(one);
  return out;
}
std::string by_multicast(const std::vector<std::size_t>& parents) {
  return parents.empty() ? "" : ", multicast of " + text(parents);
}
std::string text(const LinkModel& m) {
  std::string out = text(m.delay) + " + " + text(m.jitter);
  const auto add = [&](const char* what, double value) {
    if (value > 0) out += ", " + std::string{what} + " " + std::to_string(value).substr(0, 5);
  };
  add("loss", m.loss);
  if (m.burst_begins > 0) out += ", bursts " + std::to_string(m.burst_begins) + "/" + std::to_string(m.burst_ends);
  add("late", m.late);
  if (m.late > 0) out += " by " + text(m.late_by);
  add("twice", m.duplicated);
  add("altered", m.corrupted);
  if (m.mtu < 65535) out += ", mtu " + std::to_string(m.mtu);
  if (m.cut) out += ", cut";
  return out;
}

}  // namespace

Scenario make_scenario(std::uint64_t seed) { return Generator{seed}.make(); }

std::string describe(const Fault& f) {
  static constexpr const char* kNames[] = {
      "kill",  "pause",  "pause",      "stall",  "link",   "network", "partition", "move", "leave",         "come",
      "quiet", "rotate", "drop group", "retire", "forbid", "drain",   "unplug",    "step", "multicast lost"};
  std::string out = text(f.from) + " for " + text(f.length) + ": " + kNames[static_cast<std::size_t>(f.kind)];
  using enum FaultKind;
  if (f.kind == partition) {
    for (const Host host : f.side) out += ", " + text(host);
  } else if (f.kind == network) {
    out += " " + text(f.model);
  } else if (f.kind == come) {
    out += ", of " + text(f.listener.parents);
  } else if (f.kind != quiet) {
    out += " " + text(f.who);
  }
  if (f.kind == link) out += (f.both ? " and " : " to ") + text(f.other) + " " + text(f.model);
  if (f.kind == retire) out += " from " + text(f.other);
  if (f.kind == step) out += " by " + text(f.by) + (f.both ? " and back" : "");
  return out;
}

std::string describe(const Scenario& s) {
  std::string out = "seed " + std::to_string(s.seed) + ": " + std::to_string(s.groups.size()) + " group(s)" +
                    (s.groups[0].sources > 1 ? " of two origins" : "") + ", " + std::to_string(s.groups[0].frame_ms) +
                    " ms, links " + text(s.base) + (s.refuses ? ", ICMP" : "") + (s.calm ? ", calm at the end" : "") +
                    "\n";
  for (std::size_t n = 0; n < s.nodes.size(); ++n)
    out += "  node " + std::to_string(n) + " of " + text(s.nodes[n].parents) + by_multicast(s.nodes[n].multicast) +
           (s.nodes[n].sends_multicast ? ", sends multicast" : "") + (s.nodes[n].pinned ? ", pinned" : "") +
           (s.nodes[n].workers > 1 ? ", 2 workers" : "") + "\n";
  for (std::size_t l = 0; l < s.listeners.size(); ++l)
    out += "  listener " + std::to_string(l) + " of " + text(s.listeners[l].parents) +
           by_multicast(s.listeners[l].multicast) + (s.listeners[l].group > 0 ? ", second group" : "") +
           (s.listeners[l].strict ? ", strict" : "") +
           (s.listeners[l].playout ? ", " + text(*s.listeners[l].playout) : "") + "\n";
  for (const Fault& f : s.faults) out += "  " + describe(f) + "\n";
  return out + "  healed at " + text(s.warm_up + s.faulty) + ", over at " + text(s.warm_up + s.faulty + s.rest) + "\n";
}

}  // namespace tiercast::sim
