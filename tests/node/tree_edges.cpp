// Listeners and relays that are sent away go to edges that they are told of and know from the operator's list, and to
// nobody else.
#include "tests/node/virtual_tree.hpp"

namespace tiercast::tree_edges_test {

using namespace tiercast::test;
using namespace std::chrono_literals;

namespace {

/// origin 0 -> edges 1, 2, 3, of which the first tells of `elsewhere`.
struct Edges : VirtualTree {
  explicit Edges(std::uint64_t seed, std::vector<std::uint16_t> elsewhere, std::uint32_t max_leases = 256)
      : VirtualTree(seed) {
    add({.origin = true});
    add({.parents = {0}, .pinned = true, .max_leases = max_leases, .elsewhere = std::move(elsewhere)});
    for (int i = 0; i < 2; ++i) add({.parents = {0}, .pinned = true});
  }
  bool empties(std::size_t node) {
    for (Duration waited{}; waited < 10s; waited += 10ms) {
      if (feed(node).leases() == feed(node).staying()) return true;
      run(10ms);
    }
    return false;
  }
};

}  // namespace

TEST_CASE("listeners that know one edge and hold the list go to others when it drains, spread out, and miss nothing") {
  Edges tree{1, {2, 3}};
  std::vector<std::size_t> all;
  for (int i = 0; i < 20; ++i)
    all.push_back(tree.listen({.parents = {1}, .strict = i % 2 == 0, .knows_edges = true, .live = 1}));
  tree.run(3s);
  REQUIRE(tree.feed(1).leases() == 20);
  tree.drain(1);
  CHECK(tree.empties(1));
  CHECK(tree.feed(1).leases() == 0);
  tree.stop(1);
  tree.run(3s);
  for (const auto l : all) {
    CAPTURE(l);
    CHECK(tree.listener_counter(l, "elsewhere_learnt") == 2);
    CHECK(tree.lost_by(l) == 0);
    CHECK(tree.good(l) > 5 * 50);
  }
  // Each has one of them live, and the other one may stand by.
  std::size_t at_two = 0;
  for (const auto l : all)
    for (const auto& parent : tree.listener(l).parents())
      at_two += parent.config().key == tree.key_of(2) && parent.duty() == control::Duty::live ? 1 : 0;
  CHECK(at_two > 3);
  CHECK(at_two < 17);
  CHECK(tree.conflicts == 0);
}

TEST_CASE("who has no list, or is told of numbers that are not in it, goes nowhere, and that is counted") {
  for (const bool list : {false, true}) {
    CAPTURE(list);
    Edges tree{2, list ? std::vector<std::uint16_t>{16, 999} : std::vector<std::uint16_t>{2, 3}};
    const auto l = tree.listen({.parents = {1}, .knows_edges = list});
    tree.run(3s);
    tree.drain(1);
    CHECK(tree.empties(1));
    CHECK(tree.feed(1).staying() == 1);
    CHECK(tree.listener(l).parents().size() == 1);
    CHECK(tree.listener_counter(l, list ? "elsewhere_drop_index" : "elsewhere_drop_no_list") == 2);
    CHECK(tree.listener_counter(l, "elsewhere_learnt") == 0);
    CHECK(tree.lost_by(l) == 0);
  }
}

TEST_CASE("who finds an edge full is at another one, which that has named") {
  Edges tree{3, {2}, 1};
  const auto first = tree.listen({.parents = {1}, .knows_edges = true});
  tree.run(1s);
  const auto second = tree.listen({.parents = {1}, .knows_edges = true});
  tree.run(5s);
  CHECK(tree.feed(2).leases() == 1);
  CHECK(tree.listener_counter(second, "parent_denied") >= 1);
  CHECK(tree.listener_counter(second, "elsewhere_learnt") == 1);
  CHECK(tree.listener_counter(first, "elsewhere_learnt") == 0);
  CHECK(tree.good(second) > 3 * 50);
  CHECK(tree.lost_by(second) == 0);
}

TEST_CASE("a relay goes where it is sent, too, not to itself, and from an edge that the list has no more") {
  Edges tree{4, {4, 2}};
  const auto relay = tree.add({.parents = {1}, .knows_edges = true});
  REQUIRE(relay == 4);
  const auto l = tree.listen({.parents = {relay}});
  tree.run(3s);
  tree.drain(1);
  CHECK(tree.empties(1));
  CHECK(tree.feed(1).leases() == 0);
  tree.stop(1);
  tree.run(2s);
  CHECK(tree.counter(relay, "elsewhere_known") >= 1);
  CHECK(tree.counter(relay, "elsewhere_learnt") == 1);
  REQUIRE(tree.feed(relay).parents().size() == 2);
  CHECK(tree.feed(relay).learnt(1));
  CHECK_FALSE(tree.feed(relay).learnt(0));
  CHECK(tree.feed(relay).parents()[1].live(tree.now().mono));
  tree.restart(1);
  tree.run(15s);
  CHECK(tree.lost_by(l) == 0);
  CHECK(tree.good(l) > 18 * 50);
  tree.feed(relay).set_edges({}, {}, tree.now());
  tree.run(6s);
  REQUIRE(tree.feed(relay).parents().size() == 1);
  CHECK(tree.feed(relay).parents()[0].live(tree.now().mono));
  CHECK(tree.lost_by(l) == 0);
}

TEST_CASE("where an edge that is named does not let a relay in, nobody waits for that relay") {
  VirtualTree tree{5};
  tree.add({.origin = true});
  tree.add({.parents = {0}, .pinned = true, .elsewhere = {2}});
  tree.add({.parents = {0}, .pinned = true, .downstreams = std::vector<std::size_t>{}});
  const auto relay = tree.add({.parents = {1}, .pinned = true, .knows_edges = true});
  tree.run(3s);
  tree.drain(1);
  tree.run(4s);
  CHECK(tree.counter(relay, "elsewhere_learnt") == 1);
  CHECK(tree.feed(1).leases() == 1);
  CHECK(tree.feed(1).staying() == 1);
}

TEST_CASE("one edge's word that it speaks another version ends nothing while another one may serve") {
  for (const bool both : {false, true}) {
    CAPTURE(both);
    VirtualTree tree{6};
    tree.add({.origin = true});
    for (int i = 0; i < 3; ++i) tree.add({.parents = {0}, .pinned = true});
    bool silent = true;  // the other one
    tree.drops = [&](const Endpoint& from, const Endpoint& to, Bytes datagram) {
      const auto hello = wire::parse_hello(datagram);
      if (to == VirtualTree::address_of(1) || (both && to == VirtualTree::address_of(2))) {
        if (!hello) return true;
        wire::Retry forged;
        forged.lowest = forged.highest = wire::kVersion + 1;
        forged.challenge.nonce = hello->nonce;
        std::array<std::uint8_t, wire::kRetry> retry{};
        wire::write_retry(retry, forged);
        tree.at(tree.time() + 1ms, [&tree, from, to, retry] { tree.send(to, from, retry); });
        return true;
      }
      return silent && to == VirtualTree::address_of(2);
    };
    tree.run(1s);
    const auto l = tree.listen({.parents = {1, 2}});
    tree.run(3s);
    REQUIRE(tree.listener(l).parents()[0].barred());
    CHECK(tree.listener(l).barred() == both);
    CHECK(tree.listener(l).diagnose({"one", "two"}).stage == node::Diagnosis::Stage::version);
    silent = false;
    tree.run(4s);
    CHECK(tree.listener(l).joined() == !both);
    // Nor while there is one that nobody has asked yet.
    const auto m = tree.listen({.parents = {1, 2, 3}});
    tree.run(500ms);
    CHECK_FALSE(tree.listener(m).barred());
    tree.run(3s);
    CHECK(tree.listener(m).joined());
  }
}

TEST_CASE("an edge that was learnt and is found elsewhere now is joined there, and left where it was") {
  Edges tree{8, {2}};
  const auto relay = tree.add({.parents = {1}, .pinned = true, .knows_edges = true});
  const auto l = tree.listen({.parents = {relay}});
  tree.run(3s);
  tree.drain(1);
  CHECK(tree.empties(1));
  tree.stop(1);
  tree.run(2s);
  REQUIRE(tree.feed(relay).parents().size() == 2);
  REQUIRE(tree.feed(relay).learnt(1));
  tree.feed(relay).find_again(1, 2, tree.now());
  REQUIRE(tree.feed(relay).parents().size() == 3);
  CHECK(tree.feed(relay).retiring(1));
  CHECK(tree.feed(relay).learnt(2));
  CHECK_FALSE(tree.feed(relay).retiring(2));
  tree.run(6s);
  REQUIRE(tree.feed(relay).parents().size() == 2);
  CHECK(tree.feed(relay).learnt(1));
  CHECK_FALSE(tree.feed(relay).retiring(1));
  CHECK(tree.feed(relay).parents()[1].live(tree.now().mono));
  CHECK(tree.lost_by(l) == 0);
}

}  // namespace tiercast::tree_edges_test
