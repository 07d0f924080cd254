// The timer wheel next to a sorted map.
#include "relay/control/expiry_wheel.hpp"

#include <doctest/doctest.h>

#include <map>
#include <vector>

#include "tests/support/seeded_random.hpp"

namespace tiercast::control::expiry_wheel_test {
namespace {

struct Wheel {
  ExpiryWheel wheel;
  std::vector<ExpiryWheel::Links> items = std::vector<ExpiryWheel::Links>(200);
  auto links() {
    return [this](std::uint32_t i) -> ExpiryWheel::Links& { return items[i]; };
  }
};

Time at(std::uint64_t unit) { return ExpiryWheel::time_of(unit); }

TEST_CASE("units: a time on the step is its own, one beyond it belongs to the next step") {
  CHECK(ExpiryWheel::unit_at_or_after(Time{100ms}) == 1);
  CHECK(ExpiryWheel::unit_at_or_after(Time{100ms + 1ns}) == 2);
  CHECK(ExpiryWheel::unit_of(Time{199ms}) == 1);
  CHECK(at(7) == Time{700ms});
}

TEST_CASE("an item comes at its unit, not a nanosecond before") {
  Wheel w;
  CHECK(w.wheel.next_deadline() == kNever);
  CHECK_FALSE(w.wheel.come(Time{1000s}));
  w.wheel.enter(3, 10'150, w.links(), at(10'000));
  CHECK(w.wheel.next_deadline() == at(10'150));
  CHECK_FALSE(w.wheel.come(at(10'150) - 1ns));
  CHECK(w.wheel.come(at(10'150)) == 3u);
  w.wheel.leave(3, w.links());
  CHECK(w.wheel.next_deadline() == kNever);
  CHECK(w.wheel.size() == 0);
}

TEST_CASE("random entering, moving, leaving and late coming agree with a sorted map") {
  test::SeededRandom random{7};
  Wheel w;
  std::map<std::uint32_t, std::uint64_t> due;  // item -> unit
  std::uint64_t now = 5000;
  for (int i = 0; i < 100'000; ++i) {
    const auto item = static_cast<std::uint32_t>(random.below(w.items.size()));
    const bool inside = due.contains(item);
    switch (random.below(4)) {
      case 0:
      case 1: {
        const std::uint64_t unit = now + random.below(150);
        if (inside) w.wheel.leave(item, w.links());
        w.wheel.enter(item, unit, w.links(), at(now));
        due[item] = unit;
        break;
      }
      case 2:
        if (inside) w.wheel.leave(item, w.links());
        due.erase(item);
        break;
      default: {
        now += random.below(50) == 0 ? random.below(1000) : random.below(4);
        while (const auto came = w.wheel.come(at(now))) {
          REQUIRE(due.contains(*came));
          w.wheel.leave(*came, w.links());
          if (due[*came] > now) {  // it was beyond the horizon when it entered: placed again
            w.wheel.enter(*came, due[*came], w.links(), at(now));
          } else {
            due.erase(*came);
          }
        }
        for (const auto& [left, unit] : due) REQUIRE(unit > now);
      }
    }
    REQUIRE(w.wheel.size() == due.size());
    if (!due.empty()) {
      std::uint64_t first = ~std::uint64_t{0};
      for (const auto& [left, unit] : due) first = std::min(first, unit);
      REQUIRE(w.wheel.next_deadline() == at(first));
    }
  }
}

TEST_CASE("what enters while the wheel has not been turned for minutes is neither early nor lost") {
  Wheel w;
  w.wheel.enter(1, 100, w.links(), at(90));
  w.wheel.enter(2, 3000, w.links(), at(2900));  // nobody took 1 out in time
  CHECK(w.wheel.come(at(2900)) == 1u);
  w.wheel.leave(1, w.links());
  while (const auto came = w.wheel.come(at(2999))) {
    CHECK(*came == 2);
    w.wheel.leave(2, w.links());
    w.wheel.enter(2, 3000, w.links(), at(2999));
  }
  CHECK(w.wheel.come(at(3000)) == 2u);
}

}  // namespace
}  // namespace tiercast::control::expiry_wheel_test
