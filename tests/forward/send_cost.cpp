#include "relay/forward/send_cost.hpp"

#include <doctest/doctest.h>

namespace tiercast::send_cost_test {

using forward::SendCost;

TEST_CASE("send cost: nothing, then the mean of what was measured") {
  SendCost cost;
  cost.settle();
  CHECK(cost.ns() == 0);
  cost.add(0, 1s);
  cost.settle();
  CHECK(cost.ns() == 0);
  cost.add(10, 10us);
  cost.add(30, 60us);
  CHECK(cost.ns() == 0);
  cost.settle();
  CHECK(cost.ns() == doctest::Approx(1750));
  cost.settle();  // nothing was sent since
  CHECK(cost.ns() == doctest::Approx(1750));
}

TEST_CASE("send cost: one bad moment tells little, a lasting change is followed") {
  SendCost cost;
  const auto round = [&](Duration took) {
    cost.add(1000, took);
    cost.settle();
  };
  for (int i = 0; i < 20; ++i) round(1ms);
  round(5ms);
  CHECK(cost.ns() == doctest::Approx(1400));
  for (int i = 0; i < 50; ++i) round(3ms);
  CHECK(cost.ns() == doctest::Approx(3000).epsilon(0.01));
}

}  // namespace tiercast::send_cost_test
