// Groups, parents and relays that come and go in the middle of a broadcast: what they are promised, and that nobody
// else notices.
#include <doctest/doctest.h>

#include "tests/node/virtual_tree.hpp"

namespace tiercast::tree_changes_test {

using test::VirtualTree;

namespace {
const std::vector<test::GroupSpec> kTwoGroups{{GroupId{7}, 20}, {GroupId{8}, 20}};
}

TEST_CASE("a group added to running relays is heard below them, and the others' frames and leases are untouched") {
  VirtualTree tree{1, kTwoGroups};
  const auto origin = tree.add({.origin = true});
  const auto relay = tree.add({.parents = {origin}, .groups = {0}, .workers = 2});
  const auto edge = tree.add({.parents = {relay}, .groups = {0}, .workers = 2});
  const auto a = tree.listen({.parents = {edge}});
  tree.run(3s);
  const auto early = tree.listen({.parents = {edge}, .group = 1});
  tree.run(1s);
  CHECK(tree.listener(early).parents()[0].denial()->reason == wire::DenyReason::unknown_group);
  tree.carry(relay, 1);
  tree.carry(edge, 1);
  const auto b = tree.listen({.parents = {edge}, .group = 1, .strict = true});
  tree.run(10s);
  CHECK(tree.good(b) > 8 * 50);
  CHECK(tree.lost_by(b) == 0);
  CHECK(tree.good(early) > 50);  // it asked again by itself
  CHECK(tree.good(a) > 12 * 50);
  CHECK(tree.lost_by(a) == 0);
  CHECK(tree.listener_counter(a, "parent_rejoin") + tree.listener_counter(a, "parent_silence") == 0);
  CHECK(tree.conflicts == 0);
}

TEST_CASE("a parent that let a group go, and whose word on it was lost, is asked for it again when it has it again") {
  VirtualTree tree{3, kTwoGroups};
  const auto origin = tree.add({.origin = true});
  const auto one = tree.add({.parents = {origin}, .pinned = true});
  const auto two = tree.add({.parents = {origin}, .pinned = true});
  const auto edge = tree.add({.parents = {one, two}, .pinned = true});
  const auto l = tree.listen({.parents = {edge}, .group = 1});
  tree.run(3s);
  const auto brings = [&](std::size_t p) {
    return tree.group(edge, 1).subscriptions[p].frames.brings(tree.now().mono);
  };
  REQUIRE(brings(0));
  REQUIRE(brings(1));
  bool lost = true;
  tree.drops = [&](const Endpoint& from, const Endpoint& to, Bytes) {
    return lost && from == VirtualTree::address_of(one) && to == VirtualTree::uplink_of(edge, 0);
  };
  tree.carry_no_more(one, 1);
  tree.run(100ms);
  REQUIRE(tree.carry(one, 1));
  lost = false;
  tree.run(1s);
  CHECK_FALSE(brings(0));  // it thinks that it is a member
  tree.run(14s);
  CHECK(brings(0));
  CHECK(brings(1));
  CHECK(tree.lost_by(l) == 0);
}

TEST_CASE("a removed group's members are told, its memory is freed, and the other group goes on; it may come back") {
  VirtualTree tree{2, kTwoGroups};
  const auto origin = tree.add({.origin = true});
  const auto relay = tree.add({.parents = {origin}, .pinned = true, .workers = 2});
  const auto edge = tree.add({.parents = {relay}, .workers = 2});
  const auto a = tree.listen({.parents = {edge}});
  const auto b = tree.listen({.parents = {edge}, .group = 1});
  tree.run(3s);
  const auto heard = tree.good(b);
  CHECK(heard > 100);
  tree.carry_no_more(relay, 1);
  CHECK(tree.feed(relay).leaving() == 0);
  CHECK(tree.feed(relay).groups().size() == 1);
  CHECK(tree.counter(relay, "worker_removed_member") == 1);  // the edge, whose lease goes on for the other group
  CHECK(tree.counter(relay, "worker_ended_lease") == 0);
  tree.run(3s);
  CHECK(tree.good(b) < heard + 50);
  CHECK(tree.counter(edge, "feed_subscription_denied") >= 1);
  CHECK(tree.counter(relay, "lease_installed") == 1);
  tree.carry_no_more(edge, 1);
  CHECK(tree.feed(edge).leaving() == 0);
  CHECK(tree.counter(edge, "worker_ended_lease") == 1);  // the listener, who had nothing else here
  tree.run(8s);
  REQUIRE(tree.listener(b).parents()[0].denial());
  CHECK(tree.listener(b).parents()[0].denial()->reason == wire::DenyReason::unknown_group);
  tree.carry(relay, 1);
  tree.carry(edge, 1);
  tree.run(10s);
  CHECK(tree.heard(b).back().as_sent);
  CHECK(tree.heard(b).size() > heard + 100);
  CHECK(tree.good(a) > 22 * 50);
  CHECK(tree.lost_by(a) == 0);
  CHECK(tree.listener_counter(a, "parent_rejoin") + tree.listener_counter(a, "parent_silence") == 0);
}

TEST_CASE("groups come and go a thousand times in the same places, and no frame of another is lost") {
  VirtualTree tree{3, kTwoGroups};
  const auto origin = tree.add({.origin = true});
  const auto relay = tree.add({.parents = {origin}, .pinned = true});
  const auto edge = tree.add({.parents = {relay}, .pinned = true, .workers = 2});
  const auto a = tree.listen({.parents = {edge}});
  tree.run(2s);
  for (int i = 0; i < 1000; ++i) {
    tree.carry_no_more(edge, 1);
    tree.run(3ms);
    tree.carry(edge, 1);
    tree.run(4ms);
  }
  tree.run(1s);
  CHECK(tree.feed(edge).leaving() == 0);
  CHECK(tree.group(edge, 1).group.index == node::GroupIndex{1});
  CHECK(tree.lost_by(a) == 0);
  CHECK(tree.good(a) > 8 * 50);
  CHECK(tree.group(edge, 1).subscribed);
}

TEST_CASE("a group with very many members is removed a share at a time, and all are told") {
  VirtualTree tree{4, kTwoGroups};
  const auto origin = tree.add({.origin = true});
  const auto edge = tree.add({.parents = {origin}, .pinned = true});
  const auto a = tree.listen({.parents = {edge}});
  std::vector<std::size_t> others;
  for (int i = 0; i < 200; ++i) others.push_back(tree.listen({.parents = {edge}, .group = 1}));
  tree.run(3s);
  CHECK(tree.destinations(edge, 0, 1) == 200);
  tree.carry_no_more(edge, 1);
  CHECK(tree.feed(edge).leaving() == 1);  // not all at once
  tree.run(1ms);
  CHECK(tree.feed(edge).leaving() == 0);
  CHECK(tree.counter(edge, "worker_removed_member") == 200);
  tree.run(1s);
  for (const auto l : others) CHECK_FALSE(tree.listener(l).parents()[0].leased());
  CHECK(tree.lost_by(a) == 0);
  CHECK(tree.destinations(edge, 0, 0) == 1);
}

TEST_CASE(
    "a worker that stands still hears of what came and went when it goes on, and nothing it holds is freed before") {
  VirtualTree tree{5, {{GroupId{7}, 20}, {GroupId{8}, 20}, {GroupId{9}, 20}}};
  const auto origin = tree.add({.origin = true});
  const auto edge = tree.add({.parents = {origin}, .pinned = true, .groups = {0, 1}});
  const auto a = tree.listen({.parents = {edge}});
  tree.run(2s);
  for (const Duration stalled : {Duration{1s}, Duration{60s}}) {  // its ring has room, and has none
    CAPTURE(stalled.count());
    tree.stall(edge, true);
    tree.run(stalled);
    CHECK((tree.counter(edge, "feed_drop_worker_ring_full") > 0) == (stalled > 10s));
    tree.carry_no_more(edge, 1);
    tree.run(1s);
    CHECK(tree.feed(edge).leaving() == 1);
    CHECK_FALSE(tree.carry(edge, 1));  // what a worker counts of it goes by its id
    CHECK(tree.carry(edge, 2));        // another place, for the old one is still held
    CHECK(tree.group(edge, 1).group.index == node::GroupIndex{2});
    tree.stall(edge, false);
    tree.run(1s);
    CHECK(tree.feed(edge).leaving() == 0);
    CHECK(tree.carry(edge, 1));
    const auto b = tree.listen({.parents = {edge}, .group = 1});
    tree.run(5s);
    CHECK(tree.good(b) > 4 * 40);
    tree.kill_listener(b);
    tree.carry_no_more(edge, 2);
    tree.run(1s);
  }
  tree.run(10s);
  CHECK(tree.heard(a).back().as_sent);
}

TEST_CASE("a new parent is used at once, and one that is given up is left when another one brings frames") {
  VirtualTree tree{6};
  const auto origin = tree.add({.origin = true});
  const auto one = tree.add({.parents = {origin}, .pinned = true});
  const auto two = tree.add({.parents = {origin}, .pinned = true});
  const auto edge = tree.add({.parents = {one}});
  const auto a = tree.listen({.parents = {edge}, .strict = true});
  tree.run(3s);
  tree.add_parent(edge, two);
  tree.retire_parent(edge, one);
  CHECK(tree.feed(edge).parents().size() == 2);
  tree.run(1s);
  REQUIRE(tree.feed(edge).parents().size() == 1);
  CHECK(tree.feed(edge).parents()[0].live(tree.now().mono));
  CHECK(tree.feed(edge).standing().path.size() == 3);
  CHECK(tree.counter(one, "lease_left") == 1);
  tree.kill(one);
  tree.run(5s);
  // And the other way round, a hundred times.
  tree.restart(one);
  for (int i = 0; i < 100; ++i) {
    tree.add_parent(edge, i % 2 == 0 ? one : two);
    tree.retire_parent(edge, i % 2 == 0 ? two : one);
    tree.run(600ms);
    REQUIRE(tree.feed(edge).parents().size() <= 2);
  }
  tree.run(6s);
  CHECK(tree.feed(edge).parents().size() == 1);
  CHECK(tree.lost_by(a) == 0);
  CHECK(tree.good(a) > 30 * 50);
  CHECK(tree.conflicts == 0);
  CHECK(tree.feed(origin).tally(node::GroupIndex{0}).listeners == 1);
}

TEST_CASE("a parent that is given up for one that never comes is left after five seconds; the only one at once") {
  VirtualTree tree{7};
  const auto origin = tree.add({.origin = true});
  const auto dead = tree.add({.parents = {origin}});
  const auto edge = tree.add({.parents = {origin}, .pinned = true});
  tree.kill(dead);
  tree.run(2s);
  tree.add_parent(edge, dead);
  tree.retire_parent(edge, origin);
  tree.run(4s);
  CHECK(tree.feed(edge).parents().size() == 2);
  CHECK(tree.feed(edge).parents()[0].live(tree.now().mono));
  tree.run(2s);
  CHECK(tree.feed(edge).parents().size() == 1);
  CHECK(tree.feed(edge).standing().seeking);
  tree.retire_parent(edge, dead);
  tree.run(100ms);
  CHECK(tree.feed(edge).parents().empty());
  CHECK_FALSE(tree.feed(edge).standing().seeking);
  CHECK(tree.feed(edge).standing().path.size() == 1);
  tree.add_parent(edge, origin);
  const auto a = tree.listen({.parents = {edge}});
  tree.run(3s);
  CHECK(tree.good(a) > 2 * 45);
}

TEST_CASE("a relay that is no downstream any more loses its lease at once and gets none; the others keep theirs") {
  VirtualTree tree{8};
  const auto origin = tree.add({.origin = true, .workers = 2});
  const auto one = tree.add({.parents = {origin}, .pinned = true});
  const auto two = tree.add({.parents = {origin}, .pinned = true});
  const auto edge = tree.add({.parents = {one, two}, .pinned = true});
  const auto a = tree.listen({.parents = {edge}});
  const auto at_origin = tree.listen({.parents = {origin}});
  tree.run(3s);
  tree.allow(origin, {two, edge});
  CHECK(tree.counter(origin, "worker_ended_lease") == 1);
  tree.run(3s);
  REQUIRE(tree.feed(one).parents()[0].denial());
  CHECK(tree.feed(one).parents()[0].denial()->reason == wire::DenyReason::not_allowed);
  CHECK(tree.feed(two).parents()[0].live(tree.now().mono));
  CHECK(tree.counter(origin, "lease_installed") == 3);
  tree.allow(origin, {one, two, edge});
  tree.run(9s);
  CHECK(tree.feed(one).parents()[0].live(tree.now().mono));
  for (const auto l : {a, at_origin}) {
    CAPTURE(l);
    CHECK(tree.lost_by(l) == 0);
    CHECK(tree.good(l) > 14 * 50);
  }
}

}  // namespace tiercast::tree_changes_test
