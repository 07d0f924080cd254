// Nodes that are stopped on purpose: whoever is below goes elsewhere first, and misses nothing.
#include "tests/node/virtual_tree.hpp"
#include "tests/support/seeds.hpp"

namespace tiercast::tree_drain_test {

using namespace tiercast::test;
using namespace std::chrono_literals;

namespace {

/// Until everybody below has left or cannot, as the shell around a feed waits; false: not within `most`.
bool empties(VirtualTree& tree, std::size_t node, Duration most = 10s) {
  for (Duration waited{}; waited < most; waited += 10ms) {
    if (tree.feed(node).leases() == tree.feed(node).staying()) return true;
    tree.run(10ms);
  }
  return false;
}

bool live(VirtualTree& tree, std::size_t node) {
  const auto parents = tree.feed(node).parents();
  return std::all_of(parents.begin(), parents.end(), [&](const auto& p) { return p.live(tree.now().mono); });
}

/// As an operator does it: told to go, waited for, stopped, started again.
void upgrade(VirtualTree& tree, std::size_t node, Duration off = 500ms) {
  tree.drain(node);
  REQUIRE(empties(tree, node));
  CHECK(tree.feed(node).leases() == 0);
  tree.stop(node);
  tree.run(off);
  tree.restart(node);
}

}  // namespace

TEST_CASE("a drained node's children leave it for another parent before it stops, and miss nothing") {
  VirtualTree tree{1};
  const auto origin = tree.add({.origin = true});
  const auto one = tree.add({.parents = {origin}, .workers = 2});
  const auto two = tree.add({.parents = {origin}});
  const auto edge = tree.add({.parents = {one, two}});
  const auto a = tree.listen({.parents = {edge}, .strict = true});
  const auto b = tree.listen({.parents = {one, two}});
  tree.run(3s);
  CHECK(tree.feed(one).leases() == 2);
  tree.drain(one);
  CHECK(empties(tree, one, 200ms));  // who has another one that brings frames need not wait
  CHECK(tree.feed(one).leases() == 0);
  CHECK(tree.counter(one, "lease_left") == 2);
  CHECK(tree.counter(one, "worker_go_away") == 2);
  tree.run(5s);
  CHECK(tree.feed(one).leases() == 0);  // nobody is let in
  REQUIRE(tree.feed(edge).parents()[0].denial());
  CHECK(tree.feed(edge).parents()[0].denial()->reason == wire::DenyReason::draining);
  CHECK(tree.counter(edge, "parent_silence") == 0);
  tree.stop(one);
  tree.run(1s);
  tree.restart(one);
  tree.run(10s);
  CHECK(live(tree, edge));
  CHECK(tree.feed(one).leases() == 2);
  for (const auto l : {a, b}) {
    CAPTURE(l);
    CHECK(tree.lost_by(l) == 0);
    CHECK(tree.good(l) > 17 * 50);
  }
  CHECK(tree.conflicts == 0);
}

TEST_CASE("who has no other parent says so, is served until the end, and nobody waits for it") {
  VirtualTree tree{2};
  const auto origin = tree.add({.origin = true});
  const auto relay = tree.add({.parents = {origin}});
  const auto edge = tree.add({.parents = {relay}});
  const auto a = tree.listen({.parents = {relay}});
  tree.listen({.parents = {edge}});
  tree.run(3s);
  tree.drain(relay);
  tree.run(30ms);
  CHECK(tree.feed(relay).leases() == 2);
  CHECK(tree.feed(relay).staying() == 2);
  tree.run(5s);
  CHECK(tree.counter(relay, "worker_go_away") == 2);  // once each
  CHECK(tree.lost_by(a) == 0);
  CHECK(tree.good(a) > 7 * 50);
  tree.kill_listener(a);
  tree.run(20s);  // its lease ends by itself
  CHECK(tree.feed(relay).leases() == 1);
  CHECK(tree.feed(relay).staying() == 1);
  tree.stop(relay);
  tree.run(1s);
  tree.restart(relay);
  tree.run(5s);
  CHECK(live(tree, edge));
}

TEST_CASE("a child is not given up for a parent that does not bring anything yet") {
  VirtualTree tree{3};
  const auto origin = tree.add({.origin = true});
  const auto one = tree.add({.parents = {origin}});
  const auto two = tree.add({.parents = {origin}});
  const auto edge = tree.add({.parents = {one, two}});
  const auto a = tree.listen({.parents = {edge}});
  tree.kill(two);
  tree.run(3s);
  tree.drain(one);
  tree.run(6s);
  CHECK(tree.feed(one).leases() == 1);
  CHECK(tree.feed(one).staying() == 0);  // there is hope
  CHECK(tree.counter(one, "worker_go_away") >= 5);
  tree.restart(two);
  CHECK(empties(tree, one, 6s));
  CHECK(tree.feed(one).leases() == 0);
  tree.stop(one);
  tree.run(3s);
  CHECK(tree.lost_by(a) == 0);
  CHECK(tree.good(a) > 11 * 50);
}

TEST_CASE("a word to go, the answer, and the goodbye may all be lost: they are said again") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    VirtualTree tree{seed};
    const auto origin = tree.add({.origin = true});
    const auto one = tree.add({.parents = {origin}});
    const auto two = tree.add({.parents = {origin}});
    const auto edge = tree.add({.parents = {one, two}});
    const auto lonely = tree.add({.parents = {one}, .pinned = true});
    const auto a = tree.listen({.parents = {edge}});
    tree.listen({.parents = {one, two}});
    tree.run(3s);
    tree.drops = [&, random = SeededRandom{seed}](const Endpoint& from, const Endpoint& to, Bytes datagram) mutable {
      const bool of_one = from == VirtualTree::address_of(one) || to == VirtualTree::address_of(one);
      return of_one && datagram[0] == 0x10 && random.below(4) == 0;
    };
    tree.drain(one);
    CHECK(empties(tree, one));
    CHECK(tree.feed(one).leases() == 1);  // of `lonely`
    CHECK(tree.lost_by(a) == 0);
    CHECK(tree.feed(lonely).parents()[0].drains());
  }
}

TEST_CASE("who has no other parent is back as soon as that is, also where its goodbye is lost") {
  for (const bool heard : {true, false}) {
    CAPTURE(heard);
    VirtualTree tree{6};
    const auto origin = tree.add({.origin = true});
    const auto edge = tree.add({.parents = {origin}, .pinned = true});
    const auto ear = tree.listen({.parents = {edge}});
    const auto lonely = tree.add({.parents = {edge}, .pinned = true});
    tree.run(3s);
    tree.drain(edge);
    REQUIRE(empties(tree, edge));
    heard ? tree.stop(edge) : tree.kill(edge);
    tree.run(100ms);
    tree.restart(edge);
    tree.run(3s);
    const auto before = tree.heard(ear).size();
    CHECK(live(tree, lonely));
    tree.run(1s);
    CHECK(tree.good(ear, before) >= 49);
  }
}

TEST_CASE("an origin that stops does not keep the group's other one waiting") {
  VirtualTree tree{5, {{.sources = 2}}};
  const auto primary = tree.add({.origin = true, .source = 1, .align = 1});
  const auto standby = tree.add({.origin = true, .source = 2, .align = 0});
  tree.run(3s);
  CHECK(tree.feed(primary).leases() == 1);
  tree.stop(standby);
  tree.run(100ms);
  CHECK(tree.feed(primary).leases() == 0);
}

TEST_CASE("many are told one after another, relays first, and nobody twice within a second") {
  VirtualTree tree{4};
  const auto origin = tree.add({.origin = true, .max_leases = 2000});
  std::vector<std::size_t> all;
  for (int i = 0; i < 200; ++i) all.push_back(tree.listen({.parents = {origin}}));
  const auto relay = tree.add({.parents = {origin}, .pinned = true});
  tree.run(3s);
  CHECK(tree.feed(origin).leases() == 201);
  tree.drain(origin, 60s);
  CHECK(tree.counter(origin, "worker_go_away") == 64);  // the first part
  tree.run(5ms);
  CHECK(tree.feed(relay).parents()[0].drains());
  tree.run(10ms);
  CHECK(tree.counter(origin, "worker_go_away") == 64);
  tree.run(200ms);
  CHECK(tree.counter(origin, "worker_go_away") == 201);
  CHECK(tree.feed(origin).staying() == 201);
  for (const auto l : all) CHECK(tree.lost_by(l) == 0);
}

TEST_CASE("relays and edges are upgraded one after another, at random moments, and no listener misses a frame") {
  for (std::uint64_t seed = 1; seed <= test::seeds(20); ++seed) {
    CAPTURE(seed);
    VirtualTree tree{seed};
    SeededRandom random{seed * 7919};
    tree.delay = std::chrono::milliseconds{1 + random.below(20)};
    tree.network.base.jitter = std::chrono::milliseconds{random.below(8)};
    tree.refuses = random.below(2) == 0;
    const auto origin = tree.add({.origin = true});
    std::vector<std::size_t> relays, edges;
    for (int i = 0; i < 2; ++i) relays.push_back(tree.add({.parents = {origin}}));
    for (int i = 0; i < 2; ++i) edges.push_back(tree.add({.parents = relays}));
    std::vector<std::size_t> listeners;
    for (std::uint64_t i = 0; i < 4; ++i)
      listeners.push_back(tree.listen({.parents = edges, .strict = random.below(2) == 0}));
    tree.run(1s);
    std::vector<std::size_t> order{relays};
    order.insert(order.end(), edges.begin(), edges.end());
    if (random.below(2) == 0) std::reverse(order.begin(), order.end());
    for (const auto node : order) {
      tree.run(std::chrono::milliseconds{random.below(1000)});
      upgrade(tree, node, std::chrono::milliseconds{random.below(1500)});
    }
    tree.run(2s);
    for (const auto l : listeners) {
      CHECK(tree.lost_by(l) == 0);
      CHECK(tree.good(l) > 4 * 50);
    }
    CHECK(tree.conflicts == 0);
  }
}

TEST_CASE("a parent to which nothing comes itself is none to go to, though it lives") {
  VirtualTree tree{5};
  const auto origin = tree.add({.origin = true});
  const auto one = tree.add({.parents = {origin}});
  const auto two = tree.add({.parents = {origin}});
  const auto edge = tree.add({.parents = {one, two}});
  const auto a = tree.listen({.parents = {edge}});
  tree.run(3s);
  bool cut = true;  // the way between the origin and the second one
  tree.drops = [&](const Endpoint& from, const Endpoint& to, Bytes) {
    return cut && (from == VirtualTree::uplink_of(two, 0) || to == VirtualTree::uplink_of(two, 0));
  };
  tree.run(8s);
  REQUIRE(tree.feed(two).standing().seeking);
  REQUIRE(tree.feed(edge).parents()[1].live(tree.now().mono));
  tree.drain(one);
  tree.run(3s);
  CHECK(tree.feed(one).leases() == 1);
  CHECK(tree.feed(one).staying() == 0);
  cut = false;
  CHECK(empties(tree, one, 6s));
  CHECK(tree.feed(one).leases() == 0);
  tree.run(1s);
  CHECK(tree.lost_by(a) == 0);
}

}  // namespace tiercast::tree_drain_test
