// Several parents: what it costs when one of them dies, and what it does not. TIERCAST_SEEDS: of each history so many
// (three, unless it says more).
#include <doctest/doctest.h>

#include "tests/node/virtual_tree.hpp"
#include "tests/support/seeds.hpp"

namespace tiercast::tree_parents_test {

using control::Duty;
using test::VirtualTree;

namespace {

std::uint64_t seeds() { return test::seeds(3); }

enum class Death { killed, refused, stopped, cut };
constexpr Death kDeaths[] = {Death::killed, Death::refused, Death::stopped, Death::cut};

/// A tree that lets a node die in each way, and sees when frames reach listeners.
struct Mortal {
  explicit Mortal(std::uint64_t seed) : tree(seed) {
    tree.drops = [this](const Endpoint& from, const Endpoint& to, Bytes datagram) {
      if (away && (from.ip == VirtualTree::address_of(*away).ip || to.ip == VirtualTree::address_of(*away).ip))
        return true;
      if (wire::type_of(datagram) == 0x20 && !sim::host_of(to).node) arrived(sim::host_of(to).index);
      return false;
    };
  }

  void arrived(std::size_t l) {
    last.resize(std::max(last.size(), l + 1), Time{});
    const Time now = tree.now().mono;
    if (watching && last[l] != Time{}) longest = std::max(longest, now - last[l]);
    last[l] = now;
  }

  void die(std::size_t node, Death how) {
    tree.refuses = how == Death::refused;
    if (how == Death::stopped) tree.pause(node, true);
    if (how == Death::cut) away = node;
    if (how == Death::killed || how == Death::refused) tree.kill(node);
  }
  void live(std::size_t node, Death how) {
    if (how == Death::stopped) tree.pause(node, false);
    if (how == Death::cut) away.reset();
    if (how == Death::killed || how == Death::refused) tree.restart(node);
    tree.refuses = false;
  }

  VirtualTree tree;
  std::optional<std::size_t> away;
  bool watching = false;
  std::vector<Time> last;
  Duration longest{};
};

/// f(mortal, how, random) for each seed and death.
template <class F>
void by_every_death(F&& f) {
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    for (const Death how : kDeaths) {
      CAPTURE(seed);
      CAPTURE(static_cast<int>(how));
      Mortal m{seed * 10 + static_cast<std::uint64_t>(how)};
      test::SeededRandom random{seed};
      f(m, how, random);
    }
  }
}

/// An origin, and two relays below it.
struct Trunk {
  explicit Trunk(VirtualTree& tree)
      : origin(tree.add({.origin = true})),
        one(tree.add({.parents = {origin}, .pinned = true})),
        two(tree.add({.parents = {origin}, .pinned = true})) {}
  std::size_t origin, one, two;
};

void run_some(VirtualTree& tree, test::SeededRandom& random, Duration most) {
  tree.run(Duration{static_cast<Duration::rep>(random.below(static_cast<std::uint64_t>(most.count())))});
}

std::string duties(std::span<const control::Parent> parents) {
  std::string out;
  for (const auto& parent : parents) out += parent.duty() == Duty::live ? 'L' : parent.duty() == Duty::warm ? 'w' : '-';
  return out;
}

std::uint64_t leases_made(VirtualTree& tree, const std::vector<std::size_t>& nodes) {
  std::uint64_t sum = 0;
  for (const auto n : nodes) sum += tree.counter(n, "lease_installed");
  return sum;
}

}  // namespace

TEST_CASE(
    "one of two live parents dies, whichever way, and comes back: nobody loses a frame, at a relay or a listener") {
  by_every_death([](Mortal& m, Death how, test::SeededRandom& random) {
    VirtualTree& tree = m.tree;
    const auto [origin, one, two] = Trunk{tree};
    const auto edge = tree.add({.parents = {one, two}, .pinned = true});
    const auto other_edge = tree.add({.parents = {two, one}, .pinned = true});
    tree.run(1s);
    std::vector<std::size_t> listeners;
    for (int i = 0; i < 3; ++i) listeners.push_back(tree.listen({.parents = {edge, other_edge}, .playout = 200ms}));
    listeners.push_back(tree.listen({.parents = {edge}, .playout = 200ms}));
    tree.run(3s);
    run_some(tree, random, 100ms);
    for (const auto who : {one, edge}) {
      if (who == edge) tree.kill_listener(listeners.back());  // it has no other
      m.die(who, how);
      run_some(tree, random, 2s);
      m.live(who, how);
      run_some(tree, random, 2s);
    }
    tree.run(1s);
    for (const auto l : listeners) {
      CAPTURE(l);
      CHECK(tree.lost_by(l) == 0);
      CHECK(tree.good(l) > 100);
    }
    CHECK(tree.conflicts == 0);
  });
}

TEST_CASE(
    "the only live parent dies, whichever way: a warm standby is taken up with one packet, and no frame is lost") {
  by_every_death([](Mortal& m, Death how, test::SeededRandom& random) {
    VirtualTree& tree = m.tree;
    const auto [origin, one, two] = Trunk{tree};
    const auto edge = tree.add({.parents = {one, two}, .pinned = true, .live = 1});
    const auto other_edge = tree.add({.parents = {two, one}, .live = 1});
    tree.run(1s);
    std::vector<std::size_t> listeners;
    for (int i = 0; i < 20; ++i)
      listeners.push_back(tree.listen({.parents = {edge, other_edge}, .playout = 200ms, .live = 1}));
    tree.run(8s);
    REQUIRE(duties(tree.feed(edge).parents()) == "Lw");
    REQUIRE(duties(tree.listener(listeners[0]).parents()) == "Lw");
    // A standby's lease brings nothing, but its node has the stream.
    CHECK(tree.destinations(other_edge) == 0);
    CHECK(tree.group(other_edge).last_frame);
    CHECK(tree.feed(origin).tally(node::GroupIndex{0}).listeners == 20);
    m.watching = true;
    const auto made = leases_made(tree, {two, other_edge});
    run_some(tree, random, 100ms);
    m.die(one, how);
    tree.run(150ms);  // or the node has not missed anything yet
    run_some(tree, random, 2s);
    CHECK(tree.lost_by(listeners[0]) == 0);
    CHECK(duties(tree.feed(edge).parents()) != "Lw");
    m.live(one, how);
    tree.run(1s);
    m.die(edge, how);
    tree.run(1500ms);
    for (const auto l : listeners) {
      CAPTURE(l);
      CHECK(tree.lost_by(l) == 0);
      CHECK(tree.good(l) > 400);
    }
    CHECK(m.longest <= 200ms);
    CHECK(leases_made(tree, {two, other_edge}) == made);
    CHECK(tree.destinations(other_edge) == 20);
    m.live(edge, how);
    tree.run(25s);
    CHECK(duties(tree.feed(edge).parents()) == "Lw");
    for (const auto l : listeners) {
      CAPTURE(l);
      CHECK(duties(tree.listener(l).parents()) == "Lw");
      CHECK(tree.lost_by(l) == 0);
    }
    CHECK(tree.feed(origin).tally(node::GroupIndex{0}).listeners == 20);
    CHECK(tree.conflicts == 0);
  });
}

TEST_CASE("a standby is taken up also where every twentieth datagram is lost") {
  std::size_t lost = 0, heard = 0;
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    Mortal m{seed};
    VirtualTree& tree = m.tree;
    tree.lost = 0.05;
    const auto origin = tree.add({.origin = true});
    const auto one = tree.add({.parents = {origin}, .pinned = true});
    const auto two = tree.add({.parents = {origin}, .pinned = true});
    std::vector<std::size_t> listeners;
    tree.run(1s);
    for (int i = 0; i < 10; ++i) listeners.push_back(tree.listen({.parents = {one, two}, .live = 1}));
    tree.run(8s);
    tree.kill(one);
    tree.run(3s);
    for (const auto l : listeners) {
      lost += tree.lost_by(l);
      heard += tree.good(l);
    }
  }
  CHECK(heard > seeds() * 10 * 480);
  CHECK(static_cast<double>(lost) < static_cast<double>(heard) * 0.002);
}

TEST_CASE("below an origin that dies nobody joins anybody, and everybody hears it when it is back") {
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    CAPTURE(seed);
    VirtualTree tree{seed};
    const auto origin = tree.add({.origin = true});
    std::vector<std::size_t> nodes{origin};
    for (int i = 0; i < 3; ++i) nodes.push_back(tree.add({.parents = {origin}, .pinned = true}));
    for (std::size_t i = 0; i < 4; ++i)
      nodes.push_back(tree.add({.parents = {1 + i % 3, 1 + (i + 1) % 3, 1 + (i + 2) % 3}, .live = 1 + i % 2}));
    for (std::size_t i = 0; i < 4; ++i)
      nodes.push_back(tree.add({.parents = {4 + i, 4 + (i + 1) % 4, 4 + (i + 2) % 4}, .live = 1 + i % 2}));
    tree.run(1s);
    std::vector<std::size_t> listeners;
    for (std::size_t i = 0; i < 24; ++i)
      listeners.push_back(tree.listen({.parents = {8 + i % 4, 8 + (i + 1) % 4, 8 + (i + 2) % 4}, .live = 1 + i % 2}));
    tree.run(15s);
    const std::vector<std::size_t> below(nodes.begin() + 1, nodes.end());
    std::uint64_t hellos = 0;
    for (const auto n : below) hellos += tree.counter(n, "join_hello");
    const auto made = leases_made(tree, below);
    tree.kill(origin);
    tree.run(1s);
    for (const auto n : below) CHECK(tree.feed(n).standing().seeking);
    tree.run(18s);
    std::uint64_t more = 0;
    for (const auto n : below) more += tree.counter(n, "join_hello");
    CHECK(more == hellos);
    CHECK(leases_made(tree, below) == made);
    tree.restart(origin);
    tree.run(6s);
    for (const auto l : listeners) {
      CAPTURE(l);
      const auto before = tree.heard(l).size();
      tree.run(100ms);
      CHECK(tree.heard(l).size() > before);
    }
    tree.run(30s);
    CHECK(tree.counter(origin, "lease_installed") == 3);
    CHECK(leases_made(tree, below) == made);
    // It was nobody's loss.
    for (const auto n : below) CHECK(tree.counter(n, "parents_exchanged") == 0);
    for (const auto l : listeners) CHECK(tree.listener(l).choice().counters().exchanged.get() == 0);
    for (const auto n : below) CHECK(!tree.feed(n).standing().seeking);
  }
}

TEST_CASE("who has two parents and a standby that lost their own for good finds a fourth that has not, by one join") {
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    CAPTURE(seed);
    VirtualTree tree{seed};
    const auto origin = tree.add({.origin = true});
    const auto above = tree.add({.parents = {origin}, .pinned = true});
    for (int i = 0; i < 3; ++i) tree.add({.parents = {above}, .pinned = true});
    const auto well = tree.add({.parents = {origin}, .pinned = true});
    const auto edge = tree.add({.parents = {2, 3, 4, well}, .pinned = true});
    tree.run(3s);
    const auto l = tree.listen({.parents = {edge}});
    tree.run(3s);
    REQUIRE(duties(tree.feed(edge).parents()) == "LLw-");
    tree.kill(above);
    tree.run(19s);
    CHECK(tree.feed(edge).standing().seeking);
    CHECK(tree.counter(well, "lease_installed") == 0);
    tree.run(28s);
    CHECK(tree.counter(well, "lease_installed") == 1);
    CHECK(tree.feed(edge).parents()[3].duty() == Duty::live);
    CHECK(!tree.feed(edge).standing().seeking);
    const auto before = tree.heard(l).size();
    tree.run(1s);
    CHECK(tree.good(l, before) == 50);
  }
}

TEST_CASE("a relay that has lost its own parents is left for a standby that has not") {
  Mortal m{5};
  VirtualTree& tree = m.tree;
  const auto origin = tree.add({.origin = true});
  const auto above = tree.add({.parents = {origin}, .pinned = true});
  const auto cut_off = tree.add({.parents = {above}, .pinned = true});
  const auto well = tree.add({.parents = {origin}, .pinned = true});
  const auto edge = tree.add({.parents = {cut_off, well}, .pinned = true, .live = 1});
  tree.run(3s);
  REQUIRE(duties(tree.feed(edge).parents()) == "Lw");
  tree.kill(above);
  tree.run(400ms);
  CHECK(duties(tree.feed(edge).parents()) == "Lw");  // it may find another
  tree.run(3s);
  CHECK(duties(tree.feed(edge).parents()) == "wL");
  CHECK(tree.feed(edge).parents()[0].leased());
  CHECK(!tree.feed(edge).standing().seeking);
  tree.restart(above);
  tree.run(20s);
  CHECK(duties(tree.feed(edge).parents()) == "Lw");
  CHECK(tree.counter(cut_off, "lease_installed") == 1);
}

TEST_CASE("a parent that only says again what it once brought has nothing, and is left for a standby that has") {
  VirtualTree tree{15};
  const auto origin = tree.add({.origin = true});
  const auto stuck = tree.add({.parents = {origin}, .pinned = true});
  const auto well = tree.add({.parents = {origin}, .pinned = true});
  const auto relay = tree.add({.parents = {stuck, well}, .pinned = true, .live = 1});
  const auto l = tree.listen({.parents = {stuck, well}, .live = 1});
  tree.run(3s);
  // From now on it repeats its newest frame and attestation, and IDLE at no time.
  const std::array children{VirtualTree::uplink_of(relay, 0), tree.listener_address(l, 0)};
  std::map<Endpoint, std::map<wire::Type, test::Datagram>> newest;
  bool sticks = false, resends = false;
  tree.drops = [&](const Endpoint& from, const Endpoint& to, Bytes datagram) {
    if (resends || from != VirtualTree::address_of(stuck)) return false;
    const wire::Type type{datagram[0]};
    if (type != wire::Type::frame && type != wire::Type::attest && type != wire::Type::idle) return false;
    if (!sticks) newest[to][type] = test::Datagram(datagram.begin(), datagram.end());
    return sticks;
  };
  tree.run(3s);
  sticks = true;
  REQUIRE(duties(tree.feed(relay).parents()) == "Lw");
  REQUIRE(duties(tree.listener(l).parents()) == "Lw");
  for (int i = 0; i < 100; ++i) {
    resends = true;
    for (const Endpoint& child : children)
      for (const auto& [type, datagram] : newest[child]) tree.send(VirtualTree::address_of(stuck), child, datagram);
    resends = false;
    tree.run(20ms);
  }
  CHECK(duties(tree.feed(relay).parents()).back() == 'L');
  CHECK(duties(tree.listener(l).parents()).back() == 'L');
  CHECK(tree.lost_by(l) == 0);
  CHECK(tree.group(relay).group.history.newest().next() >= tree.group(well).group.history.newest());
}

TEST_CASE(
    "a relay that was cut off for seconds has all of it afterwards, its relays too, and listeners are spared it") {
  for (const Duration away : {Duration{1s}, Duration{3s}, Duration{4500ms}})
    for (const unsigned loss : {0U, 50U}) {  // in 1,000
      CAPTURE(away.count());
      CAPTURE(loss);
      VirtualTree tree{16};
      const auto origin = tree.add({.origin = true});
      const auto relay = tree.add({.parents = {origin}, .pinned = true});
      const auto edge = tree.add({.parents = {relay}, .pinned = true});
      const auto l = tree.listen({.parents = {edge}});
      test::SeededRandom random{17};
      bool cut = false;
      tree.drops = [&](const Endpoint& from, const Endpoint& to, Bytes) {
        const auto at = VirtualTree::address_of(origin).ip;
        return (from.ip == at || to.ip == at) && (cut || random.below(1000) < loss);
      };
      tree.run(5s);
      const Sequence first = tree.group(origin).group.history.newest();
      cut = true;
      tree.run(away);
      cut = false;
      const Sequence last = tree.group(origin).group.history.newest();
      const auto received = [&] { return tree.worker_counters(edge).datagrams.get(); };
      const auto before = received();
      tree.run(3s);
      for (const auto n : {relay, edge}) {
        std::size_t missing = 0;
        for (Sequence s = first; s <= last; s = s.next()) missing += tree.group(n).group.history.has(s) ? 0 : 1;
        CHECK(missing == 0);
        CHECK(tree.group(n).gaps.missing() <= 3);
      }
      // Hardly more than what was said in these three seconds, and what was not too late.
      CHECK(received() - before < 150 + 45 + 10);
      CHECK(tree.counter(edge, "fanout_drop_stale") + 45 >= static_cast<std::uint64_t>(away / 20ms));
      CHECK(tree.heard(l).back().as_sent);
    }
}

TEST_CASE("nor does a second outage right after the first leave a hole, nor one of many groups") {
  for (const Duration between : {Duration{2s}, Duration{10s}})
    for (const std::size_t groups : {1U, 20U}) {
      CAPTURE(between.count());
      CAPTURE(groups);
      std::vector<test::GroupSpec> specs(groups);
      for (std::size_t g = 0; g < groups; ++g) specs[g].id = GroupId{static_cast<std::uint32_t>(7 + g)};
      VirtualTree tree{18, specs};
      const auto origin = tree.add({.origin = true});
      const auto relay = tree.add({.parents = {origin}, .pinned = true});
      bool cut = false;
      tree.drops = [&](const Endpoint& from, const Endpoint& to, Bytes) {
        const auto at = VirtualTree::address_of(origin).ip;
        return cut && (from.ip == at || to.ip == at);
      };
      tree.run(5s);
      for (int i = 0; i < 2; ++i) {
        cut = true;
        tree.run(4s);
        cut = false;
        tree.run(between);
      }
      tree.run(6s);
      for (std::size_t g = 0; g < groups; ++g) {
        REQUIRE(tree.group(relay, g).gaps.counters().missing.get() > 390);
        CHECK(tree.group(relay, g).gaps.counters().given_up.get() == 0);
      }
    }
}

TEST_CASE("a parent that dies every few seconds costs nothing, and soon stands by") {
  Mortal m{6};
  VirtualTree& tree = m.tree;
  const auto origin = tree.add({.origin = true});
  const auto weak = tree.add({.parents = {origin}, .pinned = true});
  const auto well = tree.add({.parents = {origin}, .pinned = true});
  tree.run(1s);
  const auto l = tree.listen({.parents = {weak, well}, .playout = 200ms, .live = 1});
  tree.run(7s);
  for (int i = 0; i < 12; ++i) {
    m.die(weak, kDeaths[i % 4]);
    tree.run(1700ms);
    m.live(weak, kDeaths[i % 4]);
    tree.run(2300ms);
  }
  CHECK(tree.lost_by(l) == 0);
  CHECK(tree.listener(l).choice().counters().restored.get() == 0);
  CHECK(tree.listener(l).choice().counters().replaced.get() == 1);
}

TEST_CASE("a parent that loses much is exchanged for a standby that does not") {
  VirtualTree tree{7};
  const auto origin = tree.add({.origin = true});
  const auto lossy = tree.add({.parents = {origin}, .pinned = true});
  const auto well = tree.add({.parents = {origin}, .pinned = true});
  const auto edge = tree.add({.parents = {lossy, well}, .pinned = true, .live = 1});
  tree.run(3s);
  const auto l = tree.listen({.parents = {edge}});
  test::SeededRandom dice{3};
  tree.drops = [&](const Endpoint& from, const Endpoint& to, Bytes) {
    return from == VirtualTree::address_of(lossy) && to == VirtualTree::uplink_of(edge, 0) && dice.below(100) < 15;
  };
  tree.run(60s);
  CHECK(duties(tree.feed(edge).parents()) == "wL");
  CHECK(tree.feed(edge).choice().counters().exchanged.get() == 1);
  CHECK(tree.feed(edge).choice().counters().restored.get() == 0);
  CHECK(tree.lost_by(l) == 0);
}

TEST_CASE("of two relays that name each other the one whose other parent seeks does not, as long as frames come") {
  VirtualTree tree{1};
  const auto origin = tree.add({.origin = true});
  const auto above_a = tree.add({.parents = {origin}, .pinned = true});
  const auto above_b = tree.add({.parents = {origin}, .pinned = true});
  const std::size_t a = 3, b = 4;
  tree.add({.parents = {above_a, b}, .pinned = true});
  tree.add({.parents = {above_b, a}, .pinned = true});
  tree.run(2s);
  const auto at_a = tree.listen({.parents = {a}});
  tree.run(8s);
  bool cut = true;
  tree.drops = [&](const Endpoint& from, const Endpoint& to, Bytes) {
    const auto between = [](const Endpoint& one, const Endpoint& other, std::size_t x, std::size_t y) {
      return one.ip == VirtualTree::address_of(x).ip && other.ip == VirtualTree::address_of(y).ip;
    };
    return cut && (between(from, to, above_a, origin) || between(from, to, origin, above_a));
  };
  const auto before = tree.heard(at_a).size();
  for (int i = 0; i < 20; ++i) {
    tree.run(1s);
    if (i > 0) CHECK_FALSE(tree.feed(a).standing().seeking);
  }
  CHECK(tree.feed(above_a).standing().seeking);
  CHECK(tree.lost_by(at_a) == 0);
  CHECK(tree.good(at_a, before) >= 990);
}

TEST_CASE("two relays that name each other do not feed each other, and each of them brings the other back") {
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    CAPTURE(seed);
    VirtualTree tree{seed};
    const auto origin = tree.add({.origin = true});
    const std::size_t a = 1, b = 2;
    tree.add({.parents = {origin, b}, .pinned = true});
    tree.add({.parents = {origin, a}, .pinned = true});
    std::vector<bool> cut(3, false);
    tree.drops = [&](const Endpoint& from, const Endpoint& to, Bytes) {
      const auto is = [](const Endpoint& e, std::size_t n) { return e.ip == VirtualTree::address_of(n).ip; };
      for (const auto n : {a, b})
        if (cut[n] && ((is(from, n) && is(to, origin)) || (is(from, origin) && is(to, n)))) return true;
      return false;
    };
    tree.run(1s);
    const auto at_a = tree.listen({.parents = {a}});
    const auto at_b = tree.listen({.parents = {b}});
    tree.run(10s);
    cut[a] = true;  // it lives on the other
    tree.run(10s);
    CHECK(tree.lost_by(at_a) == 0);
    CHECK(tree.feed(a).standing().path[1] == tree.feed(b).id());
    CHECK(!tree.feed(b).parents()[1].leased());  // which left it: its way leads through itself
    cut[b] = true;
    tree.run(20s);
    CHECK(tree.feed(a).standing().seeking);
    CHECK(tree.feed(b).standing().seeking);
    for (const auto back : {a, b}) {
      cut[back] = false;
      tree.run(30s);
      for (const auto l : {at_a, at_b}) {
        CAPTURE(l);
        const auto before = tree.heard(l).size();
        tree.run(3s);
        CHECK(tree.good(l, before) >= 148);
      }
      for (const auto n : {a, b}) CHECK(!tree.feed(n).standing().seeking);
      cut[back] = true;
      tree.run(20s);
    }
    cut[a] = cut[b] = false;
    tree.run(30s);
    for (const auto n : {a, b}) {
      CHECK(tree.feed(n).parents()[0].live(tree.now().mono));
      CHECK(tree.feed(n).parents()[1].live(tree.now().mono));
    }
  }
}

TEST_CASE("a tree is eight nodes deep at most: what would be below that finds another place") {
  VirtualTree tree{9};
  tree.add({.origin = true});
  for (std::size_t n = 1; n < 8; ++n) tree.add({.parents = {n - 1}, .pinned = true});
  const auto too_deep = tree.add({.parents = {7, 3}, .pinned = true, .live = 1});
  tree.run(20s);
  const auto l = tree.listen({.parents = {7}});
  const auto m = tree.listen({.parents = {too_deep}});
  tree.run(5s);
  CHECK(tree.feed(7).standing().path.size() == wire::kMaxPath);
  CHECK(tree.good(l) > 200);
  CHECK(tree.good(m) > 200);
  CHECK(!tree.feed(too_deep).parents()[0].leased());
  CHECK(duties(tree.feed(too_deep).parents()).back() == 'L');
}

TEST_CASE("a listener with a dead first parent hears the second one within a second and a half") {
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    VirtualTree tree{seed};
    const auto origin = tree.add({.origin = true});
    const auto one = tree.add({.parents = {origin}, .pinned = true});
    const auto two = tree.add({.parents = {origin}, .pinned = true});
    tree.run(2s);
    tree.kill(one);
    const auto l = tree.listen({.parents = {one, two}, .live = 1});
    tree.run(2s);
    CHECK(tree.good(l) >= 20);
  }
}

}  // namespace tiercast::tree_parents_test
