#include "relay/sim/world.hpp"

#include <doctest/doctest.h>

#include "relay/sim/history.hpp"

namespace tiercast::sim::world_test {
namespace {

/// What listeners played, by kind.
struct Plays final : Observer {
  void on_played(std::size_t listener, const receive::Played& played) override {
    if (counts.size() <= listener) counts.resize(listener + 1);
    ++counts[listener][static_cast<std::size_t>(played.kind)];
  }
  std::size_t frames(std::size_t l) const { return l < counts.size() ? counts[l][0] : 0; }
  std::size_t lost(std::size_t l) const { return l < counts.size() ? counts[l][2] : 0; }
  std::vector<std::array<std::size_t, 3>> counts;
};

History::Digest history_of(std::uint64_t seed) {
  World world{{.seed = seed, .nodes = 4}};
  History history{world};
  world.watch(&history);
  LinkModel& link = world.network.base;
  link = LinkModel::bursty(0.03, 3, 8ms);
  link.jitter = 15ms;
  link.duplicated = link.corrupted = 0.01;
  const auto origin = world.add({.origin = true});
  const auto a = world.add({.parents = {origin}, .clock = {.offset = 3h, .drift_ppm = 90}});
  const auto b = world.add({.parents = {origin}, .workers = 2, .clock = {.wall_offset = 1s, .drift_ppm = -90}});
  for (int i = 0; i < 4; ++i) world.listen({.parents = {a, b}, .strict = i == 3});
  world.run(3s);
  world.kill(a);
  world.pause(b, true);
  world.run(500ms);
  world.pause(b, false);
  world.restart(a);
  world.run(2s);
  return history.finish();
}

}  // namespace

TEST_CASE("world: one seed, one history; another seed, another") {
  const auto first = history_of(1);
  CHECK(history_of(1) == first);
  CHECK(history_of(2) != first);
}

TEST_CASE("world: clocks that start anywhere and drift as crystals do change nothing") {
  World world{{.seed = 3, .nodes = 3}};
  Plays plays;
  world.watch(&plays);
  world.set_encoder_drift(100);
  const auto origin = world.add({.origin = true, .clock = {.offset = 100h, .drift_ppm = 150}});
  const auto edge = world.add({.parents = {origin}, .clock = {.wall_offset = -3s, .drift_ppm = -150}});
  const auto l = world.listen({.parents = {edge}, .clock = {.offset = 7min, .drift_ppm = 200}});
  world.run(60s);
  CHECK(plays.frames(l) > 2950);
  CHECK(plays.lost(l) == 0);
}

TEST_CASE("world: who is stopped hears what its sockets kept, when it goes on") {
  World world{{.seed = 4, .nodes = 2}};
  Plays plays;
  world.watch(&plays);
  const auto origin = world.add({.origin = true});
  const auto edge = world.add({.parents = {origin}, .pinned = true});
  const auto l = world.listen({.parents = {edge}});
  world.run(3s);
  const std::size_t before = plays.frames(l);
  world.pause(edge, true);
  world.run(1s);
  CHECK(plays.frames(l) <= before + 1);
  world.pause(edge, false);
  world.run(1s);
  CHECK(plays.frames(l) >= before + 98);
  CHECK(plays.lost(l) == 0);
}

TEST_CASE("world: actions come in their time and order, a killed process never again") {
  World world{{.seed = 5, .nodes = 1}};
  const auto origin = world.add({.origin = true});
  std::string order;
  world.at(world.time() + 20ms, [&] { order += 'b'; });
  world.at(world.time() + 10ms, [&] {
    order += 'a';
    world.kill(origin);
  });
  world.at(world.time() + 20ms, [&] { order += 'c'; });
  world.run(1s);
  CHECK(order == "abc");
  CHECK(world.node_host(origin).process == nullptr);
  world.restart(origin);
  world.run(1s);
  CHECK(world.feed(origin).groups()[0]->group.history.newest().value > 0);
}

}  // namespace tiercast::sim::world_test
