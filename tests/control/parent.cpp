// A parent's life as its child sees it, against a real responder and whatever keepalives a test lets through.
#include "relay/control/parent.hpp"

#include <doctest/doctest.h>

#include "crypto/control.hpp"
#include "tests/control/join_fixture.hpp"

namespace tiercast::parent_test {

using namespace tiercast::control;
using test::Datagram;

namespace {

struct Upstream {
  explicit Upstream(wire::Role role = wire::Role::relay)
      : own_key(crypto::generate_private_key(random)), parent(config(role), random, now) {
    run(50ms);
    REQUIRE(joined == 1);
    parent.expect_stream(true, now);
  }
  ParentConfig config(wire::Role role) const {
    ParentConfig c;
    c.key = node.public_key;
    c.request = role == wire::Role::relay ? test::kRelayRequest : test::kListenerRequest;
    if (role == wire::Role::relay) c.own_key = &own_key;
    return c;
  }

  // Everything that is due until then; `each`: what comes from it meanwhile, every 20 ms.
  void run(Duration d, std::optional<Parent::Stream> each = {}) {
    const Time end = now + d;
    Time next_stream = each ? now : kNever;
    int at_once = 0;
    while (true) {
      pump();
      const Time next = std::min(parent.next_deadline(), next_stream);
      if (next > end) break;
      at_once = next <= now ? at_once + 1 : 0;
      REQUIRE(at_once < 50);  // a deadline that has passed and stays
      now = std::max(now, next);
      if (now >= next_stream) {
        next_stream += 20ms;
        parent.on_stream(*each, now);
      }
      parent.on_timer(now);
    }
    now = end;
  }

  void pump() {
    std::array<std::uint8_t, wire::kMaxDatagram> out;
    while (true) {
      const Bytes datagram = parent.take_datagram({}, out, now);
      if (datagram.empty()) return;
      const Datagram sent = test::copy(datagram);
      if (sent[0] == 0x10) {
        on_control(sent);
      } else {
        ++(sent[0] == 0x01 ? hellos : joins);
        if (!dead) give(test::copy(node.give(sent, test::address(9, 999), now)));
      }
    }
  }

  void on_control(const Datagram& sent) {
    const auto control = wire::parse_control(sent);
    std::array<std::uint8_t, wire::kMaxDatagram> plain;
    for (auto keys = node.door.keys.rbegin(); keys != node.door.keys.rend(); ++keys) {
      const auto length = crypto::open_control(keys->initiator_to_responder.view(), *control, plain);
      if (!length) continue;
      wire::RecordReader reader{Bytes{plain}.first(*length)};
      while (auto record = reader.next()) {
        if (std::holds_alternative<wire::Leave>(*record)) ++leaves;
        const auto* keepalive = std::get_if<wire::Keepalive>(&*record);
        if (!keepalive) continue;
        ++keepalives;
        if (dead || mute) continue;
        std::array<std::uint8_t, 64> buffer;
        Writer answer{buffer};
        wire::write_record(answer, wire::Acknowledgement{keepalive->number, {7}, seeking, {}});
        Datagram sealed(wire::kMaxDatagram);
        sealed.resize(crypto::seal_control(keys->responder_to_initiator.view(), Lane{0}, control->lease, counter++,
                                           answer.written(), sealed));
        give(sealed);
      }
      return;
    }
    FAIL("nobody's CONTROL");
  }

  void give(const Datagram& datagram) {
    std::array<std::uint8_t, wire::kMaxDatagram> records;
    if (datagram.empty()) return;
    const auto input = parent.on_datagram(datagram, records, now);
    if (input.came != Parent::Came::joined) return;
    ++joined;
    counter = 0;
    (void)parent.take_grant();
  }

  Time now{100s};
  test::SeededRandom random{4};
  test::TestNode node;
  crypto::PrivateKey own_key;
  bool dead = false, mute = false, seeking = false;
  int hellos = 0, joins = 0, joined = 0, keepalives = 0, leaves = 0;
  std::uint64_t counter = 0;
  Parent parent;
};

}  // namespace

TEST_CASE("a parent is live while frames come, and for the silence limit after") {
  Upstream up;
  up.run(2s, Parent::Stream::attestation);
  up.run(3s, Parent::Stream::frame);  // unattested for 3 s is another test's matter
  CHECK(up.parent.live(up.now));
  CHECK(up.parent.live(up.now + 30ms));
  CHECK(!up.parent.live(up.now + 61ms));
}

TEST_CASE("silence asks once; a parent that answers is neither flooded nor left") {
  Upstream up;
  up.run(1s, Parent::Stream::attestation);
  const int before = up.keepalives;
  up.run(200ms);
  CHECK(up.keepalives == before + 1);
  up.run(30s);
  CHECK(up.keepalives <= before + 1 + 7);
  CHECK(up.hellos == 1);
  CHECK(up.parent.counters().silences.get() == 1);
  CHECK(!up.parent.live(up.now));
  up.run(100ms, Parent::Stream::attestation);
  CHECK(up.parent.live(up.now));
}

TEST_CASE("a parent that never sent anything is asked once too") {
  Upstream up;
  const int before = up.keepalives;
  up.run(10s);
  CHECK(up.keepalives <= before + 1 + 3);
}

TEST_CASE("a parent that is dead is joined anew within 400 ms, beside the old lease, which then ends") {
  Upstream up;
  up.run(1s, Parent::Stream::attestation);
  up.dead = true;
  up.run(300ms);
  CHECK(up.hellos >= 2);
  CHECK(up.parent.leased());
  up.dead = false;
  up.run(1s);
  CHECK(up.joined == 2);
  CHECK(up.leaves == 1);
  CHECK(up.parent.counters().rejoins.get() == 1);
}

TEST_CASE("a listener waits longer than a relay before it joins anew, and asks twice meanwhile") {
  Upstream up{wire::Role::listener};
  up.run(1s, Parent::Stream::attestation);
  const int before = up.keepalives;
  up.dead = true;
  up.run(650ms);  // the silence of 60 ms, and nearly all of its patience
  CHECK(up.keepalives == before + 2);
  CHECK(up.hellos == 1);
  up.run(420ms);
  CHECK(up.hellos >= 2);
  up.dead = false;
  up.run(2s);
  CHECK(up.joined == 2);
}

TEST_CASE("what speaks again by the old lease needs no new one") {
  Upstream up;
  up.run(1s, Parent::Stream::attestation);
  up.dead = true;
  up.run(300ms);
  CHECK(up.parent.joining() != nullptr);
  up.run(40ms, Parent::Stream::attestation);
  CHECK(up.parent.joining() == nullptr);
  CHECK(up.joined == 1);
}

TEST_CASE("IDLE delays a child's judgement by a second at most, unless the parent seeks itself") {
  Upstream up;
  up.run(1s, Parent::Stream::attestation);
  up.run(100ms, Parent::Stream::frame);
  const int before = up.keepalives;
  up.run(400ms, Parent::Stream::idle);
  CHECK(up.parent.live(up.now));
  CHECK(up.keepalives == before);
  up.run(700ms, Parent::Stream::idle);
  CHECK(!up.parent.live(up.now));
  CHECK(up.keepalives == before + 1);
  up.run(4s, Parent::Stream::idle);
  CHECK(up.keepalives <= before + 2);  // it does not go on asking
  up.seeking = true;
  up.run(6s, Parent::Stream::idle);  // the next keepalive learns it
  CHECK(up.parent.live(up.now));
  up.run(20s, Parent::Stream::idle);
  CHECK(up.parent.live(up.now));
  CHECK(up.hellos == 1);
}

TEST_CASE("frames that nobody attests for two seconds are as good as none; after a pause the two seconds start anew") {
  Upstream up;
  up.run(1900ms, Parent::Stream::frame);
  CHECK(up.parent.counters().unattested.get() == 0);
  up.seeking = true;
  up.run(6s, Parent::Stream::idle);
  up.run(1900ms, Parent::Stream::frame);
  CHECK(up.parent.counters().unattested.get() == 0);
  CHECK(up.hellos == 1);
  up.run(200ms, Parent::Stream::frame);
  CHECK(up.parent.counters().unattested.get() == 1);
  CHECK(up.hellos == 2);
}

TEST_CASE("who is denied waits, also when its old lease stays unanswered") {
  Upstream up;
  up.run(1s, Parent::Stream::attestation);
  up.mute = true;  // the same address, another process: it does not know the lease
  up.node.door.deny = wire::DenyReason::not_allowed;
  up.run(14s);
  CHECK(up.parent.leased());
  CHECK(up.parent.denial());
  CHECK(up.hellos <= 1 + 4);
  up.run(60s);
  CHECK(!up.parent.leased());
  CHECK(up.hellos <= 1 + 4 + 13);
  up.node.door.deny.reset();
  up.mute = false;
  up.run(12s);
  CHECK(up.joined == 2);
}

TEST_CASE("a thousand ICMP answers are one reason to join anew") {
  Upstream up;
  up.run(1s, Parent::Stream::attestation);
  up.dead = true;
  for (int i = 0; i < 1000; ++i) {
    up.parent.on_unreachable(up.now);
    up.run(1ms);
  }
  CHECK(up.hellos <= 1 + 4);
  up.dead = false;
  up.run(4s);
  CHECK(up.joined == 2);
}

TEST_CASE("another version is told, and asked again later") {
  SUBCASE("it comes to speak ours") {
    Time now{100s};
    test::SeededRandom random{5};
    test::TestNode node;
    ParentConfig config;
    config.key = node.public_key;
    config.request = test::kListenerRequest;
    Parent parent{config, random, now};
    std::array<std::uint8_t, wire::kMaxDatagram> out, records;
    int hellos = 0;
    bool joined = false;
    for (const Time end = now + 30s; now < end; now += 10ms) {
      parent.on_timer(now);
      for (Bytes d = parent.take_datagram({}, out, now); !d.empty(); d = parent.take_datagram({}, out, now)) {
        if (d[0] == 0x10) continue;
        hellos += d[0] == 0x01 ? 1 : 0;
        const Bytes reply = node.give(d, test::address(9, 999), now);
        if (reply.empty()) continue;
        Datagram answer(reply.begin(), reply.end());
        if (answer[0] == 0x02 && now < Time{112s}) answer[2] = answer[3] = 9;
        joined = parent.on_datagram(answer, records, now).came == Parent::Came::joined || joined;
        if (answer[2] == 9) CHECK(parent.joining()->state() == JoinState::version);
      }
      if (now < Time{112s}) CHECK(hellos <= 6);
    }
    CHECK(joined);
  }
}

TEST_CASE("a goodbye ends the lease at once, and the next join is not too early") {
  Upstream up;
  up.run(1s, Parent::Stream::attestation);
  up.parent.on_go_away(wire::LeaveReason::stop, 4, up.now);
  CHECK(!up.parent.leased());
  up.run(1900ms);
  CHECK(up.hellos == 1);
  up.run(4200ms);
  CHECK(up.hellos == 2);
  CHECK(up.joined == 2);
}

TEST_CASE("a parent that drains is kept until it is left, and says so until it has heard") {
  for (const auto role : {wire::Role::relay, wire::Role::listener}) {
    Upstream up{role};
    up.run(1s, Parent::Stream::attestation);
    up.parent.on_go_away(wire::LeaveReason::drain, 4, up.now);
    CHECK(up.parent.drains());
    up.run(5s, Parent::Stream::attestation);
    CHECK(up.parent.live(up.now));
    CHECK(up.hellos == 1);
    up.parent.on_go_away(wire::LeaveReason::drain, 4, up.now);
    up.parent.leave(up.now);
    CHECK_FALSE(up.parent.leased());
    CHECK_FALSE(up.parent.drains());
    const auto said_under_it = [&](std::size_t keys) {
      std::array<std::uint8_t, 16> record;
      Writer records{record};
      wire::write_record(records, wire::GoAway{wire::LeaveReason::drain, 4, {}});
      Datagram sealed(wire::kMaxDatagram);
      sealed.resize(crypto::seal_control(up.node.door.keys[keys].responder_to_initiator.view(), Lane{0},
                                         LeaseId{0x1234000001abcdef}, up.counter++, records.written(), sealed));
      return sealed;
    };
    up.run(100ms);
    CHECK(up.leaves == 1);
    up.run(100ms);
    CHECK(up.leaves == 1);
    up.give(said_under_it(0));  // it has not heard
    up.run(100ms);
    CHECK(up.leaves == 2);
    CHECK(up.hellos == 1);
    up.run(1700ms);  // half of what it asked for
    CHECK(up.joined == 1);
    up.run(4200ms);
    CHECK(up.joined == 2);
    CHECK(up.leaves == 2);
    CHECK(up.parent.leased());
    CHECK_FALSE(up.parent.drains());
  }
}

TEST_CASE("a parent that drained is sought at once where it is needed, but not one that denied for good") {
  Upstream up;
  up.parent.hurry(up.now);  // it has a lease
  up.parent.on_go_away(wire::LeaveReason::drain, 600, up.now);
  up.parent.leave(up.now);
  up.run(10s);
  CHECK(up.hellos == 1);
  up.parent.hurry(up.now);
  up.run(200ms);
  CHECK(up.joined == 2);
  up.parent.on_go_away(wire::LeaveReason::stop, 0, up.now);
  up.node.door.deny = wire::DenyReason::not_allowed;
  up.run(1s);
  REQUIRE(up.parent.denial());
  const int before = up.hellos;
  up.parent.hurry(up.now);
  up.run(1s);
  CHECK(up.hellos == before);
}

TEST_CASE("a parent's way loses what it does not bring by itself; an outage is no loss, and a standby's is forgotten") {
  Upstream up;
  const auto five_seconds = [&](std::uint64_t missed) {
    for (int i = 0; i < 5; ++i) {
      up.run(1s, Parent::Stream::frame);
      up.parent.on_stream(Parent::Stream::attestation, up.now);
    }
    up.parent.note_way(250 - missed, missed, up.now);
  };
  up.parent.note_way(0, 0, up.now);
  five_seconds(0);
  CHECK(up.parent.loss() == 0);
  for (int i = 0; i < 4; ++i) five_seconds(25);
  const double lossy = up.parent.loss();
  CHECK(lossy > 0.08);
  CHECK(lossy < 0.11);
  up.run(1s);  // nothing, whosever fault that is
  five_seconds(125);
  CHECK(up.parent.loss() == lossy);
  up.run(5s, Parent::Stream::seeking);  // its own parents had nothing
  five_seconds(125);
  up.run(1s, Parent::Stream::frame);
  CHECK(up.parent.loss() == lossy);
  up.parent.expect_stream(false, up.now);
  for (int i = 0; i < 12; ++i) {
    up.run(5s);
    up.parent.note_way(0, 0, up.now);
  }
  CHECK(up.parent.loss() > lossy * 0.5);
  CHECK(up.parent.loss() < lossy * 0.7);
}

TEST_CASE("loss is what did not come of what was due") {
  Upstream up;
  (void)up.parent.take_loss(20ms, up.now);
  up.run(1s, Parent::Stream::frame);
  CHECK(up.parent.take_loss(20ms, up.now) == 0);
  up.parent.on_stream(Parent::Stream::attestation, up.now);
  up.run(1s, Parent::Stream::frame);
  const auto half = up.parent.take_loss(10ms, up.now);
  CHECK(half > 65535 * 45 / 100);
  CHECK(half < 65535 * 55 / 100);
  up.run(1s);
  CHECK(up.parent.take_loss(20ms, up.now) == 65535);
  up.parent.expect_stream(false, up.now);
  up.run(1s);
  CHECK(up.parent.take_loss(20ms, up.now) == 0);
}

}  // namespace tiercast::parent_test
