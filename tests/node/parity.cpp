// Parity through the real agents: an edge makes it for its listeners, who need hardly ask any more.
#include <doctest/doctest.h>

#include "tests/node/virtual_tree.hpp"

namespace tiercast::parity_test {

using test::VirtualTree;

namespace {

constexpr forward::ParityShape kShape{10, 2};

struct Tree : VirtualTree {
  explicit Tree(std::uint64_t seed, Duration of_last_link) : VirtualTree(seed) {
    delay = of_last_link;
    network.set_both({true, 0}, {true, 1}, {});
    origin = add({.origin = true});
    edge = add({.parents = {origin}, .pinned = true});
    run(1s);
  }
  void listen_all(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) listeners.push_back(listen({.parents = {edge}, .strict = i == 0}));
  }
  /// From now on the edge's listeners lose so much of what it sends.
  void lose(double share) {
    drops = [this, share](const Endpoint& from, const Endpoint& to, Bytes datagram) {
      if (datagram[0] == 0x21)
        ++(to.port == sim::kPublicPort || is_uplink(to) ? parity_to_relays : parity_to_listeners);
      return from == address_of(edge) && !is_uplink(to) && static_cast<double>(random.u64() >> 11) * 0x1.0p-53 < share;
    };
  }
  std::uint64_t sum(const std::string& counter_name) {
    std::uint64_t all = 0;
    for (const auto l : listeners) all += listener_counter(l, counter_name);
    return all;
  }
  std::size_t frames_lost() const {
    std::size_t all = 0;
    for (const auto l : listeners) all += lost_by(l);
    return all;
  }
  bool is_uplink(const Endpoint& to) const { return to == uplink_of(origin, 0) || to == uplink_of(edge, 0); }
  test::SeededRandom random{77};
  std::size_t origin = 0, edge = 0;
  std::vector<std::size_t> listeners;
  std::uint64_t parity_to_relays = 0, parity_to_listeners = 0;
};

}  // namespace

TEST_CASE("with parity, listeners that lose 5 % hear all and ask for little of it") {
  std::uint64_t asked_without = 0;
  for (const bool parity : {false, true}) {
    CAPTURE(parity);
    Tree tree{1, 10ms};
    if (parity) tree.feed(tree.edge).set_parity(node::GroupIndex{0}, kShape);
    tree.listen_all(10);
    tree.run(1s);
    tree.lose(0.05);
    tree.run(40s);
    CHECK(tree.frames_lost() == 0);
    for (const auto l : tree.listeners) CHECK(tree.good(l) > 1900);
    CHECK(tree.parity_to_relays == 0);
    CHECK(tree.parity_to_listeners >= (parity ? 3900 : 0));
    CHECK(tree.parity_to_listeners < (parity ? 4100 : 1));
    const std::uint64_t missing = tree.sum("repair_missing");
    CHECK(missing > 800);
    if (!parity) {
      asked_without = tree.sum("repair_asked");
      CHECK(tree.sum("repair_parity") == 0);
      continue;
    }
    MESSAGE("missing " << missing << ", by parity " << tree.sum("repair_parity") << ", resent "
                       << tree.sum("repair_resent") << ", asked " << tree.sum("repair_asked") << " instead of "
                       << asked_without);
    CHECK(tree.sum("repair_parity") * 10 > missing * 8);
    CHECK(tree.sum("repair_asked") * 4 < asked_without);
  }
}

TEST_CASE("where an answer takes too long for more than one, parity repairs what asking cannot") {
  std::size_t lost_without = 0;
  for (const bool parity : {false, true}) {
    Tree tree{2, 160ms};  // an answer comes 320 ms later, and is waited for for 300
    if (parity) tree.feed(tree.edge).set_parity(node::GroupIndex{0}, {8, 3});
    tree.listen_all(6);
    tree.listeners.erase(tree.listeners.begin());  // strict: its playout is longer
    tree.run(2s);
    tree.lose(0.05);
    tree.run(20s);
    if (!parity) lost_without = tree.frames_lost();
    if (parity) CHECK(tree.frames_lost() * 20 < lost_without);
  }
  CHECK(lost_without > 100);
}

TEST_CASE(
    "parity that is forged, altered or of another group makes nobody hear what is false, and costs nobody a frame") {
  Tree tree{3, 5ms};
  tree.feed(tree.edge).set_parity(node::GroupIndex{0}, kShape);
  tree.listen_all(3);
  tree.run(1s);
  test::SeededRandom random{5};
  std::uint64_t forged = 0;
  tree.drops = [&](const Endpoint& from, const Endpoint& to, Bytes datagram) {
    if (from != VirtualTree::address_of(tree.edge) || tree.is_uplink(to)) return false;
    if (datagram[0] == 0x20 && random.below(10) == 0) return true;
    if (datagram[0] != 0x21 || forged % 3 == 2) return false;
    return ++forged, true;
  };
  for (int i = 0; i < 500; ++i) {
    tree.run(20ms);
    std::vector<std::uint8_t> datagram(wire::kParityHeader + 60 + random.below(200));
    random.fill(datagram);
    const std::uint64_t newest = tree.group(tree.edge).group.history.newest().value;
    wire::Header header{wire::Type::parity, 0, SourceId{1}, GroupId{7}, Epoch{1}, Sequence{newest - newest % 10}};
    wire::write_header(std::span{datagram}.first<wire::kHeader>(), header);
    datagram[16] = 10;
    datagram[17] = 2;
    datagram[18] = static_cast<std::uint8_t>(random.below(2));
    for (const auto l : tree.listeners)
      tree.send(VirtualTree::address_of(tree.edge), tree.listener_address(l, 0), datagram);
    ++forged;
  }
  tree.drops = nullptr;
  tree.run(1s);
  CHECK(tree.frames_lost() == 0);
  for (const auto l : tree.listeners) CHECK(tree.good(l) > 480);  // each as it was sent, or REQUIREd so
  CHECK(tree.sum("parity_drop_inconsistent") > 10);
}

TEST_CASE("parity goes on across epochs and where the edge itself lacks frames for a while, until it is turned off") {
  Tree tree{4, 5ms};
  tree.feed(tree.edge).set_parity(node::GroupIndex{0}, kShape);
  tree.listen_all(3);
  tree.lose(0.05);
  tree.run(5s);
  const auto epoch = tree.group(tree.origin).origin->current_epoch()->epoch;
  (void)tree.feed(tree.origin).rotate(node::GroupIndex{0}, tree.now());  // once the next one is known long enough
  tree.run(35s);
  CHECK(tree.group(tree.origin).origin->current_epoch()->epoch != epoch);
  const std::uint64_t before = tree.sum("repair_parity");
  tree.lost = 0.05;
  tree.run(10s);
  CHECK(tree.sum("repair_parity") > before + 20);
  CHECK(tree.lost_by(tree.listeners[1]) <= 1);
  for (const auto l : tree.listeners) CHECK(tree.good(l) > 900);
  // What a worker takes its load for.
  const auto counted_in = [&] { return tree.group(tree.edge).workers[0].group->parity.on(); };
  CHECK(counted_in());
  tree.feed(tree.edge).set_parity(node::GroupIndex{0}, {});
  tree.run(1s);
  CHECK_FALSE(counted_in());
  const std::uint64_t sent = tree.parity_to_listeners;
  tree.run(5s);
  CHECK(tree.parity_to_listeners == sent);
}

}  // namespace tiercast::parity_test
