// The joining side, alone and against a real responder over a bad path.
#include "relay/control/join_initiator.hpp"

#include <doctest/doctest.h>

#include <stdexcept>

#include "tests/control/join_fixture.hpp"
#include "tests/control/lossy_channel.hpp"

namespace tiercast::control::join_initiator_test {
namespace {

using test::copy;
using test::Datagram;
using test::TestNode;

const Time kT0{1000s};
const Endpoint kFrom = test::address(1, 5000);

/// Until the joiner is done, or `limit`.
Time run(JoinInitiator& joiner, TestNode& node, const test::ChannelFaults& faults, Random& random, Time now,
         Duration limit) {
  test::LossyChannel up{faults, random}, down{faults, random};
  const Time end = now + limit;
  up.send(joiner.take_datagram(), now);
  while (now < end && joiner.state() <= JoinState::join_sent) {
    now = std::max(now, std::min({joiner.next_deadline(), up.next(), down.next(), end}));
    while (const auto d = up.receive(now)) down.send(node.give(*d, kFrom, now), now);
    while (const auto d = down.receive(now)) {
      joiner.on_datagram(*d, now);
      up.send(joiner.take_datagram(), now);
    }
    joiner.on_timer(now);
    up.send(joiner.take_datagram(), now);
  }
  return now;
}

TEST_CASE("IK and NK: both sides hold the same keys, and the grant says what the node wrote") {
  for (const bool relay : {true, false}) {
    CAPTURE(relay);
    TestNode node;
    test::SeededRandom random{5};
    const crypto::PrivateKey own = crypto::generate_private_key(random);
    const std::array<std::uint8_t, 3> ticket{1, 2, 3};
    JoinInitiator joiner{
        relay ? &own : nullptr,          node.public_key, relay ? test::kRelayRequest : test::kListenerRequest,
        relay ? Bytes{} : Bytes{ticket}, random,          kT0};
    const Time end = run(joiner, node, {.delay = 15ms}, random, kT0, 10s);
    REQUIRE(joiner.state() == JoinState::accepted);
    CHECK(end == kT0 + 60ms);  // two round trips
    CHECK(joiner.next_deadline() == kNever);
    const JoinGrant grant = joiner.take_grant();
    CHECK(grant.round_trip == 30ms);
    CHECK(grant.accepted.lane == Lane{3});
    CHECK(grant.accepted.lease == LeaseId{0x1234000001abcdef});
    CHECK(grant.accepted.path.size() == 1);
    REQUIRE(grant.group_info);
    CHECK(grant.group_info->newest == Sequence{99});
    REQUIRE(grant.epochs.size() == 2);
    CHECK(grant.epochs[1].epoch == Epoch{2});
    REQUIRE(node.door.keys.size() == 1);
    CHECK(crypto::equal(grant.keys.initiator_to_responder.view(), node.door.keys[0].initiator_to_responder.view()));
    CHECK(crypto::equal(grant.keys.responder_to_initiator.view(), node.door.keys[0].responder_to_initiator.view()));
    CHECK(!crypto::equal(grant.keys.initiator_to_responder.view(), grant.keys.responder_to_initiator.view()));
    CHECK(node.door.last.relay_key.has_value() == relay);
    if (relay) CHECK(*node.door.last.relay_key == crypto::node_public_key(own));
    CHECK(node.door.last.request.role == (relay ? wire::Role::relay : wire::Role::listener));
    CHECK(node.door.last.from == kFrom);
    CHECK(node.door.last.local == node.local);
    CHECK(node.door.last_ticket == (relay ? Datagram{} : Datagram{1, 2, 3}));
  }
}

TEST_CASE("joins come through 30 % loss each way, duplicates and reordering; no JOIN makes two leases") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    TestNode node;
    test::SeededRandom random{seed};
    const crypto::PrivateKey own = crypto::generate_private_key(random);
    const bool relay = seed % 2 == 0;
    JoinInitiator joiner{
        relay ? &own : nullptr, node.public_key, relay ? test::kRelayRequest : test::kListenerRequest, {}, random, kT0};
    run(joiner, node, {.lost = 0.3, .doubled = 0.3, .delay = 5ms, .jitter = 400ms}, random, kT0, 120s);
    REQUIRE(joiner.state() == JoinState::accepted);
    const JoinGrant grant = joiner.take_grant();
    CHECK(crypto::equal(grant.keys.initiator_to_responder.view(), node.door.keys.back().initiator_to_responder.view()));
    const auto& c = node.responder.counters();
    CHECK(node.door.seated == static_cast<int>(c.accepts.get()));
    CHECK(test::adds_up(c, c.hellos.get() + c.joins.get()));
    CHECK(c.drop_handshake.get() + c.drop_cookie.get() + c.drop_request.get() == 0);
  }
}

TEST_CASE("HELLO is resent as it is after 200 ms, doubling to 3.2 s, a quarter more or less") {
  test::SeededRandom random{5};
  TestNode node;
  JoinInitiator joiner{nullptr, node.public_key, test::kListenerRequest, {}, random, kT0};
  const Datagram hello = copy(joiner.take_datagram());
  CHECK(hello.size() == wire::kHello);
  CHECK(joiner.take_datagram().empty());
  Time now = kT0;
  Duration expected = 200ms;
  bool jittered = false;
  for (int i = 0; i < 10; ++i) {
    const Duration waits = joiner.next_deadline() - now;
    CHECK(waits >= expected * 3 / 4);
    CHECK(waits <= expected * 5 / 4);
    jittered |= waits != expected;
    joiner.on_timer(joiner.next_deadline() - 1ns);
    CHECK(joiner.take_datagram().empty());
    now = joiner.next_deadline();
    joiner.on_timer(now);
    CHECK(copy(joiner.take_datagram()) == hello);
    expected = std::min<Duration>(expected * 2, 3200ms);
  }
  CHECK(jittered);
  CHECK(joiner.hellos_sent() == 11);
  CHECK(joiner.state() == JoinState::hello_sent);
}

TEST_CASE("JOIN is resent byte for byte; five unanswered start anew with another nonce") {
  TestNode node;
  test::SeededRandom random{5};
  JoinInitiator joiner{nullptr, node.public_key, test::kListenerRequest, {}, random, kT0};
  const Datagram hello = copy(joiner.take_datagram());
  const Datagram retry = copy(node.give(hello, kFrom, kT0));
  joiner.on_datagram(retry, kT0);
  const Datagram join = copy(joiner.take_datagram());
  CHECK(joiner.state() == JoinState::join_sent);
  Time now = kT0;
  for (int i = 0; i < 4; ++i) {
    now = joiner.next_deadline();
    joiner.on_timer(now);
    CHECK(copy(joiner.take_datagram()) == join);
    joiner.on_datagram(retry, now);  // a second RETRY changes nothing
    CHECK(joiner.take_datagram().empty());
  }
  CHECK(joiner.joins_sent() == 5);
  now = joiner.next_deadline();
  joiner.on_timer(now);
  const Datagram anew = copy(joiner.take_datagram());
  REQUIRE(wire::parse_hello(anew));
  CHECK(wire::parse_hello(anew)->nonce != wire::parse_hello(hello)->nonce);
  CHECK(joiner.state() == JoinState::hello_sent);
  joiner.on_datagram(retry, now);  // of the old nonce
  CHECK(joiner.take_datagram().empty());
  joiner.on_datagram(node.give(anew, kFrom, now), now);
  joiner.on_datagram(node.give(copy(joiner.take_datagram()), kFrom, now), now);
  CHECK(joiner.state() == JoinState::accepted);
}

TEST_CASE("a wrong responder key never gets an ACCEPT and shows as join_sent") {
  TestNode node;
  test::SeededRandom random{5};
  const auto other = crypto::node_public_key(crypto::generate_private_key(random));
  const crypto::PrivateKey own = crypto::generate_private_key(random);
  JoinInitiator joiner{&own, other, test::kRelayRequest, {}, random, kT0};
  run(joiner, node, {}, random, kT0, 60s);
  CHECK(joiner.state() <= JoinState::join_sent);
  CHECK(joiner.joins_sent() > 20);
  CHECK(node.door.admitted == 0);
  CHECK(node.responder.counters().drop_handshake.get() > 4);
  CHECK(joiner.hellos_sent() < 20);
}

TEST_CASE("forged ACCEPTs are ignored, the honest one still counts") {
  for (const bool relay : {true, false}) {
    TestNode node;
    test::SeededRandom random{5};
    const crypto::PrivateKey own = crypto::generate_private_key(random);
    JoinInitiator joiner{
        relay ? &own : nullptr, node.public_key, relay ? test::kRelayRequest : test::kListenerRequest, {}, random, kT0};
    const Datagram join = test::first_join(node, joiner, kFrom, kT0);
    const Datagram accept = copy(node.give(join, kFrom, kT0));
    Datagram forged = accept;
    forged.back() ^= 1;
    joiner.on_datagram(forged, kT0);
    CHECK(joiner.state() == JoinState::join_sent);
    forged.resize(wire::kAcceptClear + 1);
    joiner.on_datagram(forged, kT0);
    Datagram other_nonce = accept;
    other_nonce[2] ^= 1;
    joiner.on_datagram(other_nonce, kT0);
    CHECK(joiner.state() == JoinState::join_sent);
    joiner.on_datagram(accept, kT0);
    REQUIRE(joiner.state() == JoinState::accepted);
    CHECK(crypto::equal(joiner.take_grant().keys.responder_to_initiator.view(),
                        node.door.keys[0].responder_to_initiator.view()));
  }
}

TEST_CASE("no version in common, and a puzzle beyond 24 bits, end the attempt and say so") {
  TestNode node;
  test::SeededRandom random{5};
  const auto retried = [&](const wire::Retry& base) {
    JoinInitiator joiner{nullptr, node.public_key, test::kListenerRequest, {}, random, kT0};
    wire::Retry retry = base;
    retry.challenge.nonce = wire::parse_hello(joiner.take_datagram())->nonce;
    Datagram d(wire::kRetry);
    wire::write_retry(std::span{d}.first<wire::kRetry>(), retry);
    joiner.on_datagram(d, kT0);
    return joiner;
  };
  auto newer = retried({.lowest = 2, .highest = 5, .challenge = {}});
  CHECK(newer.state() == JoinState::version);
  CHECK(newer.offered_versions() == std::pair<std::uint8_t, std::uint8_t>{2, 5});
  CHECK(newer.next_deadline() == kNever);
  wire::Retry hard;
  hard.challenge.difficulty = 25;
  auto refused = retried(hard);
  CHECK(refused.state() == JoinState::refused);
  CHECK(refused.next_deadline() == kNever);
  CHECK(refused.take_datagram().empty());
  hard.challenge.difficulty = 24;
  CHECK(retried(hard).state() == JoinState::waiting);
}

TEST_CASE("a puzzle of 8 bits is solved, of 20 bits in turns that end") {
  TestNode node;
  test::SeededRandom random{5};
  node.responder.set_policy(0, 8);
  JoinInitiator joiner{nullptr, node.public_key, test::kListenerRequest, {}, random, kT0};
  run(joiner, node, {}, random, kT0, 5s);
  CHECK(joiner.state() == JoinState::accepted);
  CHECK(node.responder.counters().drop_puzzle.get() == 0);

  node.responder.set_policy(0, 20);
  JoinInitiator longer{nullptr, node.public_key, test::kListenerRequest, {}, random, kT0};
  longer.on_datagram(node.give(longer.take_datagram(), kFrom, kT0), kT0);
  CHECK(longer.state() == JoinState::waiting);
  longer.on_timer(kT0);
  CHECK(longer.next_deadline() == kT0);  // goes on at once, but lets others in between
}

TEST_CASE("a puzzle not solved while its cookie lives starts anew") {
  TestNode node;
  test::SeededRandom random{5};
  node.responder.set_policy(0, 24);
  JoinInitiator joiner{nullptr, node.public_key, test::kListenerRequest, {}, random, kT0};
  joiner.on_datagram(node.give(joiner.take_datagram(), kFrom, kT0), kT0);
  CHECK(joiner.state() == JoinState::waiting);
  joiner.on_timer(kT0 + 9s);
  CHECK(joiner.state() == JoinState::hello_sent);
  CHECK(wire::parse_hello(joiner.take_datagram()));
}

TEST_CASE("the wait that RETRY asks for is kept, then JOIN is taken") {
  TestNode node;
  test::SeededRandom random{5};
  node.responder.set_policy(50, 4);
  JoinInitiator joiner{nullptr, node.public_key, test::kListenerRequest, {}, random, kT0};
  joiner.on_datagram(node.give(joiner.take_datagram(), kFrom, kT0), kT0);
  while (joiner.next_deadline() <= kT0) joiner.on_timer(kT0);  // the puzzle is done meanwhile
  CHECK(joiner.state() == JoinState::waiting);
  CHECK(joiner.next_deadline() == kT0 + wire::kHandshakeMaxResend);
  joiner.on_timer(joiner.next_deadline());
  const Time again = kT0 + wire::kHandshakeMaxResend;
  joiner.on_datagram(node.give(joiner.take_datagram(), kFrom, again), again);  // a wait that ends later
  CHECK(joiner.next_deadline() == kT0 + 5s);
  joiner.on_timer(kT0 + 5s - 1ns);
  CHECK(joiner.take_datagram().empty());
  joiner.on_timer(kT0 + 5s);
  const Datagram join = copy(joiner.take_datagram());
  CHECK(joiner.state() == JoinState::join_sent);
  joiner.on_datagram(node.give(join, kFrom, kT0 + 5s), kT0 + 5s);
  CHECK(joiner.state() == JoinState::accepted);
}

TEST_CASE("a wait that no node asked for is left when the node is asked once more") {
  TestNode node;
  test::SeededRandom random{5};
  JoinInitiator joiner{nullptr, node.public_key, test::kListenerRequest, {}, random, kT0};
  const Datagram hello = copy(joiner.take_datagram());
  Datagram altered = copy(node.give(hello, kFrom, kT0));
  wire::Retry retry = *wire::parse_retry(altered);
  retry.challenge.wait = 0x100;
  wire::write_retry(std::span{altered}.first<wire::kRetry>(), retry);
  joiner.on_datagram(altered, kT0);
  CHECK(joiner.state() == JoinState::waiting);
  const Time again = joiner.next_deadline();
  CHECK(again == kT0 + wire::kHandshakeMaxResend);
  joiner.on_timer(again);
  CHECK(copy(joiner.take_datagram()) == hello);
  Datagram harder = copy(node.give(hello, kFrom, again));
  retry = *wire::parse_retry(harder);
  retry.challenge.difficulty = 25;
  wire::write_retry(std::span{harder}.first<wire::kRetry>(), retry);
  joiner.on_datagram(harder, again);
  CHECK(joiner.state() == JoinState::waiting);
  joiner.on_datagram(node.give(hello, kFrom, again), again);
  REQUIRE(joiner.state() == JoinState::join_sent);
  joiner.on_datagram(node.give(joiner.take_datagram(), kFrom, again), again);
  CHECK(joiner.state() == JoinState::accepted);
}

TEST_CASE("a denial carries its reason, when to come back and where else") {
  TestNode node;
  node.door.deny = wire::DenyReason::full;
  test::SeededRandom random{5};
  JoinInitiator joiner{nullptr, node.public_key, test::kListenerRequest, {}, random, kT0};
  run(joiner, node, {}, random, kT0, 5s);
  REQUIRE(joiner.state() == JoinState::denied);
  const JoinInitiator moved = std::move(joiner);
  CHECK(moved.denial().reason == wire::DenyReason::full);
  CHECK(moved.denial().retry_after_s == 7);
  CHECK(copy(moved.denial().where_else) == Datagram{0, 1, 0, 2});
  CHECK(node.door.seated == 0);
  CHECK(node.responder.counters().denied.get() == 1);
}

TEST_CASE("the longest ticket fits, a longer one is refused at the start") {
  TestNode node;
  test::SeededRandom random{5};
  const Datagram ticket(kMaxJoinTicket + 1, 0x55);
  const crypto::PrivateKey own = crypto::generate_private_key(random);
  JoinInitiator joiner{&own, node.public_key, test::kRelayRequest, Bytes{ticket}.first(kMaxJoinTicket), random, kT0};
  run(joiner, node, {}, random, kT0, 5s);
  CHECK(joiner.state() == JoinState::accepted);
  CHECK(node.door.last_ticket.size() == kMaxJoinTicket);
  CHECK_THROWS_AS(JoinInitiator(&own, node.public_key, test::kRelayRequest, ticket, random, kT0), std::length_error);
}

TEST_CASE("a responder key of low order is as if nobody were there, without a storm") {
  TestNode node;
  test::SeededRandom random{5};
  JoinInitiator joiner{nullptr, crypto::PublicKey{}, test::kListenerRequest, {}, random, kT0};
  run(joiner, node, {.delay = 1ms}, random, kT0, 30s);
  CHECK(joiner.state() == JoinState::hello_sent);
  CHECK(joiner.joins_sent() == 0);
  CHECK(joiner.hellos_sent() < 20);
}

TEST_CASE("random and truncated datagrams never move a joiner") {
  TestNode node;
  test::SeededRandom random{6};
  JoinInitiator joiner{nullptr, node.public_key, test::kListenerRequest, {}, random, kT0};
  const Datagram join = test::first_join(node, joiner, kFrom, kT0);
  const Datagram accept = copy(node.give(join, kFrom, kT0));
  Datagram d;
  for (int i = 0; i < 3000; ++i) {
    const std::uint64_t dice = random.u64();
    d = accept;
    d[(dice >> 8) % d.size()] ^= static_cast<std::uint8_t>(dice >> 40 | 1);
    if (dice % 2 == 0) d.resize((dice >> 16) % d.size());
    if (d.size() > 1) d[1] = accept[1];
    if (d == accept) continue;
    joiner.on_datagram(d, kT0);
    CHECK(joiner.state() == JoinState::join_sent);
    CHECK(joiner.take_datagram().empty());
  }
  joiner.on_datagram(accept, kT0);
  CHECK(joiner.state() == JoinState::accepted);
}

}  // namespace
}  // namespace tiercast::control::join_initiator_test
