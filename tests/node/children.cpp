// What a node can tell of those below it: relays by name, and how its listeners fare, through the real agents.
#include <doctest/doctest.h>

#include <numeric>

#include "tests/node/virtual_tree.hpp"

namespace tiercast::children_test {

using test::VirtualTree;

namespace {

const node::Child* child(VirtualTree& tree, std::size_t parent, std::size_t of) {
  for (const node::Child& c : tree.feed(parent).children())
    if (c.key == tree.key_of(of)) return &c;
  return nullptr;
}

std::uint64_t listeners(const VirtualTree& tree, std::size_t n) {
  const auto& by_loss = tree.worker_counters(n).listeners_by_loss;
  return std::accumulate(by_loss.begin(), by_loss.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const Counter& c) { return sum + c.get(); });
}

}  // namespace

TEST_CASE("a node lists its child relays, on whichever worker, with what they say of themselves") {
  VirtualTree tree{41};
  const auto origin = tree.add({.origin = true, .workers = 2});
  const auto one = tree.add({.parents = {origin}, .pinned = true});
  const auto two = tree.add({.parents = {origin}, .pinned = true});
  const auto below = tree.add({.parents = {one}, .pinned = true});
  for (int i = 0; i < 3; ++i) tree.listen({.parents = {one}});
  tree.listen({.parents = {below}});
  tree.listen({.parents = {origin}});
  tree.run(12s);
  REQUIRE(tree.feed(origin).children().size() == 2);
  for (const auto& [relay, count, relays] : {std::tuple{one, 4U, 2U}, std::tuple{two, 0U, 1U}}) {
    const node::Child* c = child(tree, origin, relay);
    REQUIRE(c != nullptr);
    CHECK(c->peer == VirtualTree::uplink_of(relay, 0));
    REQUIRE(c->seen);
    CHECK(c->seen->receives);
    CHECK(c->seen->listeners == count);
    CHECK(c->seen->relays == relays);
    CHECK(c->seen->round_trip_us == 10'000);
    CHECK(c->seen->loss < 655);
  }
  CHECK(control::boot_tag_of(child(tree, origin, one)->lease) != control::boot_tag_of(child(tree, origin, two)->lease));
  CHECK(tree.feed(two).children().empty());
  REQUIRE(tree.feed(one).children().size() == 1);
  CHECK(child(tree, one, below)->seen->listeners == 1);
}

TEST_CASE("a relay of two parents is listed by both and counted by one") {
  VirtualTree tree{42};
  const auto origin = tree.add({.origin = true});
  const auto a = tree.add({.parents = {origin}, .pinned = true});
  const auto b = tree.add({.parents = {origin}, .pinned = true});
  const auto edge = tree.add({.parents = {a, b}, .pinned = true});
  tree.listen({.parents = {edge}});
  tree.run(10s);
  const auto *at_a = child(tree, a, edge), *at_b = child(tree, b, edge);
  REQUIRE((at_a != nullptr && at_b != nullptr && at_a->seen && at_b->seen));
  CHECK((at_a->seen->relays > 0) != (at_b->seen->relays > 0));
  CHECK(at_a->seen->listeners + at_b->seen->listeners == 1);
}

TEST_CASE("a child's loss is told, and a dead child is forgotten with its lease") {
  VirtualTree tree{43};
  const auto origin = tree.add({.origin = true});
  const auto relay = tree.add({.parents = {origin}, .pinned = true});
  tree.run(6s);
  CHECK(child(tree, origin, relay)->seen->loss < 655);
  tree.drops = [&](const Endpoint& from, const Endpoint&, Bytes datagram) {
    return from == VirtualTree::address_of(origin) && datagram[0] == 0x20 && datagram[15] % 2 == 0;
  };
  tree.run(11s);
  CHECK(child(tree, origin, relay)->seen->loss > 10'000);
  tree.kill(relay);
  tree.run(1s);
  CHECK(tree.feed(origin).children().size() == 1);
  tree.restart(relay);
  tree.run(2s);
  CHECK(tree.feed(origin).children().size() == 2);
  tree.run(16s);
  CHECK(tree.feed(origin).children().size() == 1);
}

TEST_CASE("listeners are counted by the loss they report, each once, and gone when they are") {
  VirtualTree tree{46};
  const auto origin = tree.add({.origin = true});
  const auto good = tree.listen({.parents = {origin}});
  const auto bad = tree.listen({.parents = {origin}});
  const auto relay = tree.add({.parents = {origin}, .pinned = true});
  tree.drops = [&](const Endpoint&, const Endpoint& to, Bytes datagram) {
    return to == tree.listener_address(bad, 0) && datagram[0] == 0x20 && datagram[15] % 4 == 0;
  };
  tree.run(12s);
  const auto& by_loss = tree.worker_counters(origin).listeners_by_loss;
  CHECK(listeners(tree, origin) == 2);
  CHECK(by_loss[0].get() == 0);
  // A quarter: above the sixth bound, a tenth, and below the next.
  CHECK(by_loss[7].get() == 1);
  tree.kill_listener(bad);
  tree.run(16s);
  CHECK(listeners(tree, origin) == 1);
  CHECK(by_loss[7].get() == 0);
  tree.kill_listener(good);
  tree.kill(relay);
  tree.run(16s);
  for (const Counter& counted : by_loss) CHECK(counted.get() == 0);
}

TEST_CASE("what came from a parent, and what it did not bring, is kept of each") {
  VirtualTree tree{45};
  const auto origin = tree.add({.origin = true});
  const auto relay = tree.add({.parents = {origin}, .pinned = true});
  tree.run(6s);
  const std::uint64_t before = tree.feed(relay).uplink_figures(0).datagrams;
  const std::uint64_t audio = tree.group(relay).audio_bytes;
  tree.run(1s);
  const std::uint64_t came = tree.feed(relay).uplink_figures(0).datagrams - before;
  CHECK(came >= 50);
  CHECK(came < 60);
  CHECK(tree.feed(relay).uplink_figures(0).loss < 655);
  // Packets of 45 to 164 bytes, 50 a second.
  CHECK(tree.group(relay).audio_bytes - audio > 50 * 45);
  CHECK(tree.group(relay).audio_bytes - audio < 51 * 165);
  tree.talk(false);
  tree.run(2s);
  const std::uint64_t silence = tree.group(relay).audio_bytes;
  tree.run(2s);
  CHECK(tree.group(relay).audio_bytes == silence);
  REQUIRE(tree.group(relay).latency.last());
  CHECK(*tree.group(relay).latency.last() == 5ms);
}

}  // namespace tiercast::children_test
