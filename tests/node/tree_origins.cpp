// Two origins of one group, fed by one encoder: either may die, come back, or lose its input, and nobody below hears
// it.
#include <doctest/doctest.h>

#include "relay/sim/origins.hpp"
#include "tests/node/virtual_tree.hpp"
#include "tests/support/seeds.hpp"

namespace tiercast::tree_origins_test {

using test::VirtualTree;

namespace {

constexpr test::GroupSpec kTwoSources{.sources = 2};

struct TwoOriginTree {
  explicit TwoOriginTree(std::uint64_t seed, test::GroupSpec group = kTwoSources, sim::Clock one = {},
                         sim::Clock other = {})
      : tree(seed, {group}) {
    primary = tree.add({.origin = true, .source = 1, .align = 1, .clock = one});
    standby = tree.add({.origin = true, .source = 2, .align = 0, .clock = other});
    REQUIRE(primary == 0);
    REQUIRE(standby == 1);
    relays = {tree.add({.parents = {primary, standby}, .pinned = true}),
              tree.add({.parents = {standby, primary}, .pinned = true})};
    edge = tree.add({.parents = {relays[0], relays[1]}, .pinned = true});
    tree.run(2500ms);
    plain = tree.listen({.parents = {edge}});
    strict = tree.listen({.parents = {edge}, .strict = true});
    near = tree.listen({.parents = {relays[1]}});
    tree.run(1s);
  }
  /// Every packet that the encoder has sent since the first one heard, each once and in order, but for the last ones.
  void check_whole(std::size_t l, std::size_t least, int line) {
    CAPTURE(line);
    CAPTURE(l);
    const auto& heard = tree.heard(l);
    std::int64_t first = -1, last = -1;
    std::size_t broken = 0;
    for (const auto& h : heard) {
      if (first < 0 && h.number < 0) continue;
      if (first < 0) first = h.number;
      if (last >= 0 && h.number != last + 1) ++broken;
      if (h.number >= 0) last = h.number;
    }
    CHECK(broken == 0);
    CHECK(tree.lost_by(l) == 0);
    CHECK(tree.good(l) >= least);
    CHECK(tree.good(l) == static_cast<std::size_t>(last - first + 1));
  }
  std::uint8_t active(std::size_t node) {
    return tree.group(node).intake.active().current().value_or(SourceId{0}).value;
  }
  VirtualTree tree;
  std::size_t primary, standby, edge, plain, strict, near;
  std::array<std::size_t, 2> relays;
};

}  // namespace

TEST_CASE("what is altered on the way does not take the place of what a dead source's signature is over") {
  TwoOriginTree t{61};
  // After each frame a copy of it that says another epoch: nobody can tell yet that it is nothing.
  bool copies = false;
  t.tree.drops = [&](const Endpoint& from, const Endpoint& to, Bytes datagram) {
    if (copies || to != t.tree.listener_address(t.strict, 0) || wire::Type{datagram[0]} != wire::Type::frame)
      return false;
    test::Datagram altered(datagram.begin(), datagram.end());
    altered[7] ^= 0x55;
    t.tree.at(t.tree.time() + 2ms, [&, from, to, altered] {
      copies = true;
      t.tree.send(from, to, altered);
      copies = false;
    });
    return false;
  };
  t.tree.run(2700ms);
  t.tree.kill(t.primary);
  t.tree.run(3s);
  CHECK(t.tree.listener_counter(t.strict, "listener_proof") > 0);
  t.check_whole(t.strict, 250, __LINE__);
}

TEST_CASE("the primary origin killed at any moment: no frame is lost, none is doubled") {
  for (std::uint64_t seed = 1; seed <= test::seeds(20); ++seed) {
    CAPTURE(seed);
    test::SeededRandom random{seed};
    TwoOriginTree t{seed};
    t.tree.delay = std::chrono::microseconds{500 + random.below(15'000)};
    t.tree.run(std::chrono::microseconds{500'000 + random.below(700'000)});
    CHECK(t.active(t.relays[0]) == 1);
    t.tree.kill(t.primary);
    t.tree.run(1800ms);
    for (const auto l : {t.plain, t.near, t.strict}) t.check_whole(l, 100, __LINE__);
    CHECK(t.active(t.relays[0]) == 2);
    CHECK(t.active(t.edge) == 2);
    CHECK(t.tree.conflicts == 0);
  }
}

TEST_CASE("a primary that comes back is aligned, and forwarded again after its time, and nobody hears either") {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    TwoOriginTree t{seed};
    for (int round = 0; round < 2; ++round) {
      CAPTURE(round);
      t.tree.kill(t.primary);
      t.tree.run(std::chrono::milliseconds{300 + 400 * seed});
      t.tree.restart(t.primary);
      t.tree.run(4s);
      CHECK(t.active(t.relays[0]) == 2);
      t.tree.run(round == 0 ? 5s : 12s);
      for (const std::size_t node : {t.relays[0], t.relays[1], t.edge}) CHECK(t.active(node) == 1);
      CHECK(t.tree.group(t.primary).origin->alignment()->agree());
      CHECK(t.tree.group(t.standby).origin->alignment()->agree());
    }
    for (const auto l : {t.plain, t.near, t.strict}) t.check_whole(l, 15 * 50, __LINE__);
    CHECK(t.tree.counter(t.standby, "align_shift") <= 1);
    CHECK(t.tree.conflicts == 0);
  }
}

TEST_CASE("a primary that starts while the standby drains is aligned by it before it is gone") {
  for (std::uint64_t seed = 1; seed <= test::seeds(6); ++seed) {
    CAPTURE(seed);
    TwoOriginTree t{seed};
    t.tree.delay = 16ms;
    t.tree.kill(t.primary);
    t.tree.run(800ms);
    t.tree.drain(t.standby);
    t.tree.run(500ms);
    t.tree.restart(t.primary);
    t.tree.run(1s);
    t.tree.kill(t.standby);
    t.tree.run(3s);
    for (const auto l : {t.plain, t.near, t.strict}) {
      std::int64_t last = -1;
      std::size_t again = 0;
      for (const auto& h : t.tree.heard(l)) {
        again += h.number >= 0 && h.number <= last ? 1U : 0U;
        last = std::max(last, h.number);
      }
      CHECK(again == 0);
    }
    CHECK(t.tree.counter(t.primary, "align_by_announcement") + t.tree.counter(t.primary, "align_by_payloads") > 0);
  }
}

TEST_CASE("in every frame length either origin may die in turn") {
  for (const auto frame_ms : std::initializer_list<std::uint8_t>{10, 40, 60}) {
    CAPTURE(int{frame_ms});
    TwoOriginTree t{frame_ms, {.frame_ms = frame_ms, .sources = 2}};
    t.tree.run(1s);
    t.tree.kill(t.primary);
    t.tree.run(1s);
    t.tree.restart(t.primary);
    t.tree.run(3s);
    t.tree.kill(t.standby);
    t.tree.run(2s);
    CHECK(t.active(t.edge) == 1);
    for (const auto l : {t.plain, t.near, t.strict}) t.check_whole(l, 6000 / frame_ms, __LINE__);
  }
}

TEST_CASE("an origin whose input is dead hides nothing of the other one's, and IDLE says nothing against it") {
  TwoOriginTree t{3};
  t.tree.unplug(t.primary, true);
  t.tree.run(3s);
  CHECK(t.active(t.edge) == 2);
  for (const auto l : {t.plain, t.near, t.strict}) t.check_whole(l, 150, __LINE__);
  t.tree.unplug(t.primary, false);
  t.tree.run(8s);
  CHECK(t.active(t.edge) == 1);
  for (const auto l : {t.plain, t.near, t.strict}) t.check_whole(l, 500, __LINE__);
}

TEST_CASE("what the way from one origin loses, the other one's frames fill without asking") {
  TwoOriginTree t{4};
  t.tree.drops = [&](const Endpoint& from, const Endpoint&, Bytes datagram) {
    const bool frame = from == VirtualTree::address_of(t.primary) && datagram[0] == 0x20;
    return frame && wire::parse_header(datagram)->sequence.value % 7 == 3;
  };
  t.tree.run(10s);
  for (const auto l : {t.plain, t.near, t.strict}) t.check_whole(l, 450, __LINE__);
  CHECK(t.tree.counter(t.relays[0], "intake_spare_used") > 60);
  CHECK(t.tree.counter(t.primary, "resend_frame") + t.tree.counter(t.standby, "resend_frame") < 20);
  CHECK(t.active(t.relays[0]) == 1);
}

TEST_CASE("an encoder that is started anew is one stream at both origins") {
  TwoOriginTree t{5};
  for (int i = 0; i < 3; ++i) {
    t.tree.talk(false);
    t.tree.run(std::chrono::milliseconds{400 + 900 * i});
    t.tree.new_encoder();
    t.tree.talk(true);
    t.tree.run(3s);
    const auto heard = t.tree.heard(t.plain).size();
    t.tree.run(2s);
    t.tree.kill(t.primary);
    t.tree.run(1s);
    CHECK(t.tree.good(t.plain, heard) >= 140);
    CHECK(t.tree.lost_by(t.plain) == 0);
    CHECK(t.tree.lost_by(t.strict) == 0);
    t.tree.restart(t.primary);
    t.tree.run(8s + 10s * i);
  }
}

TEST_CASE("a node whose second parent has the other source only is never told that this one is dead") {
  TwoOriginTree t{6};
  const auto rejoins = t.tree.counter(t.relays[0], "parent_rejoin");
  const auto silences = t.tree.counter(t.relays[0], "parent_silence");
  t.tree.run(20s);
  CHECK(t.tree.counter(t.relays[0], "parent_rejoin") == rejoins);
  CHECK(t.tree.counter(t.relays[0], "parent_silence") == silences);
  CHECK(t.tree.counter(t.relays[0], "intake_spare") > 900);
  CHECK(t.tree.counter(t.relays[0], "intake_source_change") <= 1);
}

TEST_CASE(
    "clocks that are wrong and drift, and an encoder that drifts, are not heard when the primary dies and returns") {
  for (const std::int64_t ppm : {200, -200}) {
    CAPTURE(ppm);
    TwoOriginTree t{
        7, kTwoSources, {.wall_offset = 900ms, .drift_ppm = -ppm}, {.wall_offset = -400ms, .drift_ppm = ppm}};
    t.tree.set_encoder_drift(ppm);
    for (int i = 0; i < 3; ++i) {
      t.tree.run(5s);
      t.tree.kill(t.primary);
      t.tree.run(1s);
      t.tree.restart(t.primary);
      t.tree.run(22s);
      CHECK(t.active(t.edge) == 1);
    }
    for (const auto l : {t.plain, t.near, t.strict}) t.check_whole(l, 80 * 50, __LINE__);
  }
}

TEST_CASE("a primary whose wait would end with the standby's is found in time, and waited for") {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    CAPTURE(seed);
    VirtualTree tree{seed, {kTwoSources}};
    tree.delay = 20ms;
    const auto standby = tree.add({.origin = true, .source = 2, .align = 1, .clock = {.wall_offset = 130ms}});
    tree.run(470ms + static_cast<int>(seed) * 2ms);
    tree.add({.origin = true, .source = 1, .align = standby});
    tree.drops = [&](const Endpoint& from, const Endpoint&, Bytes d) {
      return sim::host_of(from).index == standby && d[0] == 0x01 && tree.time() < sim::kBegin + 700ms;
    };
    for (int i = 0; i < 300; ++i) {
      tree.run(10ms);
      REQUIRE_FALSE(sim::apart(tree, 0));
    }
    CHECK(tree.group(standby).origin->alignment()->agree());
  }
}

}  // namespace tiercast::tree_origins_test
