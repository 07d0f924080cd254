// Leases, ends, goodbyes and enemies, through the real agents.
#include <doctest/doctest.h>

#include "crypto/frame.hpp"
#include "tests/node/virtual_tree.hpp"

namespace tiercast::tree_control_test {

using test::VirtualTree;

TEST_CASE("a listener that was killed is sent nothing after 15 s, and its place in the table goes") {
  VirtualTree tree{21};
  const auto origin = tree.add({.origin = true, .workers = 1});
  const auto dead = tree.listen({.parents = {origin}});
  const auto alive = tree.listen({.parents = {origin}});
  tree.run(10s);
  CHECK(tree.destinations(origin) == 2);
  tree.kill_listener(dead);
  std::uint64_t to_dead = 0;
  const auto counting = [&](const Endpoint&, const Endpoint& to, Bytes) {
    to_dead += to == tree.listener_address(dead, 0) ? 1 : 0;
    return false;
  };
  tree.run(15s);
  tree.drops = counting;
  CHECK(tree.destinations(origin) == 1);
  CHECK(tree.counter(origin, "lease_expired") == 1);
  CHECK(tree.feed(origin).workers()[0].free.taken() == 1);
  tree.run(5s);
  CHECK(to_dead == 0);
  CHECK(tree.lost_by(alive) == 0);
}

TEST_CASE("a listener whose address changed hears on after two round trips") {
  VirtualTree tree{22};
  const auto origin = tree.add({.origin = true});
  const auto l = tree.listen({.parents = {origin}});
  tree.run(7s);
  tree.move_listener(l);
  tree.run(1s);
  CHECK(tree.counter(origin, "lease_moved") == 1);
  CHECK(tree.destinations(origin) == 1);
  const auto before = tree.heard(l).size();
  tree.run(5s);
  CHECK(tree.good(l, before) >= 249);
  CHECK(tree.lost_by(l) == 0);
  CHECK(tree.listener_counter(l, "parent_rejoin") == 0);
}

TEST_CASE("an end is attested, believed, and quiet afterwards") {
  VirtualTree tree{23};
  const auto origin = tree.add({.origin = true});
  const auto relay = tree.add({.parents = {origin}, .pinned = true});
  const auto l = tree.listen({.parents = {relay}});
  const auto strict = tree.listen({.parents = {relay}, .strict = true});
  tree.lost = 0.02;
  tree.run(5s);
  CHECK(!tree.listener(l).ended());
  CHECK(tree.feed(origin).end_group(node::GroupIndex{0}, tree.now()));
  tree.run(500ms);
  const auto late = tree.listen({.parents = {relay}});
  tree.run(1500ms);
  CHECK(tree.listener(late).ended());
  CHECK(tree.listener(l).ended());
  CHECK(tree.listener(strict).ended());
  CHECK(tree.group(relay).ended);
  CHECK(tree.lost_by(l) + tree.lost_by(strict) <= 1);
  tree.lost = 0;
  const auto idles = tree.counter(relay, "fanout_idle");
  const auto before = tree.datagrams;
  tree.run(20s);
  CHECK(tree.counter(relay, "fanout_idle") == idles);
  CHECK(tree.counter(relay, "parent_silence") <= 1);
  CHECK(tree.listener_counter(l, "parent_rejoin") == 0);
  CHECK(tree.datagrams - before < 20 * 12);  // keepalives, infos, tallies
  for (const auto at : {relay, origin}) {
    const auto long_after = tree.listen({.parents = {at}});
    tree.run(1s);
    CHECK(tree.listener(long_after).ended());
  }

  // The next broadcast of the group: the origin starts again, and everybody is still there,
  // at the latest when a keepalive has gone unanswered.
  tree.restart(origin);
  tree.run(8s);
  CHECK(!tree.listener(l).ended());
  CHECK(!tree.group(relay).ended);
  const auto heard = tree.heard(l).size();
  tree.run(3s);
  CHECK(tree.good(l, heard) >= 149);
}

TEST_CASE("a stop says goodbye once to every lease, and seeks come later than the goodbye") {
  VirtualTree tree{24, {{GroupId{7}, 20}, {GroupId{8}, 20}}};
  const auto origin = tree.add({.origin = true});
  const auto relay = tree.add({.parents = {origin}, .pinned = true});
  const auto without = tree.add({.parents = {relay}});               // a lease without a group
  const auto both = tree.add({.parents = {relay}, .pinned = true});  // a lease with two
  const auto l = tree.listen({.parents = {relay}});
  tree.run(3s);
  CHECK(tree.feed(without).parents()[0].leased());
  const auto sent = tree.counter(relay, "lease_control_sent");
  tree.feed(relay).stop(tree.now());
  tree.run(20ms);
  CHECK(tree.feed(relay).stopped());
  CHECK(tree.counter(relay, "lease_control_sent") - sent <= 3 + 4);  // the goodbyes; infos may be due
  CHECK(!tree.feed(without).parents()[0].leased());
  CHECK(!tree.feed(both).parents()[0].leased());
  CHECK(!tree.listener(l).parents()[0].leased());
  CHECK(tree.counter(origin, "lease_left") == 1);  // upwards too
  // Its successor is there when they come.
  tree.restart(relay);
  tree.run(3s);
  for (const auto n : {without, both}) CHECK(tree.feed(n).parents()[0].leased());
  const auto before = tree.heard(l).size();
  tree.run(3s);
  CHECK(tree.good(l, before) >= 149);
}

TEST_CASE("before the talk, and when the origin is dead, nobody floods anybody") {
  VirtualTree tree{25};
  const auto origin = tree.add({.origin = true});
  const auto relay = tree.add({.parents = {origin}, .pinned = true});
  const auto edge = tree.add({.parents = {relay}});
  tree.kill(origin);
  tree.run(1s);
  std::vector<std::size_t> listeners;
  for (int i = 0; i < 5; ++i) listeners.push_back(tree.listen({.parents = {edge}}));
  tree.run(20s);
  for (const auto l : listeners) {
    CHECK(tree.listener(l).joined());
    CHECK(tree.listener_counter(l, "uplink_keepalive_sent") <= 8);
    CHECK(tree.listener_counter(l, "parent_rejoin") == 0);
  }
  tree.restart(origin);
  tree.run(10s);
  for (const auto l : listeners) CHECK(tree.good(l) > 250);

  tree.kill(origin);
  std::uint64_t keepalives = 0;
  for (const auto l : listeners) keepalives += tree.listener_counter(l, "uplink_keepalive_sent");
  tree.run(20s);
  std::uint64_t after = 0;
  for (const auto l : listeners) {
    after += tree.listener_counter(l, "uplink_keepalive_sent");
    CHECK(tree.listener_counter(l, "parent_rejoin") == 0);
  }
  CHECK(after - keepalives <= 5 * (4 + 3));
  CHECK(tree.feed(edge).standing().seeking);  // its parent says so, and so it says so too
  CHECK(tree.feed(edge).parents()[0].counters().rejoins.get() == 0);
}

TEST_CASE("who may never have got the word that he was admitted is not counted") {
  VirtualTree tree{27};
  const auto origin = tree.add({.origin = true});
  const auto near = tree.listen({.parents = {origin}});
  tree.drops = [&](const Endpoint& from, const Endpoint& to, Bytes datagram) {
    return from == VirtualTree::address_of(origin) && to.ip != tree.listener_address(near, 0).ip &&
           wire::Type{datagram[0]} == wire::Type::accept;
  };
  tree.listen({.parents = {origin}});
  tree.run(20s);
  REQUIRE(tree.counter(origin, "lease_installed") >= 2);
  REQUIRE(tree.counter(origin, "lease_never_confirmed") >= 1);
  CHECK(tree.feed(origin).tally(node::GroupIndex{0}).listeners == 1);
  tree.drops = nullptr;
  tree.run(10s);
  CHECK(tree.feed(origin).tally(node::GroupIndex{0}).listeners == 2);
}

TEST_CASE("one made-up frame, far ahead and of an epoch that nobody knows, keeps no parent from being heard") {
  VirtualTree tree{18};
  const auto origin = tree.add({.origin = true});
  const auto one = tree.add({.parents = {origin}, .pinned = true});
  const auto two = tree.add({.parents = {origin}, .pinned = true});
  const auto l = tree.listen({.parents = {one, two}});
  tree.run(5s);
  for (std::size_t p = 0; p < 2; ++p) {
    test::Datagram made_up(wire::kHeader + wire::kTag + 20, 0x55);
    wire::write_header(std::span{made_up}.first<wire::kHeader>(),
                       {wire::Type::frame, 0, SourceId{1}, GroupId{7}, Epoch{77}, Sequence{0xfffffffffff0}});
    tree.send(VirtualTree::address_of(p == 0 ? one : two), tree.listener_address(l, p), made_up);
  }
  tree.run(20s);
  CHECK(tree.listener_counter(l, "parent_silence") == 0);
  CHECK(tree.listener(l).live_parents(tree.now().mono) == 2);
  CHECK(tree.lost_by(l) == 0);
}

TEST_CASE("a relay cannot be fed by who holds the group's key, nor is a strict listener fooled") {
  VirtualTree tree{26};
  const auto origin = tree.add({.origin = true});
  const auto relay = tree.add({.parents = {origin}, .pinned = true});
  const auto edge = tree.add({.parents = {relay}, .pinned = true});
  const auto strict = tree.listen({.parents = {edge}, .strict = true});
  const auto plain = tree.listen({.parents = {edge}});
  tree.run(5s);
  const auto epoch = *tree.group(origin).origin->current_epoch();
  std::array<std::uint8_t, 40> opus{72, 0xff, 0xff, 0xff, 0xff};
  const auto forge = [&](Sequence sequence, std::uint8_t flags) {
    crypto::FrameSealer sealer{crypto::FrameKey::derive({}, epoch.value, GroupId{7}, SourceId{1}, epoch.epoch),
                               GroupId{7}, SourceId{1}, epoch.epoch, Sequence{0}};
    test::Datagram out(wire::kMaxSealed);
    out.resize(*sealer.seal(sequence, flags, opus, out));
    return out;
  };
  const Sequence newest = tree.group(origin).group.history.newest();

  SUBCASE("at the relay, from its very parent") {
    const auto frames = tree.counter(edge, "intake_frame");
    for (const std::uint64_t ahead : {1U, 2U, 30U, 100'000U}) {
      auto frame = forge(newest.plus(ahead), ahead > 1000 ? wire::kFlagDiscontinuity : 0);
      frame.resize(frame.size() + wire::kSignature, 0x5a);
      const auto mac = crypto::link_mac(tree.feed(relay).parents()[0].lease()->link_key(), frame);
      frame.insert(frame.end(), mac.begin(), mac.end());
      tree.send(VirtualTree::address_of(origin), VirtualTree::uplink_of(relay, 0), frame);
    }
    tree.run(15ms);
    CHECK(tree.counter(relay, "intake_drop_signature") == 4);
    CHECK(tree.group(relay).group.history.newest() <= newest.plus(1));
    tree.run(1s);
    CHECK(tree.counter(edge, "intake_frame") - frames <= 52);
    CHECK(tree.counter(edge, "intake_drop_signature") == 0);
    CHECK(tree.lost_by(plain) == 0);
  }
  SUBCASE("at the listener, in its edge's name") {
    const auto good_before = tree.good(plain);
    for (const std::uint64_t ahead : {1U, 2U, 30U, 140U, 5000U, 100'000U}) {
      for (const auto l : {strict, plain})
        tree.send(VirtualTree::address_of(edge), tree.listener_address(l, 0),
                  forge(newest.plus(ahead), ahead > 1000 ? wire::kFlagEnd | wire::kFlagDiscontinuity : 0));
    }
    tree.run(5s);
    CHECK(!tree.listener(strict).ended());
    CHECK(!tree.listener(plain).ended());
    CHECK(tree.lost_by(strict) == 0);
    CHECK(tree.good(strict) > 400);  // good(): each as the encoder sent it
    std::size_t forged = 0;
    for (const auto& heard : tree.heard(plain))
      if (heard.kind == receive::PlayedKind::frame && !heard.as_sent) ++forged;
    CHECK(forged <= 4);
    CHECK(tree.heard(plain).size() > good_before + 240);
  }
  SUBCASE("at the listener, with more versions than it holds: the true one is asked for again once they are refuted") {
    for (std::uint64_t ahead = 3; ahead < 23; ++ahead)
      for (int version = 0; version < 3; ++version) {
        opus[10] = static_cast<std::uint8_t>(version);
        tree.send(VirtualTree::address_of(edge), tree.listener_address(strict, 0), forge(newest.plus(ahead), 0));
      }
    tree.run(5s);
    CHECK(tree.listener_counter(strict, "playout_drop_third_version") >= 40);
    CHECK(tree.lost_by(strict) == 0);
    CHECK(tree.good(strict) > 400);
  }
  SUBCASE("and what he sends far ahead does not end a listener's repairs") {
    tree.send(VirtualTree::address_of(edge), tree.listener_address(plain, 0), forge(newest.plus(140), 0));
    tree.run(50ms);
    const auto before = tree.lost_by(plain);
    int lost_now = 0;
    tree.drops = [&](const Endpoint&, const Endpoint& to, Bytes d) {
      return to == tree.listener_address(plain, 0) && d[0] == 0x20 && ++lost_now % 20 == 0;
    };
    tree.run(2s);
    tree.drops = nullptr;
    tree.run(1s);
    CHECK(lost_now > 90);
    CHECK(tree.lost_by(plain) == before);
  }
}

TEST_CASE("an attestation that is forged, says nothing, or is an old one again is no sign of a parent's life") {
  enum Fake { unknown_hashes, no_hashes, wrong_hashes, old_again };
  for (const Fake kind : {unknown_hashes, no_hashes, wrong_hashes, old_again}) {
    CAPTURE(kind);
    VirtualTree tree{27};
    const auto origin = tree.add({.origin = true});
    const auto l = tree.listen({.parents = {origin}});
    test::Datagram last;
    tree.drops = [&](const Endpoint& from, const Endpoint&, Bytes d) {
      if (from == VirtualTree::address_of(origin) && d[0] == 0x22) last.assign(d.begin(), d.end());
      return false;
    };
    tree.run(3s);
    REQUIRE(!last.empty());
    tree.drops = [&](const Endpoint& from, const Endpoint&, Bytes d) {
      return from == VirtualTree::address_of(origin) && (d[0] == 0x22 || d[0] == 0x23);
    };
    const auto newest = tree.group(origin).group.history.newest();
    for (int i = 0; i < 60; ++i) {
      test::Datagram fake(wire::kHeader + 1 + 10 * wire::kAttestHash + wire::kSignature, 0x77);
      const auto first =
          kind == wrong_hashes ? Sequence{newest.value - 60} : newest.plus(static_cast<std::uint64_t>(i * 5));
      wire::write_header(std::span{fake}.first<wire::kHeader>(),
                         {wire::Type::attest, 0, SourceId{1}, GroupId{7}, Epoch{1}, first});
      fake[wire::kHeader] = 10;
      if (kind == no_hashes) std::fill_n(fake.begin() + wire::kHeader + 1, 10 * wire::kAttestHash, std::uint8_t{0});
      if (kind == old_again) fake = last;
      const auto keep = std::exchange(tree.drops, nullptr);
      tree.send(VirtualTree::address_of(origin), tree.listener_address(l, 0), fake);
      tree.drops = keep;
      tree.run(100ms);
    }
    if (kind != old_again)
      CHECK(tree.listener_counter(l, "playout_attest_drop_forged") +
                tree.listener_counter(l, "playout_attest_drop_malformed") >
            30);
    CHECK(tree.listener_counter(l, "parent_unattested") >= 1);
    CHECK(tree.listener_counter(l, "repair_attestation_asked") > 0);
  }
}

TEST_CASE(
    "a parent that is fed by an impostor costs nothing: its frames and its epochs are refused, and do not go on") {
  VirtualTree tree{31};
  const auto origin = tree.add({.origin = true});
  const auto bad = tree.add({.origin = true, .impostor = true});
  const auto relay = tree.add({.parents = {bad, origin}, .pinned = true});
  const auto edge = tree.add({.parents = {relay}, .pinned = true});
  tree.run(2s);
  const auto l = tree.listen({.parents = {edge}});
  const auto strict = tree.listen({.parents = {edge}, .strict = true});
  const auto deceived = tree.listen({.parents = {bad}});
  tree.run(10s);
  CHECK(tree.counter(relay, "feed_drop_epoch") > 0);
  CHECK(tree.counter(relay, "intake_drop_signature") > 0);
  CHECK(tree.counter(relay, "intake_drop_distrusted") == 0);  // 50 frames a second, and that is what it is read for
  for (const auto node : {relay, edge}) {
    REQUIRE(tree.group(node).epochs.all().size() == 3);
    for (const auto& epoch : tree.group(node).epochs.all()) {
      const auto announced = tree.group(origin).origin->announced();
      CHECK(std::any_of(announced.begin(), announced.end(), [&](const auto& a) { return a.value == epoch.value; }));
    }
  }
  for (const auto who : {l, strict}) {
    CHECK(tree.lost_by(who) == 0);
    CHECK(tree.good(who) > 420);
  }
  CHECK(tree.listener_counter(deceived, "playout_drop_epoch_forged") > 0);
  CHECK(tree.heard(deceived).empty());
}

TEST_CASE("two relays that are each other's parents do not count themselves, and say that they seek when all is lost") {
  VirtualTree tree{28};
  const auto origin = tree.add({.origin = true});
  tree.add({.parents = {0, 2}, .pinned = true});
  tree.add({.parents = {0, 1}, .pinned = true});
  const auto l = tree.listen({.parents = {1}});
  tree.run(10s);
  CHECK(tree.feed(origin).tally(node::GroupIndex{0}).relays == 2);
  CHECK(tree.feed(origin).tally(node::GroupIndex{0}).listeners == 1);
  CHECK(tree.lost_by(l) == 0);
  tree.kill(origin);
  tree.run(60s);
  CHECK(tree.feed(1).standing().seeking);
  CHECK(tree.feed(2).standing().seeking);
  CHECK(tree.feed(1).tally(node::GroupIndex{0}).relays <= 1);
  CHECK(tree.feed(2).tally(node::GroupIndex{0}).relays <= 1);
}

TEST_CASE("a relay below itself is refused") {
  VirtualTree tree{29};
  tree.add({.origin = true});
  tree.add({.parents = {0}, .pinned = true});
  tree.add({.parents = {1}, .pinned = true});
  tree.run(8s);
  // Node 1 comes back with its own child as its parent.
  tree.kill(1);
  tree.add({.parents = {2}, .pinned = true});
  tree.run(100ms);
  CHECK(tree.feed(1).parents()[0].denial());
  CHECK(tree.feed(1).parents()[0].denial()->reason == wire::DenyReason::loop);
}

TEST_CASE("more epochs than a keepalive can name all get down, through loss") {
  std::vector<test::GroupSpec> groups;
  for (std::uint32_t g = 1; g <= 40; ++g) groups.push_back({GroupId{g}, 60});
  VirtualTree tree{30, groups};
  const auto origin = tree.add({.origin = true});
  bool deaf = true;  // to everything but what acknowledgements bring
  tree.talk(false);
  const auto relay = tree.add({.parents = {origin}, .pinned = true});
  tree.drops = [&](const Endpoint& from, const Endpoint&, Bytes d) {
    // Answers to subscriptions and announcements: lost, half of what else there is too.
    return deaf && from == VirtualTree::address_of(origin) && d[0] == 0x10 && d.size() < 400;
  };
  tree.run(2s);
  const auto known_within_a_minute = [&](std::size_t enough) {
    std::size_t known = 0;
    for (int second = 0; second < 60 && known != enough; ++second) {
      tree.run(1s);
      known = 0;
      for (std::size_t g = 0; g < groups.size(); ++g) known += tree.group(relay, g).epochs.all().size();
    }
    return known;
  };
  deaf = false;
  tree.lost = 0.1;
  CHECK(known_within_a_minute(40 * 3) == 40 * 3);
  tree.lost = 0;
  for (std::size_t g = 0; g < groups.size(); ++g)
    tree.feed(origin).rotate(node::GroupIndex{static_cast<std::uint16_t>(g)}, tree.now());
  tree.lost = 0.3;
  CHECK(known_within_a_minute(40 * 4) == 40 * 4);
}

TEST_CASE("a datagram with many subscriptions is answered by one") {
  VirtualTree tree{31, {{GroupId{7}, 20}, {GroupId{8}, 20}}};
  const auto origin = tree.add({.origin = true});
  const auto l = tree.listen({.parents = {origin}});
  tree.run(2s);
  const auto& parent = tree.listener(l).parents()[0];
  std::array<std::uint8_t, 1100> buffer;
  Writer records{buffer};
  while (records.left() >= 6) wire::write_record(records, wire::Subscribe{GroupId{99}, {}});
  std::array<std::uint8_t, wire::kMaxDatagram> datagram;
  const Bytes sealed = const_cast<control::Parent&>(parent).seal(records.written(), datagram);
  const auto sent = tree.counter(origin, "lease_control_sent");
  tree.send(tree.listener_address(l, 0), VirtualTree::address_of(origin), sealed);
  tree.run(8ms);
  CHECK(tree.counter(origin, "lease_control_sent") - sent == 1);
  CHECK(tree.counter(origin, "worker_drop_subscribe") > 0);
}

TEST_CASE("who joins while sending takes four fifths of a worker's time is denied; a relay is not, nor who is there") {
  VirtualTree tree{29};
  // 52 datagrams a second: twelve listeners take 0.78 of the time, thirteen more than they may.
  const auto origin = tree.add({.origin = true, .datagram_takes = 1250us});
  for (int i = 0; i < 12; ++i) tree.listen({.parents = {origin}});
  tree.run(2s);
  CHECK(tree.destinations(origin) == 12);
  CHECK(tree.counter(origin, "join_denied") == 0);
  CHECK(tree.feed(origin).workers()[0].load.share(20ms) == doctest::Approx(0.78));
  const auto last = tree.listen({.parents = {origin}});
  tree.run(2s);
  CHECK(tree.destinations(origin) == 13);
  const auto denied = tree.listen({.parents = {origin}});
  tree.run(2s);
  CHECK(tree.destinations(origin) == 13);
  CHECK(tree.counter(origin, "join_denied") >= 1);
  CHECK_FALSE(tree.listener(denied).joined());
  const auto relay = tree.add({.parents = {origin}, .pinned = true});
  const auto below = tree.listen({.parents = {relay}});
  tree.run(20s);
  CHECK(tree.listener(below).joined());
  CHECK(tree.lost_by(last) == 0);
  // Two leave: there is room again, and the one that was denied asks again by itself.
  tree.kill_listener(0);
  tree.kill_listener(1);
  tree.run(60s);
  CHECK(tree.listener(denied).joined());
  CHECK(tree.destinations(origin) == 12);
}

TEST_CASE("of two nodes that are each other's standby neither admits more than it could serve alone") {
  VirtualTree tree{33};
  const auto origin = tree.add({.origin = true});
  const std::size_t edges[] = {tree.add({.parents = {origin}, .pinned = true, .datagram_takes = 1250us}),
                               tree.add({.parents = {origin}, .pinned = true, .datagram_takes = 1250us})};
  tree.run(1s);
  for (std::size_t i = 0; i < 20; ++i) {  // each 6.5 % of a worker's time
    tree.listen({.parents = {edges[i % 2], edges[1 - i % 2]}, .live = 1});
    tree.run(6s);
  }
  for (const auto edge : edges) {
    const node::LoadJudge& load = tree.feed(edge).workers()[0].load;
    CHECK(load.share(20ms) > 0.4);
    CHECK(load.standing_by() >= 5);
    CHECK(load.share_taken_up(20ms) > 0.9);
    CHECK(load.share_taken_up(20ms) < 1.0);
    CHECK(tree.counter(edge, "join_denied") > 0);
  }
  tree.kill(edges[0]);
  tree.run(3s);
  CHECK(tree.feed(edges[1]).workers()[0].load.share(20ms) > 0.9);
  CHECK(tree.feed(edges[1]).workers()[0].load.share(20ms) < 1.0);
  CHECK(tree.feed(edges[1]).workers()[0].load.standing_by() == 0);
}

TEST_CASE("a node that was full when its group ended has room for those who come to the next") {
  VirtualTree tree{31};
  const auto origin = tree.add({.origin = true, .datagram_takes = 1250us});
  for (int i = 0; i < 13; ++i) tree.listen({.parents = {origin}});
  tree.run(5s);
  REQUIRE(tree.destinations(origin) == 13);
  tree.talk(false);
  REQUIRE(tree.feed(origin).end_group(node::GroupIndex{0}, tree.now()));
  tree.run(1s);
  for (std::size_t i = 0; i < 13; ++i) tree.kill_listener(i);
  tree.run(30s);
  REQUIRE(tree.destinations(origin) == 0);
  const auto next = tree.listen({.parents = {origin}});
  tree.run(60s);
  CHECK(tree.listener(next).joined());
}

TEST_CASE("a worker that is full does not keep listeners from one that has room") {
  VirtualTree tree{32, {{GroupId{7}, 20}, {GroupId{8}, 60}}};
  const auto origin = tree.add({.origin = true, .workers = 2, .datagram_takes = 1250us});
  // Turn by turn: those of the short frames come to one worker, those of the long ones to the other.
  for (int i = 0; i < 12; ++i) {
    tree.listen({.parents = {origin}, .group = 0});
    tree.run(100ms);
    tree.listen({.parents = {origin}, .group = 1});
    tree.run(100ms);
  }
  tree.run(2s);
  const auto& workers = tree.feed(origin).workers();
  REQUIRE(workers[0].load.share(20ms) > 0.75);
  REQUIRE(workers[1].load.share(20ms) < 0.4);
  tree.listen({.parents = {origin}, .group = 0});
  tree.run(2s);
  std::vector<std::size_t> more;
  for (int i = 0; i < 6; ++i) more.push_back(tree.listen({.parents = {origin}, .group = 1}));
  tree.run(20s);
  for (const auto listener : more) CHECK(tree.listener(listener).joined());
}

}  // namespace tiercast::tree_control_test
