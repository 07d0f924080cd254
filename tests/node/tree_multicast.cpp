// IP multicast beside unicast, through the real agents: who takes it, who changes back, and what a forger on that
// network can do.
#include <doctest/doctest.h>

#include "tests/node/virtual_tree.hpp"

namespace tiercast::tree_multicast_test {

using test::VirtualTree;

namespace {

bool is_frame(Bytes datagram) { return datagram[0] == 0x20; }

/// What leaves `node` for `listener` as a unicast frame.
auto unicast_frames(VirtualTree& tree, std::size_t node, std::size_t listener, std::size_t& count) {
  return [&, node, listener](const Endpoint& from, const Endpoint& to, Bytes datagram) {
    if (from == VirtualTree::address_of(node) && to == tree.listener_address(listener, 0) && is_frame(datagram))
      ++count;
    return false;
  };
}

bool by_multicast(const node::MulticastUplink* uplink) {
  return uplink != nullptr && uplink->way.wanted() == wire::Delivery::multicast;
}

}  // namespace

TEST_CASE("multicast: one send serves relays and listeners, and nothing goes to them by unicast any more") {
  VirtualTree tree{301};
  const auto origin = tree.add({.sends_multicast = true, .origin = true, .workers = 2});
  const auto relay = tree.add({.parents = {origin}, .multicast = {origin}, .pinned = true});
  std::vector<std::size_t> listeners;
  for (int i = 0; i < 3; ++i)
    listeners.push_back(tree.listen({.parents = {origin}, .multicast = {origin}, .strict = i == 0}));
  const auto below = tree.listen({.parents = {relay}});
  const auto plain = tree.listen({.parents = {origin}});
  tree.run(3s);
  CHECK(by_multicast(tree.feed(relay).multicast(0)));
  for (const auto l : listeners) CHECK(by_multicast(tree.listener(l).multicast(0)));
  CHECK(tree.worker_counters(origin, 0).multicast_leases.get() +
            tree.worker_counters(origin, 1).multicast_leases.get() ==
        4);
  CHECK(tree.destinations(origin, 0) + tree.destinations(origin, 1) == 1);

  const std::uint64_t before = tree.multicasts;
  const std::uint64_t to_relays = tree.counter(origin, "fanout_relay_datagram");
  std::size_t frames_by_unicast = 0;
  tree.drops = unicast_frames(tree, origin, listeners[0], frames_by_unicast);
  tree.run(10s);
  CHECK(frames_by_unicast == 0);
  CHECK(tree.counter(origin, "fanout_relay_datagram") == to_relays);
  CHECK(tree.multicasts - before >= 500);  // frames and their attestations, once for all
  CHECK(tree.multicasts - before <= 600);
  tree.drops = nullptr;
  tree.talk(false);
  tree.run(2s);
  for (const auto l : listeners) {
    CHECK(tree.lost_by(l) == 0);
    CHECK(tree.good(l) >= 640);
  }
  CHECK(tree.lost_by(below) == 0);
  CHECK(tree.good(below) >= 640);
  CHECK(tree.good(plain) >= 640);
  CHECK(tree.conflicts == 0);
  CHECK(tree.feed(origin).tally(node::GroupIndex{0}).listeners == 5);
}

TEST_CASE("multicast: an unplugged network costs nobody a frame, nor does its return") {
  VirtualTree tree{302};
  const auto origin = tree.add({.sends_multicast = true, .origin = true});
  const auto relay = tree.add({.parents = {origin}, .multicast = {origin}, .pinned = true});
  const auto near = tree.listen({.parents = {origin}, .multicast = {origin}});
  const auto below = tree.listen({.parents = {relay}});
  bool unplugged = false;
  tree.drops = [&](const Endpoint& from, const Endpoint&, Bytes) {
    return unplugged && from == VirtualTree::multicast_of(origin);
  };
  tree.run(3s);
  REQUIRE(by_multicast(tree.feed(relay).multicast(0)));
  REQUIRE(by_multicast(tree.listener(near).multicast(0)));
  unplugged = true;
  tree.run(200ms);  // three intervals, and what a keepalive takes
  CHECK(!by_multicast(tree.feed(relay).multicast(0)));
  CHECK(!by_multicast(tree.listener(near).multicast(0)));
  tree.run(100ms);
  CHECK(tree.destinations(origin) == 1);
  CHECK(tree.worker_counters(origin).multicast_leases.get() == 0);
  tree.run(5s);
  CHECK(tree.feed(relay).multicast(0)->way.counters().rejoins.get() == 0);
  tree.run(10s);
  CHECK(tree.feed(relay).multicast(0)->way.counters().rejoins.get() > 0);  // the network is told once more
  unplugged = false;
  tree.run(10s);
  CHECK(by_multicast(tree.feed(relay).multicast(0)));
  CHECK(by_multicast(tree.listener(near).multicast(0)));
  for (const auto l : {near, below}) {
    CHECK(tree.lost_by(l) == 0);
    CHECK(tree.good(l) >= 1300);
  }
  // Nobody took the parent for dead, and nobody joined it anew.
  CHECK(tree.counter(relay, "parent_rejoin") == 0);
  CHECK(tree.listener_counter(near, "parent_rejoin") == 0);
}

TEST_CASE("multicast: what it loses is asked for by unicast") {
  VirtualTree tree{303};
  const auto origin = tree.add({.sends_multicast = true, .origin = true});
  const auto relay = tree.add({.parents = {origin}, .multicast = {origin}, .pinned = true});
  const auto near = tree.listen({.parents = {origin}, .multicast = {origin}});
  const auto below = tree.listen({.parents = {relay}});
  std::uint64_t count = 0;
  tree.drops = [&](const Endpoint& from, const Endpoint&, Bytes) {
    return from == VirtualTree::multicast_of(origin) && ++count % 17 == 0;
  };
  tree.run(30s);
  CHECK(by_multicast(tree.feed(relay).multicast(0)));
  CHECK(by_multicast(tree.listener(near).multicast(0)));
  CHECK(tree.counter(origin, "resend_frame") > 100);
  CHECK(tree.lost_by(near) == 0);
  CHECK(tree.lost_by(below) == 0);
}

TEST_CASE("multicast: a hall of listeners gets what it loses, with nobody there who takes unicast") {
  VirtualTree tree{312};
  const auto origin = tree.add({.sends_multicast = true, .origin = true, .workers = 2});
  std::vector<std::size_t> hall;
  for (int i = 0; i < 20; ++i) hall.push_back(tree.listen({.parents = {origin}, .multicast = {origin}}));
  std::uint64_t count = 0;
  tree.drops = [&](const Endpoint& from, const Endpoint&, Bytes) {
    return from == VirtualTree::multicast_of(origin) && ++count % 23 == 0;  // another one at each listener
  };
  tree.run(30s);
  CHECK(tree.destinations(origin, 0) + tree.destinations(origin, 1) == 0);
  CHECK(tree.counter(origin, "resend_frame") > 64 * 2);  // more than what any node has to give at once
  for (const auto l : hall) CHECK(tree.lost_by(l) == 0);
}

TEST_CASE("multicast: one that loses too much is given up for unicast") {
  VirtualTree tree{304};
  const auto origin = tree.add({.sends_multicast = true, .origin = true});
  const auto near = tree.listen({.parents = {origin}, .multicast = {origin}});
  bool bad = false;
  std::uint64_t count = 0;
  tree.drops = [&](const Endpoint& from, const Endpoint&, Bytes) {
    return bad && from == VirtualTree::multicast_of(origin) && ++count % 2 == 0;
  };
  tree.run(5s);
  REQUIRE(by_multicast(tree.listener(near).multicast(0)));
  bad = true;
  tree.run(3s);
  CHECK(!by_multicast(tree.listener(near).multicast(0)));
  CHECK(tree.listener_counter(near, "delivery_back_lossy") == 1);
  tree.run(20s);
  CHECK(!by_multicast(tree.listener(near).multicast(0)));
  CHECK(tree.lost_by(near) == 0);
}

TEST_CASE("multicast: who asks a node for it that sends none goes on getting frames") {
  VirtualTree tree{305};
  const auto deceiver = tree.add({.sends_multicast = true, .origin = true});
  const auto silent = tree.add({.origin = true});
  (void)deceiver;
  const auto near = tree.listen({.parents = {silent}, .multicast = {silent}});
  // Somebody sends in its name what it does not send.
  tree.drops = [&](const Endpoint& from, const Endpoint& to, Bytes datagram) {
    if (from == VirtualTree::address_of(silent) && to == tree.listener_address(near, 0) && is_frame(datagram) &&
        tree.group(silent).group.history.newest().value != 0) {
      const auto pin = tree.group(silent).group.history.frame(tree.group(silent).group.history.newest());
      if (pin)
        tree.send(VirtualTree::multicast_of(silent), VirtualTree::listener_multicast(near, silent),
                  pin.with_signature());
    }
    return false;
  };
  tree.run(5s);
  CHECK(by_multicast(tree.listener(near).multicast(0)));  // deceived
  CHECK(tree.worker_counters(silent).multicast_leases.get() == 0);
  CHECK(tree.destinations(silent) == 1);
  CHECK(tree.lost_by(near) == 0);
}

TEST_CASE("multicast: a forger on that network is heard by nobody, and keeps nobody from unicast") {
  VirtualTree tree{306};
  const auto origin = tree.add({.sends_multicast = true, .origin = true});
  const auto relay = tree.add({.parents = {origin}, .multicast = {origin}, .pinned = true});
  const auto near = tree.listen({.parents = {origin}, .multicast = {origin}});
  const auto below = tree.listen({.parents = {relay}});
  tree.run(3s);
  REQUIRE(by_multicast(tree.feed(relay).multicast(0)));
  // The true ones are jammed; in the origin's name come altered frames, IDLEs, CONTROL, types without a signature.
  bool forging = false;
  tree.drops = [&](const Endpoint& from, const Endpoint& to, Bytes datagram) {
    if (from != VirtualTree::multicast_of(origin) || forging) return false;
    forging = true;
    test::Datagram altered(datagram.begin(), datagram.end());
    altered[20] ^= 1;
    tree.send(from, to, altered);
    test::Datagram idle(datagram.begin(), datagram.begin() + 16);
    idle[0] = 0x23;
    idle[15] = 0xff;  // much later
    tree.send(from, to, idle);
    altered = {datagram.begin(), datagram.end()};
    altered[0] = 0x24;
    tree.send(from, to, altered);
    altered[0] = 0x10;
    tree.send(from, to, altered);
    forging = false;
    return true;
  };
  tree.run(3s);
  CHECK(!by_multicast(tree.feed(relay).multicast(0)));
  CHECK(!by_multicast(tree.listener(near).multicast(0)));
  tree.run(10s);
  CHECK(tree.counter(relay, "intake_drop_unsigned") > 0);
  CHECK(tree.counter(relay, "intake_drop_signature") > 0);
  CHECK(tree.listener_counter(near, "listener_drop_signature") > 0);
  CHECK(tree.listener_counter(near, "listener_drop_unsigned") > 0);
  // At most a second is at stake, the time that an IDLE is believed; what went by meanwhile is asked for.
  for (const auto l : {near, below}) {
    CHECK(tree.lost_by(l) <= 50);
    CHECK(tree.good(l, tree.heard(l).size() - 400) >= 350);
  }
  CHECK(tree.counter(relay, "parent_rejoin") == 0);
}

TEST_CASE("multicast: recorded frames played again bring nobody back to it") {
  VirtualTree tree{307};
  const auto origin = tree.add({.sends_multicast = true, .origin = true});
  const auto near = tree.listen({.parents = {origin}, .multicast = {origin}});
  std::vector<test::Datagram> recorded;
  bool jammed = false;
  tree.drops = [&](const Endpoint& from, const Endpoint&, Bytes datagram) {
    if (from != VirtualTree::multicast_of(origin)) return false;
    if (!jammed) recorded.emplace_back(datagram.begin(), datagram.end());
    return jammed;
  };
  tree.run(3s);
  jammed = true;
  tree.run(1s);
  REQUIRE(!by_multicast(tree.listener(near).multicast(0)));
  auto drops = std::move(tree.drops);
  tree.drops = nullptr;
  tree.run(1s);
  tree.drops = drops;
  for (int i = 0; i < 20; ++i) {
    for (const auto& old : recorded) tree.listener(near).on_multicast(0, old, tree.now());
    tree.run(1s);
  }
  CHECK(!by_multicast(tree.listener(near).multicast(0)));
  CHECK(tree.lost_by(near) == 0);
}

TEST_CASE("multicast: of two parents one by multicast, the other by unicast, either may die") {
  for (const bool kill_multicast : {true, false}) {
    VirtualTree tree{308};
    const auto origin = tree.add({.origin = true});
    const auto a = tree.add({.parents = {origin}, .sends_multicast = true, .pinned = true});
    const auto b = tree.add({.parents = {origin}, .pinned = true});
    const auto edge = tree.add({.parents = {a, b}, .multicast = {a}, .pinned = true});
    const auto listener = tree.listen({.parents = {a, b}, .multicast = {a}});
    const auto below = tree.listen({.parents = {edge}});
    tree.run(4s);
    REQUIRE(by_multicast(tree.feed(edge).multicast(0)));
    tree.kill(kill_multicast ? a : b);
    tree.run(10s);
    for (const auto l : {listener, below}) {
      CHECK(tree.lost_by(l) == 0);
      CHECK(tree.good(l) >= 640);
    }
  }
}

TEST_CASE("multicast: a parent that dies and comes back is taken by multicast again") {
  VirtualTree tree{309};
  const auto origin = tree.add({.origin = true});
  const auto relay = tree.add({.parents = {origin}, .sends_multicast = true, .pinned = true});
  const auto edge = tree.add({.parents = {relay}, .multicast = {relay}, .pinned = true});
  const auto below = tree.listen({.parents = {edge}});
  tree.run(4s);
  REQUIRE(by_multicast(tree.feed(edge).multicast(0)));
  tree.restart(relay);
  tree.run(90s);
  CHECK(by_multicast(tree.feed(edge).multicast(0)));
  CHECK(tree.good(below, tree.heard(below).size() - 1000) >= 950);
  CHECK(tree.worker_counters(relay).multicast_leases.get() == 1);
}

TEST_CASE("multicast: a dead source makes nobody change over, and its return is heard by the same way") {
  VirtualTree tree{310};
  const auto origin = tree.add({.origin = true});
  const auto relay = tree.add({.parents = {origin}, .sends_multicast = true, .pinned = true});
  const auto near = tree.listen({.parents = {relay}, .multicast = {relay}});
  tree.run(4s);
  REQUIRE(by_multicast(tree.listener(near).multicast(0)));
  tree.kill(origin);
  tree.run(20s);
  CHECK(by_multicast(tree.listener(near).multicast(0)));  // no stampede to unicast for frames that nobody has
  CHECK(tree.listener_counter(near, "parent_rejoin") == 0);
  tree.restart(origin);
  tree.run(10s);
  CHECK(by_multicast(tree.listener(near).multicast(0)));
  CHECK(tree.good(near, tree.heard(near).size() - 200) >= 150);
}

TEST_CASE("multicast: the hot path allocates nothing") {
  VirtualTree tree{311};
  const auto origin = tree.add({.sends_multicast = true, .origin = true});
  const auto relay = tree.add({.parents = {origin}, .multicast = {origin}, .pinned = true});
  tree.listen({.parents = {relay}});
  tree.run(15s);
  const std::uint64_t before = tree.allocations;
  tree.run(2s);
  CHECK(tree.allocations == before);
}

TEST_CASE("multicast: who takes it is answered as many NACKs as who does not") {
  VirtualTree tree{312};
  const auto origin = tree.add({.sends_multicast = true, .origin = true});
  std::vector<std::size_t> listeners;
  for (int i = 0; i < 60; ++i) listeners.push_back(tree.listen({.parents = {origin}, .multicast = {origin}}));
  std::uint64_t count = 0;
  bool lossy = false;
  tree.drops = [&](const Endpoint& from, const Endpoint&, Bytes) {
    return lossy && from == VirtualTree::multicast_of(origin) && ++count % 17 == 0;
  };
  tree.run(5s);
  for (const auto l : listeners) REQUIRE(by_multicast(tree.listener(l).multicast(0)));
  lossy = true;
  tree.run(20s);
  lossy = false;
  tree.run(1s);
  for (const auto l : listeners) CHECK(tree.lost_by(l) == 0);
  CHECK(tree.counter(origin, "resend_drop_node_budget") == 0);
}

TEST_CASE("multicast: a frame of a dead parent, played again and again, keeps nobody from joining anew") {
  VirtualTree tree{313};
  tree.delay = 60ms;
  const auto origin = tree.add({.origin = true});
  const auto relay = tree.add({.parents = {origin}, .sends_multicast = true, .pinned = true});
  const auto edge = tree.add({.parents = {relay}, .multicast = {relay}, .pinned = true});
  const auto near = tree.listen({.parents = {relay}, .multicast = {relay}});
  test::Datagram last;
  bool dead = false;
  tree.drops = [&](const Endpoint& from, const Endpoint&, Bytes datagram) {
    if (from != VirtualTree::multicast_of(relay)) return false;
    if (!dead && is_frame(datagram)) last.assign(datagram.begin(), datagram.end());
    return dead;
  };
  tree.run(5s);
  REQUIRE(by_multicast(tree.feed(edge).multicast(0)));
  dead = true;
  tree.restart(relay);
  for (int i = 0; i < 30; ++i) {
    tree.run(100ms);
    tree.feed(edge).on_multicast(0, last, tree.now());
    tree.listener(near).on_multicast(0, last, tree.now());
  }
  CHECK(tree.counter(edge, "parent_rejoin") == 1);
  CHECK(tree.listener_counter(near, "parent_rejoin") == 1);
}

TEST_CASE("multicast: forged IDLEs keep a dead parent alive for seconds at most") {
  VirtualTree tree{314};
  const auto origin = tree.add({.origin = true});
  const auto relay = tree.add({.parents = {origin}, .sends_multicast = true, .pinned = true});
  const auto near = tree.listen({.parents = {relay}, .multicast = {relay}});
  tree.run(4s);
  tree.kill(origin);
  tree.run(8s);
  REQUIRE(tree.listener(near).parents()[0].lease()->seeking());
  tree.kill(relay);
  test::Datagram idle(16);
  wire::write_header(std::span{idle}.first<16>(),
                     {wire::Type::idle, 0, SourceId{1}, GroupId{7}, Epoch{0}, Sequence{1}});
  std::size_t live = 0;
  for (int i = 0; i < 300; ++i) {
    tree.run(40ms);
    tree.listener(near).on_multicast(0, idle, tree.now());
    live += tree.listener(near).parents()[0].live(tree.now().mono) ? 1 : 0;
  }
  CHECK(live < 100);  // 4 s of 12
}

TEST_CASE("multicast: a recording is not taken for the stream by who knows nothing yet") {
  VirtualTree tree{315};
  const auto origin = tree.add({.origin = true});
  const auto relay = tree.add({.parents = {origin}, .sends_multicast = true, .pinned = true});
  const auto edge = tree.add({.parents = {relay}, .multicast = {relay}, .pinned = true});
  const auto below = tree.listen({.parents = {edge}});
  std::vector<test::Datagram> recorded;
  tree.drops = [&](const Endpoint& from, const Endpoint&, Bytes datagram) {
    if (from == VirtualTree::multicast_of(relay)) recorded.emplace_back(datagram.begin(), datagram.end());
    return false;
  };
  tree.run(5s);
  tree.drops = nullptr;
  tree.kill(origin);
  tree.restart(relay);
  tree.restart(edge);
  tree.run(10s);
  const auto heard = tree.heard(below).size();
  for (const auto& old : recorded) tree.feed(edge).on_multicast(0, old, tree.now());
  tree.run(2s);
  CHECK(tree.group(edge).group.history.newest() == Sequence{0});
  CHECK(tree.good(below, heard) == 0);
  CHECK(tree.counter(edge, "feed_drop_unplaced") >= 200);
}

TEST_CASE("multicast: forgers cost a listener no more than a bound, and no unicast") {
  VirtualTree tree{316};
  const auto origin = tree.add({.sends_multicast = true, .origin = true});
  const auto relay = tree.add({.parents = {origin}, .multicast = {origin}, .pinned = true});
  const auto near = tree.listen({.parents = {origin}, .multicast = {origin}});
  test::Datagram frame, attest;
  tree.drops = [&](const Endpoint& from, const Endpoint&, Bytes datagram) {
    if (from != VirtualTree::multicast_of(origin)) return false;
    (is_frame(datagram) ? frame : attest).assign(datagram.begin(), datagram.end());
    return true;  // jammed: all is by unicast
  };
  tree.run(3s);
  REQUIRE(attest[0] == 0x22);
  for (int i = 0; i < 1000; ++i) {
    auto forged = attest;
    forged[20 + i % 8] ^= 1;
    forged[15] = static_cast<std::uint8_t>(forged[15] + 1);
    tree.listener(near).on_multicast(0, forged, tree.now());
    tree.feed(relay).on_multicast(0, forged, tree.now());
    forged = frame;
    forged[15] = static_cast<std::uint8_t>(forged[15] + 5);
    tree.listener(near).on_multicast(0, forged, tree.now());
    tree.feed(relay).on_multicast(0, forged, tree.now());
  }
  CHECK(tree.listener_counter(near, "playout_attest_drop_forged") +
            tree.listener_counter(near, "listener_drop_signature") <=
        50);
  CHECK(tree.listener_counter(near, "listener_drop_distrusted") >= 1900);
  CHECK(tree.counter(relay, "intake_drop_signature") <= 50);
  const auto heard = tree.heard(near).size();
  tree.run(2s);
  CHECK(tree.good(near, heard) >= 95);
  CHECK(tree.lost_by(near) == 0);
  CHECK(tree.counter(relay, "intake_drop_distrusted") >= 1900);
  CHECK(tree.group(relay).group.history.newest().value + 2 >= tree.group(origin).group.history.newest().value);
}

TEST_CASE("multicast: of a parent's groups only the wanted ones count, and nothing is said of the others") {
  VirtualTree tree{317, {{GroupId{7}, 20}, {GroupId{8}, 20}}};
  const auto origin = tree.add({.sends_multicast = true, .origin = true});
  const auto relay = tree.add({.parents = {origin}, .multicast = {origin}, .pinned = true, .groups = {0}});
  tree.listen({.parents = {origin}, .group = 1});
  std::size_t unsubscribed = 0;
  tree.run(3s);
  const auto sent = tree.datagrams;
  tree.drops = [&](const Endpoint& from, const Endpoint& to, Bytes) {
    unsubscribed += from == VirtualTree::uplink_of(relay, 0) && to == VirtualTree::address_of(origin) ? 1 : 0;
    return false;
  };
  tree.run(4s);
  CHECK(tree.datagrams > sent);
  CHECK(by_multicast(tree.feed(relay).multicast(0)));
  CHECK(unsubscribed <= 8);  // keepalives and tallies
  CHECK(tree.counter(relay, "feed_drop_not_wanted") > 150);
}

TEST_CASE("multicast: a relay gets what is not signed by unicast") {
  VirtualTree tree{318};
  const auto origin = tree.add({.sends_multicast = true, .origin = true});
  const auto relay = tree.add({.parents = {origin}, .multicast = {origin}, .pinned = true});
  tree.run(3s);
  REQUIRE(by_multicast(tree.feed(relay).multicast(0)));
  test::Datagram parity(40);
  wire::write_header(std::span{parity}.first<16>(), {wire::Type::parity, 0, SourceId{1}, GroupId{7}, Epoch{1},
                                                     tree.group(origin).group.history.newest()});
  const auto number = tree.group(origin).group.history.add_opaque(parity);
  REQUIRE(number);
  const auto before = tree.counter(relay, "intake_opaque");
  tree.tell_opaque(origin, *number);
  tree.run(100ms);
  CHECK(tree.counter(relay, "intake_opaque") == before + 1);
}

}  // namespace tiercast::tree_multicast_test
