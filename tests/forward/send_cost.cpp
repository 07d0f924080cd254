#include "relay/forward/send_cost.hpp"

#include <doctest/doctest.h>

using namespace tiercast;
using forward::SendCost;

TEST_CASE("send cost: nothing, then the mean of what was measured") {
  SendCost cost;
  CHECK(cost.ns() == 0);
  cost.add(0, 1s);
  CHECK(cost.ns() == 0);
  cost.add(10, 10us);
  CHECK(cost.ns() == doctest::Approx(1000));
  cost.add(30, 60us);
  CHECK(cost.ns() == doctest::Approx(1750));
}

TEST_CASE("send cost: what was long ago counts less and less") {
  SendCost cost;
  for (int i = 0; i < 100; ++i) cost.add(10'000, 10ms);
  CHECK(cost.ns() == doctest::Approx(1000));
  for (int i = 0; i < 100; ++i) cost.add(10'000, 30ms);
  CHECK(cost.ns() == doctest::Approx(3000).epsilon(0.01));
}
