// Counts up the tree: replaced, removed, bounded, reported on change.
#include "relay/control/tally.hpp"

#include <doctest/doctest.h>

#include <map>

#include "tests/support/counting_allocator.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::control::tally_test {
namespace {

const Time kT0{1000s};
const GroupId kA{1}, kB{2};

TEST_CASE("own leases and the children's last reports add up, per group") {
  Tally tally;
  tally.listener_joined(kA);
  tally.listener_joined(kA);
  tally.relay_joined(kA);
  tally.listener_joined(kB);
  tally.reported(LeaseId{7}, {kA, 100, 3}, kT0);
  tally.reported(LeaseId{8}, {kA, 50, 0}, kT0);
  CHECK(tally.total(kA).listeners == 152);
  CHECK(tally.total(kA).relays == 4);
  CHECK(tally.total(kA).group == kA);
  CHECK(tally.total(kB).listeners == 1);
  tally.reported(LeaseId{7}, {kA, 90, 4}, kT0);  // replaces
  CHECK(tally.total(kA).listeners == 142);
  CHECK(tally.total(kA).relays == 5);
  tally.listener_left(kA);
  tally.relay_left(kA);
  CHECK(tally.total(kA).listeners == 141);
  CHECK(tally.total(kA).relays == 4);
  tally.child_left(LeaseId{7});
  CHECK(tally.total(kA).listeners == 51);
  CHECK(tally.total(kA).relays == 0);
  CHECK(tally.total(GroupId{99}).listeners == 0);
  CHECK(tally.total(GroupId{99}).group == GroupId{99});
  std::uint64_t groups = 0, listeners = 0;
  tally.each_total([&](const wire::Tally& t) {
    ++groups;
    listeners += t.listeners;
  });
  CHECK(groups == 2);
  CHECK(listeners == 52);
}

TEST_CASE("a child that leaves one group keeps the others") {
  Tally tally;
  tally.reported(LeaseId{7}, {kA, 10, 1}, kT0);
  tally.reported(LeaseId{7}, {kB, 20, 2}, kT0);
  tally.child_left(LeaseId{7}, kA);
  tally.child_left(LeaseId{7}, kA);  // twice is as once
  tally.child_left(LeaseId{7}, GroupId{50});
  CHECK(tally.total(kA).listeners == 0);
  CHECK(tally.total(kB).listeners == 20);
}

TEST_CASE("what a child has not said again for a while is forgotten, and counts again once it is said") {
  Tally tally;
  tally.listener_joined(kA);
  tally.reported(LeaseId{7}, {kA, 10, 1}, kT0);
  tally.reported(LeaseId{8}, {kA, 20, 1}, kT0 + 2s);
  tally.expire(kT0 + wire::kTallyLife);
  CHECK(tally.total(kA).listeners == 31);
  tally.expire(kT0 + wire::kTallyLife + 1ms);
  CHECK(tally.total(kA).listeners == 21);
  CHECK(tally.total(kA).relays == 1);
  tally.reported(LeaseId{8}, {kA, 20, 1}, kT0 + 4s);  // the same again
  tally.expire(kT0 + 7s);
  CHECK(tally.total(kA).listeners == 21);
  tally.reported(LeaseId{7}, {kA, 10, 1}, kT0 + 7s);
  CHECK(tally.total(kA).listeners == 31);
  tally.expire(kT0 + 1h);
  CHECK(tally.total(kA).listeners == 1);
}

TEST_CASE("random reports and departures agree with a map") {
  test::SeededRandom random{1};
  Tally tally{64};
  std::map<std::pair<std::uint64_t, std::uint32_t>, std::uint32_t> model;
  for (int i = 0; i < 50'000; ++i) {
    const std::uint64_t child = 1 + random.below(20);
    const auto group = static_cast<std::uint32_t>(1 + random.below(5));
    if (random.below(10) == 0) {
      tally.child_left(LeaseId{child});
      std::erase_if(model, [&](const auto& e) { return e.first.first == child; });
    } else {
      const auto listeners = static_cast<std::uint32_t>(random.below(1000));
      tally.reported(LeaseId{child}, {GroupId{group}, listeners, 2 * listeners}, kT0);
      if (model.size() < 64 || model.contains({child, group})) model[{child, group}] = listeners;
    }
    std::uint32_t expected = 0;
    for (const auto& [key, listeners] : model)
      if (key.second == group) expected += listeners;
    REQUIRE(tally.total(GroupId{group}).listeners == expected);
    REQUIRE(tally.total(GroupId{group}).relays == 2 * expected);
  }
  CHECK(tally.counters().drop_full.get() > 0);
}

TEST_CASE("what children claim saturates, it does not wrap") {
  Tally tally;
  for (std::uint64_t child = 1; child <= 3; ++child) tally.reported(LeaseId{child}, {kA, 0xffffffff, 0xffffffff}, kT0);
  CHECK(tally.total(kA).listeners == 0xffffffff);
  tally.child_left(LeaseId{1});
  tally.child_left(LeaseId{2});
  tally.reported(LeaseId{3}, {kA, 5, 0}, kT0);
  CHECK(tally.total(kA).listeners == 5);
}

TEST_CASE("no more groups than a node may have") {
  Tally tally;
  for (std::uint32_t g = 1; g <= wire::kMaxGroups + 10; ++g) tally.listener_joined(GroupId{g});
  CHECK(tally.counters().drop_full.get() == 10);
  tally.reported(LeaseId{1}, {GroupId{9999}, 1, 1}, kT0);
  CHECK(tally.counters().drop_full.get() == 11);
  CHECK(tally.total(GroupId{9999}).listeners == 0);
}

TEST_CASE("reported on a change at most once a second, and without one every keepalive period") {
  Tally tally;
  CHECK_FALSE(tally.should_report(kT0));
  CHECK(tally.next_report() == kNever);
  tally.listener_joined(kA);
  CHECK(tally.should_report(kT0));
  tally.reported_upstream(kT0);
  CHECK(tally.next_report() == kT0 + 5s);
  tally.listener_joined(kA);
  CHECK_FALSE(tally.should_report(kT0 + 1s - 1ns));
  CHECK(tally.should_report(kT0 + 1s));
  tally.reported_upstream(kT0 + 1s);
  tally.reported(LeaseId{1}, {kA, 5, 0}, kT0);
  CHECK(tally.next_report() == kT0 + 2s);
  tally.reported_upstream(kT0 + 2s);
  tally.reported(LeaseId{1}, {kA, 5, 0}, kT0);  // no change
  CHECK(tally.next_report() == kT0 + 7s);
  CHECK(tally.should_report(kT0 + 7s));
  tally.child_left(LeaseId{2});  // had reported nothing
  CHECK(tally.next_report() == kT0 + 7s);
  tally.child_left(LeaseId{1});
  CHECK(tally.next_report() == kT0 + 3s);
}

TEST_CASE("what one child has reported can be told apart") {
  Tally tally{16};
  tally.reported(LeaseId{1}, {kA, 5, 2}, kT0);
  tally.reported(LeaseId{2}, {kA, 7, 1}, kT0);
  CHECK(tally.reported_by(LeaseId{1}, kA).listeners == 5);
  CHECK(tally.reported_by(LeaseId{1}, kA).relays == 2);
  CHECK(tally.reported_by(LeaseId{2}, kA).listeners == 7);
  CHECK(tally.reported_by(LeaseId{3}, kA).listeners == 0);
  CHECK(tally.reported_by(LeaseId{1}, GroupId{99}).listeners == 0);
  tally.child_left(LeaseId{1});
  CHECK(tally.reported_by(LeaseId{1}, kA).relays == 0);
}

TEST_CASE("nothing is allocated after construction") {
  Tally tally{16};
  const test::AllocationCount allocations;
  for (std::uint32_t i = 1; i < 300; ++i) {
    tally.listener_joined(GroupId{i});
    tally.reported(LeaseId{i}, {GroupId{i}, i, i}, kT0);
    if (i % 3 == 0) tally.child_left(LeaseId{i});
  }
  const auto count = allocations.count();
  CHECK(count == 0);
}

}  // namespace
}  // namespace tiercast::control::tally_test
