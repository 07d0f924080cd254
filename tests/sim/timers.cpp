#include "relay/sim/timers.hpp"

#include <doctest/doctest.h>

#include <set>

#include "relay/sim/random.hpp"

namespace tiercast::sim::timers_test {

TEST_CASE("timers: who is due comes in the order of deadlines, then of numbers, as a sorted set has it") {
  SeededRandom random{1};
  Timers timers;
  std::set<std::pair<Time, std::uint32_t>> naive;
  std::vector<Time> at(50, kNever);
  Time now{};
  for (int step = 0; step < 20'000; ++step) {
    const auto id = static_cast<std::uint32_t>(random.below(50));
    const Time next = random.below(5) == 0 ? kNever : now + Duration{static_cast<Duration::rep>(random.below(40))};
    naive.erase({at[id], id});
    if (next != kNever) naive.insert({next, id});
    at[id] = next;
    timers.set(id, next);
    REQUIRE(timers.next() == (naive.empty() ? kNever : naive.begin()->first));
    if (random.below(3) != 0) continue;
    now += Duration{static_cast<Duration::rep>(random.below(10))};
    std::uint32_t who = 0;
    while (timers.take(who, now)) {
      REQUIRE(!naive.empty());
      REQUIRE(naive.begin()->second == who);
      REQUIRE(naive.begin()->first <= now);
      at[who] = kNever;
      naive.erase(naive.begin());
    }
    REQUIRE((naive.empty() || naive.begin()->first > now));
  }
}

}  // namespace tiercast::sim::timers_test
