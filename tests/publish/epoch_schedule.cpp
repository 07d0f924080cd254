#include "relay/publish/epoch_schedule.hpp"

#include <doctest/doctest.h>

#include <map>
#include <set>
#include <vector>

#include "tests/support/seeded_random.hpp"

namespace tiercast::publish::epoch_schedule_test {
namespace {

constexpr std::int64_t kUnix = 1'700'000'000;

/// A schedule with a disk that always works, on a virtual clock.
struct Origin {
  explicit Origin(EpochState stored = {}, Duration every = 0s, std::int64_t unix_s = kUnix)
      : wall_offset(std::chrono::seconds{unix_s}),
        disk(stored),
        schedule(GroupId{7}, SourceId{2}, stored, every, random(), moment()) {}
  static Random& random() {
    static test::SeededRandom one{42};
    return one;
  }
  Moment moment() const {
    return {now, WallTime{wall_offset + std::chrono::duration_cast<std::chrono::microseconds>(now - Time{})}};
  }
  bool save() {
    const auto state = schedule.to_persist(now);
    if (!state) return false;
    disk = *state;
    schedule.on_persisted(now);
    return true;
  }
  void run(Duration d) {
    const Time end = now + d;
    while (schedule.next_deadline() <= end) {
      now = std::max(now, schedule.next_deadline());
      schedule.on_timer(moment());
      REQUIRE(save());
    }
    now = end;
  }
  Epoch current() const { return schedule.current()->epoch; }

  Time now = Time{};
  std::chrono::microseconds wall_offset;
  EpochState disk;
  EpochSchedule schedule;
};

TEST_CASE("nothing is used or announced before it is on disk") {
  Origin origin;
  CHECK_FALSE(origin.schedule.current());
  CHECK(origin.schedule.announced().empty());
  CHECK(origin.schedule.next_deadline() <= origin.now);
  const auto state = origin.schedule.to_persist(origin.now);
  REQUIRE(state);
  CHECK_FALSE(origin.schedule.current());
  CHECK_FALSE(origin.schedule.to_persist(origin.now));
  origin.schedule.on_persisted(origin.now);
  REQUIRE(origin.schedule.current());
  CHECK(origin.schedule.current()->epoch == state->current->number);
  CHECK(origin.schedule.current()->value == state->current->value);
}

TEST_CASE("the first start makes three, numbered from the clock on, each with its own value") {
  Origin origin;
  REQUIRE(origin.save());
  const auto all = origin.schedule.announced();
  REQUIRE(all.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(all[i].group == GroupId{7});
    CHECK(all[i].source == SourceId{2});
    CHECK(all[i].epoch == Epoch{static_cast<std::uint32_t>(kUnix + static_cast<std::int64_t>(i))});
  }
  CHECK(all[0].value != all[1].value);
  CHECK(all[1].value != all[2].value);
  CHECK(origin.disk.highest == all[2].epoch);
}

TEST_CASE("every start uses the next announced epoch") {
  Origin first;
  first.save();
  const auto before = first.schedule.announced();
  Origin second{first.disk, 0s, kUnix + 100};
  second.save();
  const auto after = second.schedule.announced();
  CHECK(after[0].epoch == before[1].epoch);
  CHECK(after[0].value == before[1].value);
  CHECK(after[1].epoch == before[2].epoch);
  CHECK(after[2].epoch == Epoch{kUnix + 100});
}

TEST_CASE("numbers rise by one when the clock stands behind") {
  Origin first{{}, 0s, kUnix};
  first.save();
  Origin second{first.disk, 0s, 1000};
  second.save();
  CHECK(second.schedule.announced()[2].epoch == Epoch{kUnix + 3});
}

TEST_CASE("numbers go on where the stored epochs must not be used") {
  EpochState stored;
  stored.highest = Epoch{kUnix + 500};
  Origin origin{stored};
  origin.save();
  CHECK(origin.current() == Epoch{kUnix + 501});
  CHECK(origin.schedule.announced().size() == 3);
}

TEST_CASE("rotation by time goes to the next announced one") {
  Origin origin{{}, 1h};
  origin.save();
  const auto before = origin.schedule.announced();
  CHECK(origin.schedule.next_deadline() == origin.now + 1h);
  origin.run(1h - 1ns);
  CHECK(origin.current() == before[0].epoch);
  origin.run(1ns);
  const auto after = origin.schedule.announced();
  CHECK(after[0].epoch == before[1].epoch);
  CHECK(after[1].epoch == before[2].epoch);
  CHECK(after[2].epoch == Epoch{kUnix + 3600});
  CHECK(origin.schedule.changes() == 2);
}

TEST_CASE("a rotation shorter than an announcement's age waits for it") {
  Origin origin{{}, 1s};
  origin.save();
  std::vector<Time> since;
  Epoch last = origin.current();
  for (int i = 0; i < 200; ++i) {
    origin.run(1s);
    if (origin.current() != last) since.push_back(origin.now);
    last = origin.current();
  }
  REQUIRE(since.size() > 5);
  CHECK(since[0] == Time{} + 30s);
  CHECK(since[1] == Time{} + 31s);  // announced with the first
  CHECK(since[2] == Time{} + 60s);
  CHECK(since[3] == Time{} + 61s);
}

TEST_CASE("a command rotates at once to a known epoch, else says when") {
  Origin origin;
  origin.save();
  origin.now += 10s;
  const Epoch before = origin.current();
  CHECK(origin.schedule.request_rotation(origin.now) == Time{} + 30s);
  CHECK(origin.schedule.next_deadline() == Time{} + 30s);
  origin.run(20s - 1ns);
  CHECK(origin.current() == before);
  origin.run(1ns);
  CHECK(origin.current() == Epoch{before.value + 1});
  origin.run(1h);
  CHECK(origin.current() == Epoch{before.value + 1});  // once
  CHECK(origin.schedule.request_rotation(origin.now) == origin.now);
}

TEST_CASE("a timer that runs early rotates to no epoch that is too young") {
  Origin origin{{}, 1s};
  origin.save();
  origin.schedule.request_rotation(origin.now);
  origin.now += 29s;
  origin.schedule.on_timer(origin.moment());
  CHECK_FALSE(origin.save());
}

TEST_CASE("a rotation asked for during the start is still to come after it") {
  Origin origin;
  CHECK(origin.schedule.request_rotation(origin.now) == origin.now + 30s);
  origin.save();
  const Epoch before = origin.current();
  origin.run(30s);
  CHECK(origin.current() > before);
}

TEST_CASE("an epoch announced by the process before counts by its age") {
  Origin first;
  first.save();
  Origin late{first.disk, 0s, kUnix + 100};
  late.save();
  CHECK(late.schedule.request_rotation(late.now) == late.now);
  Origin soon{first.disk, 0s, kUnix + 10};
  soon.save();
  CHECK(soon.schedule.request_rotation(soon.now) == soon.now + 20s);
  Origin set_back{first.disk, 0s, kUnix - 1000};
  set_back.save();
  CHECK(set_back.schedule.request_rotation(set_back.now) == set_back.now + 30s);
}

TEST_CASE("a discard replaces both announced epochs, keeps the current one, and no number comes back") {
  Origin origin;
  origin.save();
  origin.now += 100s;
  const auto before = origin.schedule.announced();
  origin.schedule.discard_announced(origin.moment());
  CHECK(origin.schedule.request_rotation(origin.now) == origin.now + 30s);
  CHECK(origin.schedule.announced()[1].epoch == before[1].epoch);
  REQUIRE(origin.save());
  const auto after = origin.schedule.announced();
  CHECK(after[0].epoch == before[0].epoch);
  CHECK(after[1].epoch == Epoch{kUnix + 100});
  CHECK(after[2].epoch == Epoch{kUnix + 101});
  CHECK(after[1].value != before[1].value);
  origin.run(30s);
  CHECK(origin.current() == after[1].epoch);
}

TEST_CASE("a discard during a save comes after it") {
  Origin origin;
  origin.save();
  origin.now += 100s;
  origin.schedule.request_rotation(origin.now);
  origin.schedule.on_timer(origin.moment());
  const auto state = origin.schedule.to_persist(origin.now);
  REQUIRE(state);
  origin.schedule.discard_announced(origin.moment());
  origin.schedule.on_persisted(origin.now);
  const auto between = origin.schedule.announced();
  CHECK(origin.schedule.next_deadline() <= origin.now);
  origin.schedule.on_timer(origin.moment());
  REQUIRE(origin.save());
  CHECK(origin.schedule.announced()[0].epoch == between[0].epoch);
  CHECK(origin.schedule.announced()[1].epoch > between[2].epoch);
}

TEST_CASE("while the disk fails the old epoch goes on, and the same state is asked for again") {
  Origin origin;
  origin.save();
  origin.now += 100s;
  const Epoch before = origin.current();
  origin.schedule.request_rotation(origin.now);
  origin.schedule.on_timer(origin.moment());
  const auto first = origin.schedule.to_persist(origin.now);
  REQUIRE(first);
  origin.schedule.on_persist_failed(origin.now);
  CHECK(origin.current() == before);
  CHECK_FALSE(origin.schedule.to_persist(origin.now));
  CHECK(origin.schedule.next_deadline() == origin.now + 1s);
  origin.now += 1s;
  const auto second = origin.schedule.to_persist(origin.now);
  REQUIRE(second);
  CHECK(second->current == first->current);
  CHECK(second->announced[1] == first->announced[1]);
  origin.schedule.on_persisted(origin.now);
  CHECK(origin.current() > before);
}

TEST_CASE(
    "over any history of starts, crashes, rotations and discards no epoch is used twice nor announced as two values") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    test::SeededRandom dice{seed};
    EpochState disk;
    std::set<std::uint32_t> used;
    std::map<std::uint32_t, wire::EpochValue> announced;
    std::int64_t unix_s = kUnix;
    for (int start = 0; start < 20; ++start) {
      unix_s += static_cast<std::int64_t>(dice.below(100)) - 30;
      Origin origin{disk, dice.below(2) == 0 ? Duration{0s} : Duration{40s}, unix_s};
      Epoch current;
      for (int step = 0; step < 40; ++step) {
        if (const auto state = origin.schedule.to_persist(origin.now)) {
          const auto fate = dice.below(4);
          if (fate == 0) {
            origin.schedule.on_persist_failed(origin.now);
          } else {
            disk = *state;
            if (fate == 1 && step > 0) break;  // written, and then the process is gone
            origin.schedule.on_persisted(origin.now);
          }
        }
        if (const auto now_current = origin.schedule.current(); now_current && now_current->epoch != current) {
          REQUIRE(now_current->epoch > current);
          current = now_current->epoch;
          REQUIRE(used.insert(current.value).second);
          REQUIRE(disk.current->number == current);
        }
        for (const auto& record : origin.schedule.announced()) {
          const auto known = announced.emplace(record.epoch.value, record.value).first;
          REQUIRE(known->second == record.value);
        }
        if (dice.below(10) == 0) origin.schedule.request_rotation(origin.now);
        if (dice.below(20) == 0) origin.schedule.discard_announced(origin.moment());
        origin.now += std::chrono::seconds{dice.below(20)};
        origin.schedule.on_timer(origin.moment());
      }
    }
    CHECK(used.size() > 10);
  }
}

}  // namespace
}  // namespace tiercast::publish::epoch_schedule_test
