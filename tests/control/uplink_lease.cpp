// The holder's end of a lease: keepalives, tokens, round trips; alone and against a table over a bad path.
#include "relay/control/uplink_lease.hpp"

#include <doctest/doctest.h>

#include "tests/control/lease_fixture.hpp"
#include "tests/control/lossy_channel.hpp"
#include "tests/support/counting_allocator.hpp"

namespace tiercast::control::uplink_lease_test {
namespace {

using test::Datagram;
using test::Holder;
using test::LeaseFixture;

const Time kT0{1000s};
const Endpoint kHome = test::address(1, 5000);

/// A holder's opposite that says just what a test wants.
struct Upstream {
  explicit Upstream(const JoinGrant& g) : grant(&g) {}
  Datagram seal_as(std::uint64_t number, Bytes records) const {
    Datagram out(wire::kMaxDatagram);
    out.resize(crypto::seal_control(grant->keys.responder_to_initiator.view(), Lane{0}, grant->accepted.lease, number,
                                    records, out));
    return out;
  }
  Datagram acknowledge_as(std::uint64_t number, std::uint32_t keepalive, const wire::Token& token,
                          bool seeking = false) const {
    std::array<std::uint8_t, 128> buffer;
    Writer w{buffer};
    wire::Acknowledgement a{.number = keepalive, .token = token, .seeking = seeking, .path = {}};
    a.path.push_back(NodeId{token[0]});
    wire::write_record(w, a);
    return seal_as(number, w.written());
  }
  wire::Keepalive open(Bytes datagram) const {
    std::array<std::uint8_t, wire::kMaxDatagram> out{};
    const auto control = wire::parse_control(datagram);
    REQUIRE(control);
    CHECK(control->lane == grant->accepted.lane);
    const auto length = crypto::open_control(grant->keys.initiator_to_responder.view(), *control, out);
    REQUIRE(length);
    wire::RecordReader reader{Bytes{out}.first(*length)};
    return std::get<wire::Keepalive>(*reader.next());
  }
  const JoinGrant* grant;
};

struct Fixture {
  LeaseFixture f;
  test::SeededRandom random{8};
  JoinGrant grant = f.join(0, kHome, kT0);
  UplinkLease uplink{grant, random, kT0};
  Upstream upstream{grant};
  std::array<std::uint8_t, wire::kMaxDatagram> out{}, records{};
  wire::Keepalive keepalive(Time now) { return upstream.open(uplink.keepalive_if_due({}, out, now)); }
  bool give(Bytes d, Time now) { return uplink.on_control(d, records, now).has_value(); }
};

TEST_CASE("the first keepalive is due at once and echoes ACCEPT's token") {
  Fixture x;
  CHECK(x.uplink.next_deadline() == kT0);
  const auto k = x.keepalive(kT0);
  CHECK(k.token == x.grant.accepted.token);
  CHECK(k.round_trip_us == 100'000);
  CHECK(x.uplink.unanswered_since() == kT0);
  CHECK(x.uplink.keepalive_if_due({}, x.out, kT0).empty());
}

TEST_CASE("unanswered keepalives are resent every 500 ms under new numbers, until one is acknowledged") {
  Fixture x;
  std::uint32_t number = x.keepalive(kT0).number;
  for (int i = 1; i <= 5; ++i) {
    CHECK(x.uplink.next_deadline() == kT0 + i * 500ms);
    CHECK(x.uplink.keepalive_if_due({}, x.out, kT0 + i * 500ms - 1ns).empty());
    const auto k = x.keepalive(kT0 + i * 500ms);
    CHECK(k.number != number);
    number = k.number;
  }
  CHECK(x.uplink.unanswered_since() == kT0);
  CHECK(x.give(x.upstream.acknowledge_as(0, number, {5}), kT0 + 2600ms));
  CHECK_FALSE(x.uplink.unanswered_since());
  CHECK(x.uplink.next_deadline() > kT0 + 2600ms);
  CHECK(x.uplink.next_deadline() <= kT0 + 2600ms + 5s);
  CHECK(x.uplink.counters().keepalives_sent.get() == 6);
  CHECK(x.uplink.counters().keepalives_acknowledged.get() == 1);
}

TEST_CASE("regular keepalives come every 5 s at a phase of their own") {
  std::vector<Duration> phases;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Fixture x;
    test::SeededRandom random{seed};
    UplinkLease uplink{x.grant, random, kT0};
    const auto k = x.upstream.open(uplink.keepalive_if_due({}, x.out, kT0));
    uplink.on_control(x.upstream.acknowledge_as(0, k.number, {1}), x.records, kT0 + 1ms);
    const Time second = uplink.next_deadline();
    phases.push_back(second - kT0);
    const auto next = x.upstream.open(uplink.keepalive_if_due({}, x.out, second));
    uplink.on_control(x.upstream.acknowledge_as(1, next.number, {1}), x.records, second + 30ms);
    CHECK(uplink.next_deadline() == second + 5s);
  }
  std::sort(phases.begin(), phases.end());
  CHECK(phases.front() < 1s);
  CHECK(phases.back() > 4s);
  CHECK(phases.back() <= 5s);
}

TEST_CASE("the round trip is smoothed by an eighth, each resent keepalive measured by itself") {
  Fixture x;
  const auto first = x.keepalive(kT0);
  const auto second = x.keepalive(kT0 + 500ms);
  x.give(x.upstream.acknowledge_as(0, second.number, {1}), kT0 + 520ms);  // 20 ms, whatever became of the first
  CHECK(x.uplink.round_trip() == 90ms);                                   // 100 - 80 / 8
  x.give(x.upstream.acknowledge_as(1, first.number, {1}), kT0 + 530ms);
  CHECK(x.uplink.round_trip() == 145ms);                                 // 90 + (530 - 90) / 8
  x.give(x.upstream.acknowledge_as(2, first.number, {1}), kT0 + 900ms);  // told once
  x.give(x.upstream.acknowledge_as(3, 4242, {1}), kT0 + 900ms);          // never sent
  x.give(x.upstream.acknowledge_as(4, 0, {1}), kT0 + 900ms);
  CHECK(x.uplink.round_trip() == 145ms);
}

TEST_CASE("tokens, path and seeking are taken in the order in which they were sealed") {
  Fixture x;
  const auto k = x.keepalive(kT0);
  x.give(x.upstream.acknowledge_as(10, k.number, {2}, true), kT0 + 1ms);
  CHECK(x.uplink.seeking());
  x.give(x.upstream.acknowledge_as(9, k.number, {1}, false), kT0 + 2ms);  // overtaken
  CHECK(x.uplink.seeking());
  CHECK(x.uplink.path()[0] == NodeId{2});
  const auto next = x.keepalive(x.uplink.next_deadline());
  CHECK(next.token == wire::Token{2});
  // A datagram without a token does not make the token of one before it old.
  const std::array<std::uint8_t, 3> nothing{0x7f, 0, 0};
  x.give(x.upstream.seal_as(20, nothing), kT0 + 6s);
  x.give(x.upstream.acknowledge_as(19, 0, {3}), kT0 + 6s);
  CHECK_FALSE(x.uplink.seeking());
  x.uplink.hasten(kT0 + 7s);
  CHECK(x.keepalive(kT0 + 7s).token == wire::Token{3});
}

TEST_CASE("a lone token is echoed at once") {
  Fixture x;
  const auto k = x.keepalive(kT0);
  x.give(x.upstream.acknowledge_as(0, k.number, {1}), kT0 + 1ms);
  REQUIRE(x.uplink.next_deadline() > kT0 + 100ms);
  std::array<std::uint8_t, 32> buffer;
  Writer w{buffer};
  wire::write_record(w, wire::TokenOnly{{9}});
  const Time now = kT0 + 100ms;
  CHECK(x.give(x.upstream.seal_as(1, w.written()), now));
  CHECK(x.uplink.keepalive_due(now));
  CHECK(x.keepalive(now).token == wire::Token{9});
  CHECK(x.uplink.counters().moved_tokens.get() == 1);
}

TEST_CASE("hasten asks now, but not more often than every 50 ms") {
  Fixture x;
  const auto k = x.keepalive(kT0);
  x.give(x.upstream.acknowledge_as(0, k.number, {1}), kT0 + 1ms);
  x.uplink.hasten(kT0 + 10ms);
  CHECK(x.uplink.next_deadline() == kT0 + 50ms);
  x.uplink.hasten(kT0 + 20ms);
  CHECK(x.uplink.next_deadline() == kT0 + 50ms);
  x.keepalive(kT0 + 50ms);
  CHECK(x.uplink.next_deadline() == kT0 + 550ms);
  x.uplink.hasten(kT0 + 300ms);
  CHECK(x.uplink.next_deadline() == kT0 + 300ms);
}

TEST_CASE("what is asked while an older keepalive is under way is not answered by that one's acknowledgement") {
  Fixture x;
  const auto first = x.keepalive(kT0);
  x.uplink.hasten(kT0 + 10ms);
  CHECK(x.give(x.upstream.acknowledge_as(0, first.number, {1}), kT0 + 20ms));
  CHECK(x.uplink.next_deadline() == kT0 + 50ms);
  const auto second = x.keepalive(kT0 + 50ms);
  CHECK(x.give(x.upstream.acknowledge_as(1, second.number, {1}), kT0 + 60ms));
  CHECK(x.uplink.next_deadline() > kT0 + 100ms);
}

TEST_CASE("forged, replayed, foreign and senseless datagrams change nothing and are counted") {
  Fixture x;
  const auto k = x.keepalive(kT0);
  const Datagram genuine = x.upstream.acknowledge_as(0, k.number, {1}, true);
  Datagram forged = genuine;
  forged.back() ^= 1;
  CHECK_FALSE(x.give(forged, kT0 + 1ms));
  Datagram foreign = genuine;
  foreign[9] ^= 1;
  CHECK_FALSE(x.give(foreign, kT0 + 1ms));
  CHECK_FALSE(x.give(Bytes{genuine}.first(20), kT0 + 1ms));
  const std::array<std::uint8_t, 3> bad{0x02, 0, 9};
  CHECK_FALSE(x.give(x.upstream.seal_as(1, bad), kT0 + 1ms));
  CHECK_FALSE(x.uplink.seeking());
  CHECK(x.uplink.unanswered_since() == kT0);
  CHECK(x.give(genuine, kT0 + 2ms));
  CHECK(x.uplink.last_heard() == kT0 + 2ms);
  CHECK_FALSE(x.give(genuine, kT0 + 3ms));
  CHECK(x.uplink.last_heard() == kT0 + 2ms);
  // One's own datagram sent back: another direction, another key.
  const Datagram own = test::copy(x.uplink.seal(bad, x.out));
  CHECK_FALSE(x.give(own, kT0 + 3ms));
  const auto& c = x.uplink.counters();
  CHECK(c.drop_forged.get() == 1);
  CHECK(c.drop_lease.get() == 1);
  CHECK(c.drop_malformed.get() == 1);
  CHECK(c.drop_record.get() == 1);
  CHECK(c.drop_replayed.get() == 2);  // the reflected one had a counter that was seen
  CHECK(c.control_received.get() == 2);
}

TEST_CASE("a lease expires 15 s after its newest token came; its handshake is old at 23 h") {
  Fixture x;
  CHECK_FALSE(x.uplink.expired(kT0 + 15s));
  CHECK(x.uplink.expired(kT0 + 15s + 1ns));
  const auto k = x.keepalive(kT0);
  x.give(x.upstream.acknowledge_as(0, k.number, {1}), kT0 + 4s);
  CHECK_FALSE(x.uplink.expired(kT0 + 19s));
  CHECK(x.uplink.expired(kT0 + 19s + 1ns));
  CHECK_FALSE(x.uplink.handshake_old(kT0 + 23h - 1ns));
  CHECK(x.uplink.handshake_old(kT0 + 23h));
}

TEST_CASE("the link key is the table's") {
  Fixture x;
  std::array<std::uint8_t, 32> theirs{};
  x.f.table.derive_link_key(LeaseSlot{0}, theirs);
  CHECK(crypto::equal(x.uplink.link_key(), theirs));
}

TEST_CASE("neither keepalives nor acknowledgements allocate") {
  Fixture x;
  const Datagram acknowledgement = x.upstream.acknowledge_as(0, 1, {1});
  const test::AllocationCount allocations;
  x.uplink.keepalive_if_due({}, x.out, kT0);
  x.uplink.on_control(acknowledgement, x.records, kT0);
  const auto count = allocations.count();
  CHECK(count == 0);
  CHECK_FALSE(x.uplink.unanswered_since());
}

/// Table and holder over a path, for `length`; the address that the holder's datagrams come from is `from(now)`.
template <class From>
void run(Fixture& x, const test::ChannelFaults& faults, Duration length, From&& from, std::uint64_t seed) {
  test::SeededRandom random{seed};
  test::LossyChannel up{faults, random}, down{faults, random};
  std::array<std::uint8_t, wire::kMaxDatagram> out{};
  const auto answer = [&](Bytes d, Time now) {
    const ControlResult result = x.f.give(d, from(now), now);
    down.send(result.reply, now);
    if (!result.keepalive) return;
    std::array<std::uint8_t, 128> buffer;
    Writer w{buffer};
    x.f.table.write_acknowledgement(w, result.slot, *result.keepalive, false, {}, now);
    down.send(x.f.table.seal(result.slot, w.written(), out), now);
  };
  for (Time now = kT0; now < kT0 + length;) {
    while (const auto d = up.receive(now)) answer(*d, now);
    while (const auto d = down.receive(now)) x.uplink.on_control(*d, x.records, now);
    up.send(x.uplink.keepalive_if_due({}, x.out, now), now);
    while (x.f.table.expire_one(now)) {
    }
    now = std::min({x.uplink.next_deadline(), up.next(), down.next(), x.f.table.next_deadline(), kT0 + length});
  }
}

TEST_CASE("ten minutes at 20 % loss each way, duplicates and reordering: the lease lives") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    CAPTURE(seed);
    Fixture x;
    run(
        x, {.lost = 0.2, .doubled = 0.1, .delay = 20ms, .jitter = 700ms}, 600s, [](Time) { return kHome; }, seed);
    CHECK(x.f.table.active() == 1);
    CHECK_FALSE(x.uplink.expired(kT0 + 600s));
    CHECK(x.uplink.counters().keepalives_acknowledged.get() >= 110);
    CHECK(x.uplink.counters().keepalives_sent.get() < 400);
    CHECK(x.f.table.counters().drop_forged.get() == 0);
    CHECK(x.f.table.counters().drop_rate.get() == 0);
  }
}

TEST_CASE("at 100 % loss both ends let go: the table after 3 s, the holder after 15") {
  Fixture x;
  run(
      x, {.lost = 1.0}, 16s, [](Time) { return kHome; }, 1);
  CHECK(x.f.table.active() == 0);
  CHECK(x.f.table.counters().unconfirmed.get() == 1);
  CHECK(x.uplink.expired(kT0 + 16s));
}

TEST_CASE("an address that changes every 20 s, at 10 % loss: found again each time") {
  Fixture x;
  const auto from = [](Time now) { return test::address(1, static_cast<std::uint16_t>(5000 + (now - kT0) / 20s)); };
  run(x, {.lost = 0.1, .delay = 20ms}, 600s, from, 4);
  CHECK(x.f.table.active() == 1);
  CHECK(x.f.table.counters().moved.get() == 29);
  CHECK(x.f.table.at(LeaseSlot{0}).peer == from(kT0 + 600s - 1ns));
}

}  // namespace
}  // namespace tiercast::control::uplink_lease_test
