#include "relay/node/worker_link.hpp"

#include <doctest/doctest.h>

namespace tiercast::worker_link_test {

using node::WorkerLink;

namespace {
struct Fixture {
  Fixture() { link.commands = &ring; }
  void push(Time now) {
    link.watch(now);
    ring.push(node::Stop{});
  }
  SpscRing<node::Command> ring{64};
  WorkerLink link{Lane{0}, 1, nullptr, nullptr, nullptr, node::FreeSlots{1}, {}, {}};
};
constexpr Time kStart{1h};
}  // namespace

TEST_CASE("a worker whose commands wait for a second stands still, until it takes one") {
  Fixture f;
  f.push(kStart);
  CHECK_FALSE(f.link.stands_still(kStart + 1s));
  CHECK(f.link.stands_still(kStart + 1001ms));
  f.push(kStart + 2s);
  CHECK(f.link.stands_still(kStart + 2s));
  REQUIRE(f.ring.pop());
  CHECK_FALSE(f.link.stands_still(kStart + 3s));  // one waits still, but it goes on
  CHECK(f.link.stands_still(kStart + 4001ms));
}

TEST_CASE("a worker that is told nothing, or has taken all, does not stand still, however long that is") {
  Fixture f;
  CHECK_FALSE(f.link.stands_still(kStart));
  CHECK_FALSE(f.link.stands_still(kStart + 1h));
  f.push(kStart + 2h);
  CHECK_FALSE(f.link.stands_still(kStart + 2h));
  REQUIRE(f.ring.pop());
  f.push(kStart + 3h);  // nobody has looked since it took the one before
  CHECK_FALSE(f.link.stands_still(kStart + 3h));
}

}  // namespace tiercast::worker_link_test
