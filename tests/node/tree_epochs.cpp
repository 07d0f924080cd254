// Epochs that come late: who is asked, and how soon again.
#include <doctest/doctest.h>

#include "tests/node/virtual_tree.hpp"

namespace tiercast::tree_epochs_test {

using test::VirtualTree;

namespace {

/// A relay's ACCEPT brings it epochs of the first one, so that these tests are about the second one.
const std::vector<test::GroupSpec> kTwoGroups{{.id = GroupId{7}, .sources = 2}, {.id = GroupId{8}, .sources = 2}};

/// A CONTROL that may bring an epoch.
bool may_bring_epochs(Bytes datagram) { return datagram[0] == 0x10 && datagram.size() > wire::kEpochRecord; }

}  // namespace

TEST_CASE("an edge that learns the epoch in use late costs its listeners no frame") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    CAPTURE(seed);
    VirtualTree tree{seed, kTwoGroups};
    tree.delay = 10ms;
    const auto origin = tree.add({.origin = true});
    const auto edge = tree.add({.parents = {origin}, .pinned = true});
    const auto l = tree.listen({.parents = {edge}, .group = 1, .playout = 400ms});
    bool late = true;
    tree.drops = [&](const Endpoint& from, const Endpoint&, Bytes d) {
      return late && from == VirtualTree::address_of(origin) && may_bring_epochs(d);
    };
    while (tree.time() < sim::kBegin + 2s && tree.listener_counter(l, "playout_frames_received") == 0) tree.run(1ms);
    REQUIRE(tree.listener_counter(l, "playout_frames_received") == 1);
    tree.run(150ms);
    CHECK(tree.group(edge, 1).epochs.all().empty());
    late = false;
    tree.run(3s);
    CHECK(tree.listener_counter(l, "playout_drop_awaiting_epoch") == 0);
    CHECK(tree.lost_by(l) == 0);
    CHECK(tree.good(l) > 120);
  }
}

TEST_CASE("a listener asks who sent the frame of an unknown epoch, and nobody else") {
  VirtualTree tree{1, kTwoGroups};
  const auto primary = tree.add({.origin = true, .source = 1, .align = 1});
  const auto standby = tree.add({.origin = true, .source = 2, .align = 0});
  const std::array edges{tree.add({.parents = {primary}, .pinned = true}),
                         tree.add({.parents = {standby}, .pinned = true})};
  tree.network.base.jitter = 5ms;
  tree.drops = [&](const Endpoint& from, const Endpoint& to, Bytes d) {
    return from == VirtualTree::address_of(standby) && to == VirtualTree::uplink_of(edges[1], 0) && may_bring_epochs(d);
  };
  tree.run(1s);
  const auto l = tree.listen({.parents = {edges[0], edges[1]}, .group = 1});
  tree.run(30s);
  CHECK(tree.group(edges[1], 1).epochs.all().empty());
  const auto asked = [&](std::size_t parent) {
    return tree.listener(l).parents()[parent].lease()->counters().keepalives_sent.get();
  };
  CHECK(asked(0) <= 1 + 6);  // the first one, and every 5 s
  CHECK(asked(1) > 1 + 10);
  CHECK(tree.lost_by(l) == 0);
}

}  // namespace tiercast::tree_epochs_test
