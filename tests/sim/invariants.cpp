// Each invariant must be able to fail: what it forbids is done before its eyes.
#include "relay/sim/invariants.hpp"

#include <doctest/doctest.h>

#include "relay/sim/origins.hpp"
#include "relay/sim/paths.hpp"

namespace tiercast::sim::invariants_test {
namespace {

const Endpoint kNode = endpoint_of({true, 0}, kPublicPort);
const Endpoint kListener = endpoint_of({false, 0}, kUplinkPort);

Datagram frame(std::uint64_t sequence, std::uint8_t contents) {
  Datagram d(wire::kHeader + wire::kTag + 40, contents);
  wire::write_header(std::span{d}.first<wire::kHeader>(),
                     {wire::Type::frame, 0, SourceId{1}, GroupId{7}, Epoch{5}, Sequence{sequence}});
  return d;
}

receive::Played lost(std::uint64_t sequence) {
  receive::Played played;
  played.sequence = Sequence{sequence};
  return played;
}

}  // namespace

TEST_CASE("sealing: a second frame of one key and sequence is a violation, the same one again is none") {
  Sealing sealing;
  sealing.on_sent(kNode, kListener, frame(1, 1));
  sealing.on_sent(kNode, kListener, frame(1, 1));
  sealing.on_sent(kNode, kListener, frame(2, 2));
  CHECK_THROWS_AS(sealing.on_sent(kNode, kListener, frame(1, 2)), Violation);
}

TEST_CASE("sinks: going back, a silent leap and a packet that nobody sent are violations") {
  World world{{.nodes = 1}};
  world.listen({.parents = {0}});
  Sinks sinks{world};
  sinks.on_played(0, lost(10));
  sinks.on_played(0, lost(11));
  CHECK_THROWS_AS(sinks.on_played(0, lost(11)), Violation);
  CHECK_THROWS_AS(sinks.on_played(0, lost(13)), Violation);
  receive::Played jump = lost(20);
  jump.discontinuity = true;
  sinks.on_played(0, jump);
  receive::Played played = lost(21);
  const Datagram nothing(50, 9);
  played.kind = receive::PlayedKind::frame;
  played.source = SourceId{1};
  played.opus = nothing;
  CHECK_THROWS_AS(sinks.on_played(0, played), Violation);
}

TEST_CASE("sinks: of what two origins sealed apart from each other each one's packets come once, elsewhere all do") {
  struct Ear : Observer {
    void on_played(std::size_t, const receive::Played& played) override {
      if (played.kind == receive::PlayedKind::frame) opus.assign(played.opus.begin(), played.opus.end());
    }
    Datagram opus;
  } ear;
  for (const bool are_apart : {true, false}) {
    CAPTURE(are_apart);
    World world{{.groups = {{.sources = 2}}, .nodes = 2}};
    Sinks sinks{world};
    world.watch(&ear);
    const std::size_t one = world.add({.origin = true, .source = 1, .align = 1});
    const std::size_t other = world.add({.origin = true, .source = 2, .align = 0, .clock = {.wall_offset = 130ms}});
    if (are_apart) world.network.put_on_side(world.node_host(other).host(), 1);
    for (int i = 0; i < 2; ++i) world.listen({.parents = {one}});
    world.run(4s);
    REQUIRE(apart(world, 0) == are_apart);
    REQUIRE(!ear.opus.empty());
    const auto play = [&](std::size_t listener, std::uint64_t sequence, std::uint8_t source) {
      receive::Played played = lost(sequence);
      played.kind = receive::PlayedKind::frame;
      played.source = SourceId{source};
      played.opus = ear.opus;
      sinks.on_played(listener, played);
    };
    Datagram sealed = frame(12, 1);
    wire::write_header(std::span{sealed}.first<wire::kHeader>(),
                       {wire::Type::frame, 0, SourceId{2}, GroupId{7}, Epoch{5}, Sequence{12}});
    sinks.on_sent(endpoint_of(world.node_host(other).host(), kPublicPort), kListener, sealed);
    play(0, 11, 1);
    if (are_apart) {
      play(0, 12, 2);
      CHECK_THROWS_AS(play(0, 13, 2), Violation);
    } else {
      CHECK_THROWS_AS(play(0, 12, 2), Violation);
    }
    play(1, 14, 1);
    CHECK_THROWS_AS(play(1, 15, 2), Violation);  // sealed before, or after
  }
}

TEST_CASE("leases: a FRAME to who never asked, or has been silent for longer than a lease, is a violation") {
  World world{{.nodes = 1}};
  Leases leases{world};
  CHECK_THROWS_AS(leases.on_sent(kNode, kListener, frame(1, 1)), Violation);
  leases.on_arrived({kListener, kNode, Datagram(56, 0x10)});
  world.run(15s);
  leases.on_sent(kNode, kListener, frame(2, 1));
  world.run(200ms);
  CHECK_THROWS_AS(leases.on_sent(kNode, kListener, frame(3, 1)), Violation);
}

TEST_CASE("tallies: a listener who is gone may be counted for a lease, not for two") {
  World world{{.nodes = 1}};
  Tallies tallies{world};
  world.add({.origin = true});
  for (int i = 0; i < 3; ++i) world.listen({.parents = {0}});
  const auto look = [&](Duration d) {
    for (; d.count() > 0; d -= 500ms) {
      world.run(500ms);
      tallies.look();
    }
  };
  look(3s);
  tallies.expect_exact();
  world.kill_listener(0);
  look(1s);
  CHECK_THROWS_AS(tallies.expect_exact(), Violation);
  look(16s);
  tallies.expect_exact();
  // Kept for ever: its keepalives are another's.
  world.stall(0, true);
  world.kill_listener(1);
  CHECK_THROWS_AS(look(60s), Violation);
}

TEST_CASE("paths: a frame that a connected listener does not play is a violation, one that the link loses is none") {
  for (const bool honest : {true, false}) {
    World world{{.nodes = 2}};
    Paths paths{world, 10ms};
    world.watch(&paths);
    world.add({.origin = true});
    world.add({.parents = {0}, .pinned = true});
    world.listen({.parents = {1}});
    world.network.base.loss = honest ? 0.3 : 0;
    // Not the network's doing: what Network knows nothing of.
    if (!honest)
      world.drops = [&](const Endpoint&, const Endpoint& to, Bytes datagram) {
        return !host_of(to).node && datagram[0] == 0x20 && world.time() > kBegin + 3s && datagram[15] % 8 == 0;
      };
    const auto run = [&](Duration d) {
      for (; d.count() > 0; d -= 20ms) {
        world.run(20ms);
        paths.look();
      }
    };
    run(2500ms);
    CHECK((paths.owed() == 0) == honest);
    if (honest) {
      run(3s);
    } else {
      CHECK_THROWS_AS(run(4s), Violation);
    }
  }
}

}  // namespace tiercast::sim::invariants_test
