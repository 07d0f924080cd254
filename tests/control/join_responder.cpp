// The serving side of joining: what it must answer, and all that it must not.
#include "relay/control/join_responder.hpp"

#include <doctest/doctest.h>

#include "tests/control/join_fixture.hpp"

namespace tiercast::control::join_responder_test {
namespace {

using test::copy;
using test::Datagram;
using test::TestNode;

const Time kT0{1000s};
const Endpoint kFrom = test::address(1, 5000);

JoinInitiator listener(TestNode& node, Random& random, Time now, Bytes ticket = {}) {
  return JoinInitiator{nullptr, node.public_key, test::kListenerRequest, ticket, random, now};
}

TEST_CASE("a replayed JOIN gets the identical ACCEPT for 3 s and no second lease") {
  TestNode node;
  test::SeededRandom random{1};
  auto joiner = listener(node, random, kT0);
  const Datagram join = test::first_join(node, joiner, kFrom, kT0);
  const Datagram accept = copy(node.give(join, kFrom, kT0));
  REQUIRE(!accept.empty());
  CHECK(copy(node.give(join, kFrom, kT0 + 1s)) == accept);
  CHECK(copy(node.give(join, kFrom, kT0 + 3s)) == accept);
  CHECK(node.give(join, kFrom, kT0 + 3s + 1ns).empty());
  CHECK(node.door.admitted == 1);
  CHECK(node.door.seated == 1);
  CHECK(node.responder.counters().accepts_repeated.get() == 2);
  CHECK(node.responder.counters().drop_spent.get() == 1);
  CHECK(test::adds_up(node.responder.counters(), 5));
}

TEST_CASE("an unequal JOIN under a spent cookie is dropped, even a valid one") {
  TestNode node;
  test::SeededRandom random{1};
  auto joiner = listener(node, random, kT0);
  Datagram join = test::first_join(node, joiner, kFrom, kT0);
  REQUIRE(!node.give(join, kFrom, kT0).empty());
  join[wire::kJoinSolutionOffset] ^= 1;  // covered by nothing but the puzzle: a JOIN that would verify
  CHECK(node.give(join, kFrom, kT0).empty());
  CHECK(node.responder.counters().drop_spent.get() == 1);
  CHECK(node.door.admitted == 1);
}

TEST_CASE("the same unequal JOIN is taken while its cookie is not spent") {
  TestNode node;
  test::SeededRandom random{1};
  auto joiner = listener(node, random, kT0);
  Datagram join = test::first_join(node, joiner, kFrom, kT0);
  join[wire::kJoinSolutionOffset] ^= 1;
  CHECK(!node.give(join, kFrom, kT0).empty());
}

TEST_CASE("a cookie is of no use from another address, port, nonce, time, wait or difficulty") {
  TestNode node;
  test::SeededRandom random{1};
  auto joiner = listener(node, random, kT0);
  const Datagram join = test::first_join(node, joiner, kFrom, kT0);
  const auto& drops = node.responder.counters().drop_cookie;

  CHECK(node.give(join, test::address(2, 5000), kT0).empty());
  CHECK(node.give(join, test::address(1, 5001), kT0).empty());
  CHECK(drops.get() == 2);
  constexpr std::size_t kNonceAt = 4, kIssuedAt = 12, kWaitAt = 16, kDifficultyAt = 18, kCookieAt = 19;
  for (const std::size_t at : {kNonceAt, kIssuedAt + 3, kCookieAt, kCookieAt + wire::kCookie - 1}) {
    CAPTURE(at);
    Datagram changed = join;
    changed[at] ^= 1;
    const std::uint64_t before = drops.get();
    CHECK(node.give(changed, kFrom, kT0 + 1s).empty());
    CHECK(drops.get() == before + 1);
  }
  Datagram changed = join;
  changed[kWaitAt + 1] = 1;
  CHECK(node.give(changed, kFrom, kT0 + 1s).empty());
  CHECK(drops.get() == 7);
  changed = join;
  changed[kDifficultyAt] = 1;
  CHECK(node.give(changed, kFrom, kT0 + 1s).empty());
  CHECK(drops.get() == 8);
  CHECK(node.door.admitted == 0);
  CHECK(!node.give(join, kFrom, kT0 + 1s).empty());
}

TEST_CASE("a cookie of a time to come is forged") {
  TestNode node;
  test::SeededRandom random{1};
  auto joiner = listener(node, random, kT0);
  const Datagram join = test::first_join(node, joiner, kFrom, kT0);
  CHECK(node.give(join, kFrom, kT0 - 100ms).empty());
  CHECK(node.responder.counters().drop_cookie.get() == 1);
}

TEST_CASE("a cookie is good for 10 s from its issue and wait, to the moment") {
  TestNode node;
  test::SeededRandom random{1};
  node.responder.set_policy(20, 0);  // 2 s
  auto early = listener(node, random, kT0);
  early.on_datagram(node.give(early.take_datagram(), kFrom, kT0), kT0);
  CHECK(early.state() == JoinState::waiting);
  early.on_timer(kT0 + 2s);
  const Datagram join = copy(early.take_datagram());
  REQUIRE(!join.empty());
  CHECK(node.give(join, kFrom, kT0 + 2s - 1ns).empty());
  CHECK(node.responder.counters().drop_early.get() == 1);
  CHECK(node.give(join, kFrom, kT0 + 12s + 1ns).empty());
  CHECK(node.responder.counters().drop_expired.get() == 1);
  CHECK(!node.give(join, kFrom, kT0 + 12s).empty());
}

TEST_CASE("a cookie lives its life across a rotation of the cookie keys, the longest wait included") {
  TestNode node{kT0};
  test::SeededRandom random{1};
  node.responder.set_policy(0xffff, 0);
  const Time issued = kT0 + 2h - 100ms;  // just before the first rotation
  auto joiner = listener(node, random, issued);
  joiner.on_datagram(node.give(joiner.take_datagram(), kFrom, issued), issued);
  const Time good = issued + 0xffff * 100ms;
  joiner.on_timer(good);
  const Datagram join = copy(joiner.take_datagram());
  REQUIRE(!join.empty());
  CHECK(!node.give(join, kFrom, good + 9s).empty());
}

TEST_CASE("a jump of the clock over several rotations leaves old cookies expired and new ones good") {
  TestNode node{kT0};
  test::SeededRandom random{1};
  auto joiner = listener(node, random, kT0);
  const Datagram join = test::first_join(node, joiner, kFrom, kT0);
  CHECK(node.give(join, kFrom, kT0 + 7h).empty());
  CHECK(node.responder.counters().drop_expired.get() == 1);
  auto later = listener(node, random, kT0 + 7h);
  const Datagram new_join = test::first_join(node, later, kFrom, kT0 + 7h);
  CHECK(!node.give(new_join, kFrom, kT0 + 7h).empty());
}

TEST_CASE("a HELLO of any version is told what is offered; a JOIN of another is dropped") {
  TestNode node;
  Datagram hello(wire::kHello);
  wire::write_hello(std::span{hello}.first<wire::kHello>(), {.version = 9, .nonce = {1}});
  const auto retry = wire::parse_retry(node.give(hello, kFrom, kT0));
  REQUIRE(retry);
  CHECK(retry->lowest == wire::kVersion);
  CHECK(retry->highest == wire::kVersion);
  CHECK(retry->challenge.nonce == wire::Nonce{1});

  test::SeededRandom random{1};
  auto joiner = listener(node, random, kT0);
  Datagram join = test::first_join(node, joiner, kFrom, kT0);
  join[2] = wire::kVersion + 1;
  CHECK(node.give(join, kFrom, kT0).empty());
  CHECK(node.responder.counters().drop_version.get() == 1);
}

TEST_CASE("junk behind a good cookie does not spend it, but has few tries") {
  TestNode node;
  test::SeededRandom random{1};
  auto joiner = listener(node, random, kT0);
  const Datagram join = test::first_join(node, joiner, kFrom, kT0);
  Datagram junk = join;
  junk.back() ^= 1;
  CHECK(node.give(junk, kFrom, kT0).empty());
  CHECK(node.responder.counters().drop_handshake.get() == 1);
  CHECK(!node.give(join, kFrom, kT0).empty());

  auto other = listener(node, random, kT0);
  Datagram flood = test::first_join(node, other, kFrom, kT0);
  for (int i = 0; i < 100; ++i) {
    flood.back() = static_cast<std::uint8_t>(flood.back() + 1);
    if (i % 256 != 255) CHECK(node.give(flood, kFrom, kT0).empty());
  }
  CHECK(node.responder.counters().drop_handshake.get() == 1 + 4);
  CHECK(node.responder.counters().drop_spent.get() == 96);
}

TEST_CASE("a full table of spent cookies refuses joins until the oldest has outlived its cookie") {
  TestNode node{Time{100s}, 3};
  test::SeededRandom random{1};
  for (std::uint8_t i = 0; i < 4; ++i) {
    const Endpoint from = test::address(i, 1);
    auto joiner = listener(node, random, kT0);
    const Datagram join = test::first_join(node, joiner, from, kT0);
    CHECK(node.give(join, from, kT0).empty() == (i == 3));
  }
  CHECK(node.responder.counters().drop_full.get() == 1);
  const Time later = kT0 + wire::kCookieLife + 1ns;
  auto joiner = listener(node, random, later);
  const Datagram join = test::first_join(node, joiner, kFrom, later);
  CHECK(!node.give(join, kFrom, later).empty());
}

TEST_CASE("the puzzle is checked over the whole JOIN") {
  TestNode node;
  test::SeededRandom random{1};
  node.responder.set_policy(0, 8);
  auto joiner = listener(node, random, kT0);
  joiner.on_datagram(node.give(joiner.take_datagram(), kFrom, kT0), kT0);
  while (joiner.state() == JoinState::waiting) joiner.on_timer(kT0);
  const Datagram join = copy(joiner.take_datagram());
  REQUIRE(!join.empty());
  Datagram unsolved = join;
  int refused = 0;
  for (int i = 0; i < 50; ++i) {
    unsolved[wire::kJoinSolutionOffset]++;
    if (!crypto::solves(unsolved, 8)) {
      CHECK(node.give(unsolved, kFrom, kT0).empty());
      ++refused;
    }
  }
  CHECK(refused > 40);
  CHECK(node.responder.counters().drop_puzzle.get() == static_cast<std::uint64_t>(refused));
  CHECK(!node.give(join, kFrom, kT0).empty());
}

TEST_CASE("set_policy never asks more than a client would do") {
  TestNode node;
  test::SeededRandom random{1};
  node.responder.set_policy(0, 200);
  auto joiner = listener(node, random, kT0);
  const auto retry = wire::parse_retry(node.give(joiner.take_datagram(), kFrom, kT0));
  REQUIRE(retry);
  CHECK(retry->challenge.difficulty == wire::kMaxDifficulty);
}

TEST_CASE("an ACCEPT that cannot be written withdraws the lease") {
  TestNode node;
  node.door.writes_too_much = true;
  test::SeededRandom random{1};
  auto joiner = listener(node, random, kT0);
  const Datagram join = test::first_join(node, joiner, kFrom, kT0);
  CHECK(node.give(join, kFrom, kT0).empty());
  CHECK(node.door.withdrawn == 1);
  CHECK(node.door.seated == 0);
  CHECK(node.responder.counters().drop_reply.get() == 1);
}

/// A JOIN whose Noise payload is whatever a test wants.
Datagram join_with(TestNode& node, Bytes payload, const crypto::PrivateKey* own, Time now) {
  test::SeededRandom random{3};
  std::array<std::uint8_t, wire::kHello + wire::kRetry + wire::kJoinSolutionOffset> prologue{};
  const std::span all{prologue};
  wire::write_hello(all.first<wire::kHello>(), {.version = wire::kVersion, .nonce = {4}});
  const Datagram retry = copy(node.give(all.first<wire::kHello>(), kFrom, now));
  std::copy(retry.begin(), retry.end(), prologue.begin() + wire::kHello);
  Datagram join(wire::kMaxDatagram);
  wire::Join clear;
  clear.pattern = own != nullptr ? wire::Pattern::ik : wire::Pattern::nk;
  clear.challenge = wire::parse_retry(retry)->challenge;
  wire::write_join_clear(std::span{join}.first<wire::kJoinClear>(), clear);
  std::copy_n(join.begin(), wire::kJoinSolutionOffset, prologue.begin() + wire::kHello + wire::kRetry);
  auto noise = crypto::NoiseHandshake::initiator(clear.pattern, prologue, own, node.public_key,
                                                 crypto::generate_private_key(random));
  join.resize(wire::kJoinClear + noise.write(payload, std::span{join}.subspan(wire::kJoinClear)).value());
  return join;
}

TEST_CASE("a request is one join_request, at most one ticket; a relay needs a key; anything else asks nobody") {
  std::array<std::uint8_t, 256> buffer;
  const crypto::PrivateKey own = [] {
    test::SeededRandom random{8};
    return crypto::generate_private_key(random);
  }();
  const auto outcome = [&](auto&& write, const crypto::PrivateKey* key) {
    TestNode node;
    Writer payload{buffer};
    write(payload);
    const Datagram join = join_with(node, payload.written(), key, kT0);
    const bool answered = !node.give(join, kFrom, kT0).empty();
    CHECK(node.responder.counters().drop_request.get() == (answered ? 0 : 1));
    CHECK(node.door.admitted == (answered ? 1 : 0));
    return answered;
  };
  const std::array<std::uint8_t, 3> ticket{7, 7, 7};
  const auto listener_request = [](Writer& w) { wire::write_record(w, test::kListenerRequest); };
  const auto relay_request = [](Writer& w) { wire::write_record(w, test::kRelayRequest); };
  CHECK(outcome(listener_request, nullptr));
  CHECK(outcome(relay_request, &own));
  CHECK_FALSE(outcome(relay_request, nullptr));
  CHECK_FALSE(outcome([](Writer&) {}, nullptr));
  CHECK_FALSE(outcome([&](Writer& w) { listener_request(w), listener_request(w); }, nullptr));
  CHECK_FALSE(outcome(
      [&](Writer& w) {
        listener_request(w);
        wire::write_record(w, wire::TicketRecord{ticket});
        wire::write_record(w, wire::TicketRecord{ticket});
      },
      nullptr));
  CHECK_FALSE(outcome([&](Writer& w) { listener_request(w), w.u8(0x10).u16(99); }, nullptr));
  CHECK(outcome([&](Writer& w) { listener_request(w), w.u8(0x7f).u16(0); }, nullptr));        // unknown: skipped
  CHECK_FALSE(outcome([&](Writer& w) { listener_request(w), w.u8(0xff).u16(0); }, nullptr));  // unknown, critical
}

TEST_CASE("200,000 hostile datagrams: only HELLOs are answered, never with more, and all are counted") {
  TestNode node;
  test::SeededRandom random{42};
  auto joiner = listener(node, random, kT0);
  const Datagram join = test::first_join(node, joiner, kFrom, kT0);
  REQUIRE(!node.give(join, kFrom, kT0).empty());
  auto other_joiner = listener(node, random, kT0);
  const Datagram of_other = test::first_join(node, other_joiner, test::address(9, 9), kT0);
  Datagram hello(wire::kHello);
  wire::write_hello(std::span{hello}.first<wire::kHello>(), {.version = 1, .nonce = {1}});

  std::uint64_t given = 3, answers = 0, hellos = 0;
  bool amplified = false, answered_other = false;
  Datagram d;
  Time now = kT0 + 5s;
  for (int i = 0; i < 200'000; ++i) {
    now += 100us;
    const std::uint64_t dice = random.u64();
    if (dice % 4 == 0) {
      d.resize(dice >> 8 & 0x7ff);
      random.fill(d);
      if (!d.empty()) d[0] = static_cast<std::uint8_t>(dice >> 32 & 7);
    } else {
      d = dice % 4 == 1 ? hello : dice % 4 == 2 ? join : of_other;
      d[(dice >> 8 & 0xffff) % d.size()] ^= static_cast<std::uint8_t>(dice >> 24 | 1);
      if ((dice >> 40 & 1) != 0) d.resize((dice >> 41) % (d.size() + 8));
    }
    const bool is_hello = wire::parse_hello(d).has_value();
    hellos += is_hello;
    ++given;
    const Bytes answer = node.give(d, kFrom, now);
    amplified |= answer.size() > d.size();
    answered_other |= !answer.empty() && !is_hello;
    answers += !answer.empty();
  }
  CHECK_FALSE(amplified);
  CHECK_FALSE(answered_other);
  CHECK(hellos > 10'000);
  CHECK(answers == hellos);
  CHECK(node.door.admitted == 1);
  CHECK(test::adds_up(node.responder.counters(), given));
}

}  // namespace
}  // namespace tiercast::control::join_responder_test
