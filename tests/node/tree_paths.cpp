// A parent that lies about its way to the origin does not cut off those below its child, as long as that has another.
#include "tests/node/virtual_tree.hpp"

namespace tiercast::tree_paths_test {

using namespace tiercast::test;
using namespace std::chrono_literals;

namespace {

/// origin 0 -> 1 -> 2, honest; the liar is 3, below the origin. Both are parents of 4, that of 5, and that of 6.
struct Lied : VirtualTree {
  static constexpr std::size_t kAbove = 2, kLiar = 3, kNode = 4, kChild = 5, kGrandchild = 6;
  explicit Lied(std::vector<std::size_t> claims, std::size_t live = 2) : VirtualTree(1) {
    add({.origin = true});
    add({.parents = {0}, .pinned = true});
    add({.parents = {1}, .pinned = true});
    add({.parents = {0}, .claims = std::move(claims), .pinned = true});
    add({.parents = {kLiar, kAbove}, .pinned = true, .live = live});
  }
  void add_those_below() {
    add({.parents = {kNode}, .pinned = true});
    add({.parents = {kChild}, .pinned = true});
    run(1s);
    listener = listen({.parents = {kGrandchild}});
  }
  bool below(std::size_t child) { return feed(child).parents()[0].live(now().mono); }
  std::size_t listener = 0;
};

}  // namespace

TEST_CASE("a parent's false path is not told where there is another one: nobody below is cut off") {
  const std::vector<std::size_t> claims[] = {{7, 8, 9, 10, 11, 12},                  // too long for anybody below
                                             {Lied::kChild},                         // short, and through the child
                                             {7, Lied::kChild, 0},                   //
                                             {7, 8, Lied::kGrandchild, 0},           // longer than the true one
                                             {7, 8, 9, 10, 11, Lied::kGrandchild}};  // both
  for (const auto& claim : claims) {
    CAPTURE(claim.size());
    Lied tree{claim};
    SUBCASE("from the beginning") {}
    SUBCASE("told before anybody is below") { tree.run(8s); }
    tree.add_those_below();
    tree.run(12s);  // each has heard the paths of some acknowledgements
    CHECK(tree.feed(Lied::kNode).standing().path.size() == 4);
    CHECK(tree.feed(Lied::kNode).standing().path[1] == tree.feed(Lied::kAbove).id());
    CHECK(tree.below(Lied::kChild));
    CHECK(tree.below(Lied::kGrandchild));
    for (const auto n : {Lied::kChild, Lied::kGrandchild}) {
      CHECK(tree.counter(n, "parent_loop") == 0);
      CHECK(tree.counter(n, "parent_denied") == 0);
    }
    // The liar says that it has input; nothing comes any more, and all wait where they are.
    tree.kill(0);
    tree.run(12s);
    for (const auto n : {Lied::kChild, Lied::kGrandchild}) CHECK(tree.counter(n, "parent_loop") == 0);
    tree.restart(0);
    tree.run(3s);
    const auto before = tree.heard(tree.listener).size();
    tree.run(1s);
    CHECK(tree.good(tree.listener, before) == 50);
  }
}

TEST_CASE("a path is told, whatever it is, where there is no other") {
  Lied tree{{7, 8, 9, 10, 11, 12}, 1};
  tree.run(8s);
  REQUIRE(tree.feed(Lied::kNode).parents()[0].duty() == control::Duty::live);
  CHECK(tree.feed(Lied::kNode).standing().path.size() == wire::kMaxPath);
  // Too deep by it; the standby's does not count.
  tree.add({.parents = {Lied::kNode}, .pinned = true});
  tree.run(3s);
  CHECK_FALSE(tree.below(Lied::kChild));
  // It is gone.
  tree.kill(Lied::kLiar);
  tree.run(15s);
  CHECK(tree.feed(Lied::kNode).standing().path.size() == 4);
  CHECK(tree.below(Lied::kChild));
}

TEST_CASE("of two honest parents the nearer one to the origin is told, and counts") {
  VirtualTree tree{2};
  tree.add({.origin = true});
  tree.add({.parents = {0}, .pinned = true});
  tree.add({.parents = {1}, .pinned = true});
  tree.add({.parents = {2, 1}, .pinned = true});
  tree.run(1s);
  const auto l = tree.listen({.parents = {3}});
  tree.run(12s);  // with an acknowledgement since all have input
  CHECK(tree.feed(3).standing().path.size() == 3);
  CHECK(tree.feed(1).tally(node::GroupIndex{0}).listeners == 1);
  CHECK(tree.feed(2).tally(node::GroupIndex{0}).listeners == 0);
  tree.kill(1);  // 2 has nothing, and the way leads nowhere
  tree.run(3s);
  CHECK(tree.feed(3).standing().seeking);
  tree.restart(1);
  tree.run(10s);
  CHECK(tree.feed(3).standing().path.size() == 3);
  CHECK(tree.feed(0).tally(node::GroupIndex{0}).listeners == 1);
  CHECK(tree.good(l) > 12 * 50);
}

}  // namespace tiercast::tree_paths_test
