// A worker that gets no time on a processor for a while: what its siblings, the feed and its own listeners have of it.
#include <doctest/doctest.h>

#include "tests/node/virtual_tree.hpp"

namespace tiercast::stalled_worker_test {

using test::VirtualTree;

namespace {

struct Stalled {
  Stalled() : origin(tree.add({.origin = true})), edge(tree.add({.parents = {origin}, .pinned = true, .workers = 2})) {
    a = tree.listen({.parents = {edge}});
    b = tree.listen({.parents = {edge}});
    tree.run(3s);
    REQUIRE(tree.destinations(edge, 0) == 1);
    REQUIRE(tree.destinations(edge, 1) == 1);
    // Whose the stalled one's is: who hears nothing more.
    tree.stall_worker(edge, 1, true);
    const auto heard_a = tree.heard(a).size();
    const auto good_a = tree.good(a);
    tree.run(2s);
    if (tree.good(a) < good_a + 50) std::swap(a, b);
    REQUIRE(tree.heard(a).size() > heard_a);
  }
  std::uint64_t skipped(std::size_t w) {
    return tree.worker_counters(edge, w).too_late.get() + tree.worker_counters(edge, w).frames_gone.get() +
           tree.feed(edge).workers()[w].untold;
  }
  VirtualTree tree{41};
  std::size_t origin, edge, a, b;
};

}  // namespace

TEST_CASE("a stalled worker's siblings lose nothing; it skips what came too late, counts that, and goes on") {
  Stalled s;
  s.tree.run(1s);
  s.tree.stall_worker(s.edge, 1, false);
  CHECK(s.skipped(0) == 0);
  CHECK(s.skipped(1) > 100);  // of three seconds all but the last 800 ms
  CHECK(s.tree.counter(s.edge, "feed_drop_worker_ring_full") == 0);
  const auto before = s.tree.heard(s.b).size();
  s.tree.run(4s);
  CHECK(s.tree.lost_by(s.a) == 0);
  CHECK(s.tree.good(s.a) > 8 * 50);
  CHECK(s.tree.heard(s.b).size() > before + 100);
  CHECK(s.tree.heard(s.b).back().as_sent);
  const auto late = s.skipped(1);
  s.tree.run(16s);
  CHECK(s.skipped(1) == late);
  CHECK(s.tree.destinations(s.edge, 0) + s.tree.destinations(s.edge, 1) == 2);  // it may have joined anew meanwhile
}

TEST_CASE("who joins while a worker stands still is given to another one, and denied where all do") {
  Stalled s;
  const auto c = s.tree.listen({.parents = {s.edge}}), d = s.tree.listen({.parents = {s.edge}});
  s.tree.run(2s);
  CHECK(s.tree.destinations(s.edge, 0) >= 3);
  CHECK(s.tree.good(c) > 50);
  CHECK(s.tree.good(d) > 50);
  s.tree.stall_worker(s.edge, 0, true);
  s.tree.run(2s);
  const auto e = s.tree.listen({.parents = {s.edge}});
  s.tree.run(1s);
  REQUIRE(s.tree.listener(e).parents()[0].denial());
  CHECK(s.tree.listener(e).parents()[0].denial()->reason == wire::DenyReason::full);
  s.tree.stall_worker(s.edge, 0, false);
  s.tree.stall_worker(s.edge, 1, false);
  s.tree.run(8s);
  CHECK(s.tree.heard(e).back().as_sent);
}

TEST_CASE(
    "a worker that stands still until its ring is full skips what that cannot take, and lacks nothing afterwards") {
  Stalled s;
  s.tree.run(90s);
  const std::uint64_t untold = s.tree.feed(s.edge).workers()[1].untold;
  CHECK(untold > 0);
  CHECK(s.tree.feed(s.edge).workers()[0].untold == 0);
  CHECK(s.tree.counter(s.edge, "feed_drop_worker_ring_full") == untold);
  // What must not be lost, told while there was no room: an epoch, and the end of a relay's right.
  REQUIRE(s.tree.feed(s.origin).rotate(node::GroupIndex{0}, s.tree.now()).empty());
  s.tree.run(5s);
  s.tree.stall_worker(s.edge, 1, false);
  s.tree.run(1s);
  const auto f = s.tree.listen({.parents = {s.edge}}), g = s.tree.listen({.parents = {s.edge}});
  s.tree.run(5s);
  for (const std::size_t listener : {s.a, s.b, f, g}) {
    CAPTURE(listener);
    CHECK(s.tree.heard(listener).back().as_sent);
  }
  CHECK(s.tree.lost_by(s.a) == 0);
  CHECK(s.tree.destinations(s.edge, 1) >= 1);  // it serves again
  CHECK(s.tree.lost_by(f) + s.tree.lost_by(g) == 0);
}

TEST_CASE("a worker whose ring is full when the node stops says goodbye as soon as it goes on") {
  Stalled s;
  s.tree.run(90s);
  REQUIRE(s.tree.feed(s.edge).workers()[1].untold > 0);
  s.tree.feed(s.edge).stop(s.tree.now());
  s.tree.run(1s);
  CHECK(s.tree.feed(s.edge).workers()[0].stopped);
  CHECK_FALSE(s.tree.feed(s.edge).stopped());
  s.tree.stall_worker(s.edge, 1, false);
  s.tree.run(1s);
  CHECK(s.tree.feed(s.edge).stopped());
}

TEST_CASE("each worker records the way of each frame that it sends") {
  VirtualTree tree{42};
  const auto origin = tree.add({.origin = true});
  const auto edge = tree.add({.parents = {origin}, .pinned = true, .workers = 2});
  tree.listen({.parents = {edge}});
  tree.run(3s);
  std::uint64_t taken[2]{}, sent[2]{};
  for (std::size_t w = 0; w < 2; ++w) {
    tree.passage(edge, w).each([&](const std::string& name, const node::Passage::Times& times) {
      node::Passage::Times::Sum sum;
      times.add_to(sum);
      if (name == "hand_off") taken[w] = sum.count();
      if (name == "first_send") sent[w] = sum.count();
    });
    CHECK(taken[w] == tree.worker_counters(edge, w).frames.get());
  }
  CHECK(taken[0] > 100);
  CHECK(std::max(sent[0], sent[1]) > 100);
  CHECK(std::min(sent[0], sent[1]) == 0);  // it has nobody to send to
}

}  // namespace tiercast::stalled_worker_test
