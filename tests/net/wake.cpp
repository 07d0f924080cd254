#include "relay/net/wake.hpp"

#include <thread>

#include "relay/base/spsc_ring.hpp"
#include "tests/net/sockets.hpp"

namespace tiercast::wake_test {

using namespace tiercast::net;

TEST_CASE("rings before they are heard are heard once, and later ones again") {
  Loop loop = test::make_loop();
  auto wake = Wake::create();
  REQUIRE(wake);
  int heard = 0;
  (*wake)->signal();  // before anybody listens
  REQUIRE((*wake)->listen(loop, [&] { ++heard; }) == 0);
  REQUIRE(test::turn_until(loop, [&] { return heard == 1; }));
  for (int i = 0; i < 5; ++i) (*wake)->signal();
  REQUIRE(test::turn_until(loop, [&] { return heard == 2; }));
  test::settle(loop);
  CHECK(heard == 2);
  (*wake)->signal();
  REQUIRE(test::turn_until(loop, [&] { return heard == 3; }));
  loop.cancel((*wake)->fd());
  (*wake)->signal();
  test::settle(loop);
  CHECK(heard == 3);
}

TEST_CASE("no item between two threads is left lying, whatever the interleaving") {
  constexpr std::uint32_t kItems = 100000;
  SpscRing<std::uint32_t> ring{64};
  Loop loop = test::make_loop();
  auto wake = Wake::create();
  REQUIRE(wake);
  std::uint32_t next = 0;
  bool in_order = true;
  REQUIRE((*wake)->listen(loop, [&] {
    while (const auto item = ring.pop()) in_order = in_order && *item == next++;
  }) == 0);
  std::thread producer{[&] {
    for (std::uint32_t i = 0; i < kItems; ++i) {
      while (!ring.push(std::uint32_t{i})) std::this_thread::yield();
      (*wake)->signal();
    }
  }};
  const bool all = test::turn_until(loop, [&] { return next == kItems; });
  if (!all)
    while (ring.pop() || next < kItems) next = kItems;  // let the producer end
  producer.join();
  CHECK(all);
  CHECK(in_order);
}

}  // namespace tiercast::wake_test
