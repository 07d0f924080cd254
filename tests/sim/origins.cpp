#include "relay/sim/origins.hpp"

#include <doctest/doctest.h>

namespace tiercast::sim::origins_test {

TEST_CASE(
    "an origin that starts as the other one ends misses it; one that has heard it, or ended long after, does not") {
  struct Case {
    Duration together;  // from the one's start to the other's end
    bool cut, missed;
  };
  for (const auto& [together, cut, missed] :
       {Case{1ms, false, true}, {450ms, true, true}, {450ms, false, false}, {700ms, true, false}}) {
    CAPTURE(together.count());
    CAPTURE(cut);
    World world{{.groups = {{.sources = 2}}, .nodes = 2}};
    const std::size_t one = world.add({.origin = true, .source = 1, .align = 1});
    const std::size_t other = world.add({.origin = true, .source = 2, .align = 0});
    world.run(3s);
    CHECK_FALSE(missed_the_other(world, 0, one));
    world.kill(one);
    world.run(200ms);
    if (cut) world.network.put_on_side(world.node_host(other).host(), 1);
    world.restart(one);
    world.run(together);
    CHECK_FALSE(missed_the_other(world, 0, one));
    world.kill(other);
    world.run(3s);
    CHECK(missed_the_other(world, 0, one) == missed);
  }
}

}  // namespace tiercast::sim::origins_test
