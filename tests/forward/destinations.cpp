#include "relay/forward/destinations.hpp"

#include <doctest/doctest.h>

#include <map>
#include <vector>

#include "tests/support/fan_out_table.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::destinations_test {

using namespace tiercast::forward;

namespace {

Endpoint to(std::uint16_t port) {
  Endpoint e;
  e.port = port;
  return e;
}

}  // namespace

TEST_CASE("whatever is added, removed and readdressed, every owner has its entry where it believes it is") {
  auto made = std::make_unique<test::FanOutTable>([](const auto&, Bytes) {});
  const auto& entries = made->entries;
  Destinations destinations{std::move(made)};
  test::SeededRandom random{3};
  struct Owned {
    std::uint32_t index;
    std::uint16_t port;
  };
  std::map<Destinations::Owner, Owned> model;
  Destinations::Owner next = 100;
  for (int step = 0; step < 5000; ++step) {
    const auto what = random.below(10);
    if (what < 5 || model.empty()) {
      const auto port = static_cast<std::uint16_t>(random.below(60000) + 1);
      model[next] = {destinations.add(next, to(port), {}), port};
      ++next;
    } else {
      auto at = model.begin();
      std::advance(at, static_cast<std::ptrdiff_t>(random.below(model.size())));
      if (what < 7) {
        at->second.port = static_cast<std::uint16_t>(random.below(60000) + 1);
        destinations.readdress(at->second.index, to(at->second.port), {});
      } else {
        const auto index = at->second.index;
        model.erase(at);
        const auto moved = destinations.remove(index);
        CHECK(moved.has_value() == (index < destinations.size()));
        if (moved) model.at(*moved).index = index;
      }
    }
    REQUIRE(destinations.size() == model.size());
    REQUIRE(entries.size() == model.size());
  }
  for (const auto& [owner, owned] : model) CHECK(entries[owned.index].to.port == owned.port);
  const std::array<std::uint8_t, 3> datagram{1, 2, 3};
  FanOutResult result;
  destinations.start(datagram);
  while (destinations.advance(destinations.size(), result)) {
  }
  CHECK(result.sent == model.size());
}

TEST_CASE("removing the last entry moves nobody") {
  Destinations destinations{std::make_unique<test::FanOutTable>([](const auto&, Bytes) {})};
  destinations.add(7, to(1), {});
  destinations.add(8, to(2), {});
  CHECK(!destinations.remove(1));
  CHECK(destinations.remove(0) == std::nullopt);
  CHECK(destinations.size() == 0);
}

}  // namespace tiercast::destinations_test
