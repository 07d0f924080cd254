// A worker's leases: their ends to the moment, moved addresses, and what thieves and floods cannot do.
#include "relay/control/lease_table.hpp"

#include <doctest/doctest.h>

#include "tests/control/lease_fixture.hpp"
#include "tests/support/counting_allocator.hpp"

namespace tiercast::control::lease_table_test {
namespace {

using test::Datagram;
using test::Holder;
using test::LeaseFixture;

const Time kT0{1000s};
const Endpoint kHome = test::address(1, 5000);
const Endpoint kAway = test::address(1, 6000);

wire::Token acknowledged(LeaseFixture& f, const ControlResult& result, Holder& holder, Time now) {
  REQUIRE(result.keepalive);
  std::array<std::uint8_t, 128> buffer;
  Writer w{buffer};
  f.table.write_acknowledgement(w, result.slot, *result.keepalive, false, {}, now);
  const auto records = holder.open(f.table.seal(result.slot, w.written(), f.reply));
  REQUIRE(records.size() == 1);
  return std::get<wire::Acknowledgement>(records[0]).token;
}

TEST_CASE("a lease that echoes nothing ends after 3 s") {
  LeaseFixture f;
  const auto grant = f.join(0, kHome, kT0);
  CHECK(f.table.active() == 1);
  CHECK(f.table.next_deadline() == kT0 + 3s);
  CHECK_FALSE(f.table.expire_one(kT0 + 3s - 1ns));
  const auto ended = f.table.expire_one(kT0 + 3s);
  REQUIRE(ended);
  CHECK(ended->id == grant.accepted.lease);
  CHECK_FALSE(f.table.expire_one(kT0 + 3s));
  CHECK(f.table.active() == 0);
  CHECK(f.table.counters().unconfirmed.get() == 1);
  CHECK(f.table.counters().expired.get() == 0);
  CHECK(f.table.next_deadline() == kNever);
  CHECK(f.table.find(grant.accepted.lease) == nullptr);
}

TEST_CASE("a lease ends 15 s after the issue of the last token echoed") {
  LeaseFixture f;
  const auto grant = f.join(0, kHome, kT0);
  Holder holder{grant};
  // Echoed late: what counts is the issue.
  const auto result = f.give(holder.keepalive(), kHome, kT0 + 2s);
  CHECK(f.table.at(result.slot).confirmed);
  CHECK(f.table.at(result.slot).expires == kT0 + 15s);
  const wire::Token old = holder.token;
  holder.token = acknowledged(f, result, holder, kT0 + 2s);
  f.give(holder.keepalive(), kHome, kT0 + 6s);
  CHECK(f.table.at(result.slot).expires == kT0 + 17s);
  holder.token = old;
  f.give(holder.keepalive(), kHome, kT0 + 7s);
  CHECK(f.table.at(result.slot).expires == kT0 + 17s);  // never backwards
  CHECK_FALSE(f.table.expire_one(kT0 + 17s - 1ns));
  CHECK(f.table.expire_one(kT0 + 17s));
  CHECK(f.table.counters().expired.get() == 1);
}

TEST_CASE("an ended lease is dead before anybody has collected it") {
  LeaseFixture f;
  const auto grant = f.join(0, kHome, kT0);
  Holder holder{grant};
  CHECK(f.give(holder.keepalive(), kHome, kT0 + 3s).slot == kNoSlot);
  CHECK(f.table.counters().drop_unknown_lease.get() == 1);
  CHECK(f.table.expire_one(kT0 + 3s));
}

TEST_CASE("a stale or foreign token from the known address extends nothing, but is acknowledged") {
  LeaseFixture f;
  const auto grant = f.join(0, kHome, kT0);
  Holder holder{grant};
  const auto first = f.give(holder.keepalive(), kHome, kT0);
  const wire::Token newer = acknowledged(f, first, holder, kT0 + 5s);
  holder.token = newer;
  f.give(holder.keepalive(), kHome, kT0 + 5s);
  const Time expires = f.table.at(first.slot).expires;
  CHECK(expires == kT0 + 20s);
  holder.token = grant.accepted.token;  // 16 s old by now
  const auto stale = f.give(holder.keepalive(), kHome, kT0 + 16s);
  CHECK(stale.slot == first.slot);
  CHECK(stale.keepalive);
  CHECK(f.table.at(first.slot).expires == expires);
  holder.token = {1, 2, 3, 4, 5, 6, 7, 8};
  const auto forged = f.give(holder.keepalive(), kHome, kT0 + 16s);
  REQUIRE(forged.keepalive);
  CHECK(f.table.at(first.slot).expires == expires);
  holder.token = acknowledged(f, forged, holder, kT0 + 16s);  // from which a fresh one is learned
  f.give(holder.keepalive(), kHome, kT0 + 16s);
  CHECK(f.table.at(first.slot).expires == kT0 + 31s);
}

TEST_CASE("a token that was never echoed does not confirm: junk from the right address does not keep a lease") {
  LeaseFixture f;
  const auto grant = f.join(0, kHome, kT0);
  Holder holder{grant};
  holder.token = {};
  f.give(holder.keepalive(), kHome, kT0 + 1s);
  CHECK_FALSE(f.table.at(LeaseSlot{0}).confirmed);
  CHECK(f.table.expire_one(kT0 + 3s));
}

TEST_CASE("a keepalive tells loss, round trip and delivery") {
  LeaseFixture f;
  const auto grant = f.join(5, kHome, kT0);
  Holder holder{grant};
  const auto result = f.give(holder.keepalive(wire::Delivery::none), kHome, kT0);
  REQUIRE(result.keepalive);
  CHECK(result.slot == LeaseSlot{5});
  CHECK(result.keepalive->delivery == wire::Delivery::none);
  CHECK(f.table.at(result.slot).delivery == wire::Delivery::unicast);  // left to the caller
  CHECK(f.table.at(result.slot).reported_loss == 1000);
  CHECK(f.table.at(result.slot).round_trip_us == 30'000);
}

TEST_CASE("a moved address heals in two round trips") {
  LeaseFixture f;
  const auto grant = f.join(0, kHome, kT0);
  Holder holder{grant};
  f.give(holder.keepalive(), kHome, kT0);

  const Datagram first = holder.keepalive();
  const auto unproven = f.give(first, kAway, kT0 + 5s);
  CHECK(unproven.records.empty());
  CHECK_FALSE(unproven.keepalive);
  CHECK_FALSE(unproven.moved);
  CHECK(f.table.at(LeaseSlot{0}).peer == kHome);
  REQUIRE(!unproven.reply.empty());
  CHECK(unproven.reply.size() <= first.size());
  const auto records = holder.open(unproven.reply);
  REQUIRE(records.size() == 1);
  holder.token = std::get<wire::TokenOnly>(records[0]).token;

  LocalAddress other{.ip = {8}, .interface = 3};
  const auto moved = f.table.on_control(holder.keepalive(), kAway, other, f.records, f.reply, kT0 + 5s + 100ms);
  CHECK(moved.moved);
  CHECK(moved.keepalive);
  CHECK(moved.reply.empty());
  CHECK(f.table.at(LeaseSlot{0}).peer == kAway);
  CHECK(f.table.at(LeaseSlot{0}).local == other);
  CHECK(f.table.at(LeaseSlot{0}).expires == kT0 + 20s);
  CHECK(f.table.counters().moved.get() == 1);
  CHECK(f.table.counters().moved_tokens.get() == 1);
  holder.token = acknowledged(f, moved, holder, kT0 + 5s + 100ms);
  f.local = other;
  CHECK_FALSE(f.give(holder.keepalive(), kAway, kT0 + 10s).moved);
  CHECK(f.table.at(LeaseSlot{0}).expires == kT0 + 20s + 100ms);
}

TEST_CASE("a lease moves to another of the node's addresses with its newest keepalive's token, and with nothing else") {
  LeaseFixture f;
  const auto grant = f.join(0, kHome, kT0);
  Holder holder{grant};
  const LocalAddress joined = f.local;
  f.give(holder.keepalive(), kHome, kT0);
  const Lease& lease = f.table.at(LeaseSlot{0});
  const auto at = [&](LocalAddress local, const Datagram& datagram, Time now) {
    f.local = local;
    return f.give(datagram, kHome, now).moved;
  };

  LocalAddress other_interface = joined;
  other_interface.interface = 7;
  CHECK_FALSE(at(other_interface, holder.keepalive(), kT0));  // the same address
  for (const LocalAddress& other : {LocalAddress{{8}, 2, 0}, LocalAddress{{9}, 2, 1}}) {
    const Datagram late = holder.keepalive();
    CHECK_FALSE(at(other, holder.seal({}), kT0));
    wire::Token stale = holder.token;
    stale[7] ^= 1;
    CHECK_FALSE(at(other, holder.keepalive_as(holder.counter++, stale), kT0));
    CHECK_FALSE(at(other, late, kT0));
    CHECK(lease.local.same_way(joined));
    CHECK(at(other, holder.keepalive(), kT0));
    CHECK(lease.local == other);
    CHECK(lease.peer == kHome);
    CHECK_FALSE(at(other, holder.keepalive(), kT0));
    CHECK(at(joined, holder.keepalive(), kT0));
  }
  CHECK(f.table.counters().moved.get() == 4);
}

TEST_CASE("an unproven address gets one token a second, and nothing longer than what it sent") {
  LeaseFixture f;
  const auto grant = f.join(0, kHome, kT0);
  Holder holder{grant};
  f.give(holder.keepalive(), kHome, kT0);
  const std::array<std::uint8_t, 40> padding{0x7f, 0, 37};  // an unknown record
  const auto send = [&](std::size_t bytes, Time now) {
    std::array<std::uint8_t, 40> unknown = padding;
    if (bytes >= 3) unknown[2] = static_cast<std::uint8_t>(bytes - 3);
    const Datagram d = holder.seal(Bytes{unknown}.first(bytes));
    const auto result = f.give(d, kAway, now);
    CHECK(result.records.empty());
    CHECK(result.reply.size() <= d.size());
    CHECK((result.slot == kNoSlot) == result.reply.empty());
    return !result.reply.empty();
  };
  CHECK_FALSE(send(0, kT0));
  CHECK_FALSE(send(10, kT0));  // a byte too short for the token's datagram
  CHECK(send(11, kT0));
  CHECK_FALSE(send(40, kT0 + 999ms));
  CHECK(send(40, kT0 + 1s));
  CHECK_FALSE(send(40, kT0 + 1s));
  CHECK(f.table.counters().moved_tokens.get() == 2);
  CHECK(f.table.counters().drop_unproven_address.get() == 6);
}

TEST_CASE("records from an unproven address are not acted upon") {
  LeaseFixture f;
  const auto grant = f.join(0, kHome, kT0);
  Holder holder{grant};
  f.give(holder.keepalive(), kHome, kT0);
  std::array<std::uint8_t, 64> buffer;
  Writer w{buffer};
  wire::write_record(w, wire::Leave{});
  wire::write_record(w, wire::Subscribe{GroupId{3}, {}});
  const auto result = f.give(holder.seal(w.written()), kAway, kT0);
  CHECK(result.records.empty());
  CHECK(f.table.active() == 1);
}

TEST_CASE("a thief who replays, from anywhere, changes nothing") {
  LeaseFixture f;
  const auto grant = f.join(0, kHome, kT0);
  Holder holder{grant};
  const Datagram genuine = holder.keepalive();
  f.give(genuine, kHome, kT0);
  const Lease before = f.table.at(LeaseSlot{0});
  for (const Endpoint& from : {kAway, kHome, test::address(66, 6)}) {
    const auto result = f.give(genuine, from, kT0 + 1s);
    CHECK(result.slot == kNoSlot);
    CHECK(result.reply.empty());
  }
  CHECK(f.table.counters().drop_replayed.get() == 3);
  CHECK(f.table.at(LeaseSlot{0}).peer == before.peer);
  CHECK(f.table.at(LeaseSlot{0}).expires == before.expires);
}

TEST_CASE("a thief who is first with a stolen datagram gets a sealed token and no lease") {
  LeaseFixture f;
  const auto grant = f.join(0, kHome, kT0);
  Holder holder{grant};
  const auto result = f.give(holder.keepalive(), test::address(66, 6), kT0);
  CHECK(f.table.at(LeaseSlot{0}).peer == kHome);
  CHECK_FALSE(f.table.at(LeaseSlot{0}).confirmed);
  REQUIRE(!result.reply.empty());
  // What the thief cannot read it cannot echo; what is read for it moves nothing at a third address.
  holder.token = std::get<wire::TokenOnly>(holder.open(result.reply).at(0)).token;
  CHECK_FALSE(f.give(holder.keepalive(), kAway, kT0).moved);
  CHECK(f.table.at(LeaseSlot{0}).peer == kHome);
}

TEST_CASE("a late keepalive does not move a lease back, nor undo its delivery") {
  LeaseFixture f;
  const auto grant = f.join(0, kHome, kT0);
  Holder holder{grant};
  f.give(holder.keepalive(), kHome, kT0);
  const Datagram delayed = holder.keepalive_as(holder.counter++, grant.accepted.token, wire::Delivery::multicast);
  const auto unproven = f.give(holder.keepalive(), kAway, kT0 + 1s);
  holder.token = std::get<wire::TokenOnly>(holder.open(unproven.reply).at(0)).token;
  REQUIRE(f.give(holder.keepalive(), kAway, kT0 + 1s).moved);
  CHECK_FALSE(f.give(delayed, kHome, kT0 + 2s).moved);  // with a token that is still good for that address
  CHECK(f.table.at(LeaseSlot{0}).peer == kAway);

  const Datagram late = holder.keepalive(wire::Delivery::multicast);
  f.table.at(LeaseSlot{0}).delivery = wire::Delivery::none;
  f.give(holder.keepalive(wire::Delivery::none), kAway, kT0 + 2s);
  const auto result = f.give(late, kAway, kT0 + 2s);
  REQUIRE(result.keepalive);
  CHECK(result.keepalive->delivery == wire::Delivery::none);
}

TEST_CASE("nothing in a datagram with a bad record is acted upon") {
  LeaseFixture f;
  const auto grant = f.join(0, kHome, kT0);
  Holder holder{grant};
  std::array<std::uint8_t, 64> buffer;
  const auto with_tail = [&](std::initializer_list<std::uint8_t> tail) {
    Writer w{buffer};
    wire::write_record(w, wire::Keepalive{1, holder.token, 0, 0, wire::Delivery::unicast});
    w.bytes(std::vector<std::uint8_t>(tail));
    return holder.seal(w.written());
  };
  for (const auto& bad : {with_tail({0x0a, 0, 1}), with_tail({0x0a, 0, 1, 99}), with_tail({0xff, 0, 0})}) {
    const auto result = f.give(bad, kHome, kT0);
    CHECK(result.slot == kNoSlot);
    CHECK_FALSE(result.keepalive);
    CHECK(result.records.empty());
  }
  CHECK_FALSE(f.table.at(LeaseSlot{0}).confirmed);
  CHECK(f.table.counters().drop_record.get() == 3);
  CHECK(f.give(with_tail({0x7f, 0, 0}), kHome, kT0).keepalive);
  CHECK(f.table.at(LeaseSlot{0}).confirmed);
}

TEST_CASE("two keepalives in one datagram are refused") {
  LeaseFixture f;
  const auto grant = f.join(0, kHome, kT0);
  Holder holder{grant};
  std::array<std::uint8_t, 64> buffer;
  Writer w{buffer};
  for (int i = 0; i < 2; ++i) wire::write_record(w, wire::Keepalive{1, holder.token, 0, 0, wire::Delivery::unicast});
  CHECK(f.give(holder.seal(w.written()), kHome, kT0).slot == kNoSlot);
  CHECK(f.table.counters().drop_record.get() == 1);
}

TEST_CASE("the bucket before the AEAD: a burst, then its rate, whoever sends") {
  for (const auto role : {wire::Role::listener, wire::Role::relay}) {
    LeaseFixture f;
    const auto grant = f.join(0, kHome, kT0, role);
    Holder holder{grant};
    const std::uint32_t burst = role == wire::Role::relay ? kRelayControlBurst : kControlBurst;
    const std::uint32_t rate = role == wire::Role::relay ? kRelayControlRate : kControlRate;
    Datagram forged = holder.keepalive();
    forged.back() ^= 1;
    const auto passed = [&](std::uint32_t sent, Time now) {
      const auto before = f.table.counters().drop_forged.get();
      for (std::uint32_t i = 0; i < sent; ++i) f.give(forged, test::address(66, 6), now);
      return f.table.counters().drop_forged.get() - before;
    };
    CHECK(passed(burst + 500, kT0) == burst);
    CHECK(f.table.counters().drop_rate.get() == 500);
    CHECK(f.give(holder.keepalive(), kHome, kT0).slot == kNoSlot);  // it stands before the AEAD
    std::uint64_t in_a_second = 0;
    for (int ms = 1; ms <= 1000; ++ms) in_a_second += passed(10, kT0 + ms * 1ms);
    CHECK(in_a_second == rate);
    CHECK(passed(2 * burst, kT0 + 2900ms) <= burst);
  }
}

TEST_CASE("a released slot is silent, its keys are gone, and its next lease does not know the last one's datagrams") {
  LeaseFixture f;
  const auto grant = f.join(7, kHome, kT0);
  Holder old{grant};
  const auto result = f.give(old.keepalive(), kHome, kT0);
  f.table.release(result.slot);
  CHECK(f.table.active() == 0);
  const auto opens = f.secrets.opens(LeaseSlot{7});
  CHECK(std::all_of(opens.begin(), opens.end(), [](std::uint8_t b) { return b == 0; }));
  const auto seals = f.secrets.seals(LeaseSlot{7});
  CHECK(std::all_of(seals.begin(), seals.end(), [](std::uint8_t b) { return b == 0; }));
  CHECK(f.give(old.keepalive(), kHome, kT0).slot == kNoSlot);

  const auto next = f.join(7, kAway, kT0 + 1s);
  CHECK(next.accepted.lease != grant.accepted.lease);
  Holder holder{next};
  CHECK(f.give(old.keepalive(), kHome, kT0 + 1s).slot == kNoSlot);
  CHECK(f.give(old.keepalive(), kAway, kT0 + 1s).slot == kNoSlot);
  CHECK(f.table.counters().drop_unknown_lease.get() == 3);
  CHECK(f.give(holder.keepalive(), kAway, kT0 + 1s).slot == LeaseSlot{7});  // counters begin anew
}

TEST_CASE("ids of another boot, of slots that do not exist, of empty blocks: unknown") {
  LeaseFixture f{5000};
  const auto grant = f.join(2, kHome, kT0);
  Holder holder{grant};
  for (const LeaseId id :
       {make_lease_id(0xdead, LeaseSlot{2}, static_cast<std::uint32_t>(grant.accepted.lease.value)),
        make_lease_id(test::kBootTag, LeaseSlot{4999}, 1), make_lease_id(test::kBootTag, LeaseSlot{5000}, 1),
        make_lease_id(test::kBootTag, LeaseSlot{0xffffff}, 1), make_lease_id(test::kBootTag, LeaseSlot{3}, 0),
        LeaseId{grant.accepted.lease.value ^ 1}, LeaseId{0}}) {
    holder.id = id;
    CHECK(f.give(holder.keepalive(), kHome, kT0).slot == kNoSlot);
    CHECK(f.table.find(id) == nullptr);
  }
  CHECK(f.table.counters().drop_unknown_lease.get() == 7);
  CHECK(f.table.find(grant.accepted.lease) != nullptr);
}

TEST_CASE("seal never uses a counter twice, and refuses what does not fit without using one") {
  LeaseFixture f;
  const auto grant = f.join(0, kHome, kT0);
  Holder holder{grant};
  const std::array<std::uint8_t, 3> record{0x7f, 0, 0};
  const Datagram first = test::copy(f.table.seal(LeaseSlot{0}, record, f.reply));
  const Datagram too_long(wire::kMaxDatagram - wire::kMinControl + 1);
  CHECK(f.table.seal(LeaseSlot{0}, too_long, f.reply).empty());
  const Datagram second = test::copy(f.table.seal(LeaseSlot{0}, record, f.reply));
  CHECK(wire::parse_control(first)->counter == 0);
  CHECK(wire::parse_control(second)->counter == 1);
  CHECK(wire::parse_control(second)->lane == Lane{0});
  CHECK(holder.open(second).size() == 1);
}

TEST_CASE("the link key is the one that the holder derives") {
  LeaseFixture f;
  const auto grant = f.join(0, kHome, kT0, wire::Role::relay);
  std::array<std::uint8_t, 32> ours{}, theirs{};
  f.table.derive_link_key(LeaseSlot{0}, ours);
  crypto::derive_link_key(grant.keys.responder_to_initiator.view(), theirs);
  CHECK(ours == theirs);
}

TEST_CASE("50,000 random, truncated and changed datagrams: no crash, no answer, nothing changed, all counted") {
  LeaseFixture f;
  const auto grant = f.join(0, kHome, kT0, wire::Role::relay);
  Holder holder{grant};
  f.give(holder.keepalive(), kHome, kT0);
  const Datagram genuine = holder.keepalive();
  test::SeededRandom random{3};
  Datagram d;
  bool acted = false;
  for (int i = 0; i < 50'000; ++i) {
    const std::uint64_t dice = random.u64();
    d = genuine;
    if (dice % 3 == 0) {
      d.resize(dice >> 8 & 0x7ff);
      random.fill(d);
      if (!d.empty()) d[0] = 0x10;
    } else {
      d[(dice >> 8) % d.size()] ^= static_cast<std::uint8_t>(dice >> 40 | 1);
      if (dice % 3 == 1) d.resize((dice >> 16) % d.size());
    }
    const auto result = f.give(d, dice % 2 == 0 ? kHome : kAway, kT0 + i * 10us);
    acted |= result.slot != kNoSlot || !result.reply.empty() || result.moved;
  }
  CHECK_FALSE(acted);
  const auto& c = f.table.counters();
  CHECK(c.control_received.get() == 1);
  CHECK(c.drop_malformed.get() + c.drop_unknown_lease.get() + c.drop_rate.get() + c.drop_replayed.get() +
            c.drop_forged.get() ==
        50'000);
  CHECK(c.drop_forged.get() > 100);
  CHECK(f.table.at(LeaseSlot{0}).expires == kT0 + 15s);
}

TEST_CASE("100,000 leases: an install, a renewal and an end cost what they cost at 1,000") {
  const auto steps_per_lease = [](std::uint32_t count) {
    LeaseFixture f{count};
    std::vector<JoinGrant> grants;
    grants.reserve(count);
    for (std::uint32_t i = 0; i < count; ++i) grants.push_back(f.join(i, kHome, kT0));
    CHECK(f.table.active() == count);
    for (std::uint32_t i = 0; i < count; ++i) {
      Holder holder{grants[i]};
      REQUIRE(f.give(holder.keepalive(), kHome, kT0 + 1s).slot == LeaseSlot{i});
    }
    std::uint32_t ended = 0;
    CHECK_FALSE(f.table.expire_one(kT0 + 15s - 1ns));
    while (f.table.expire_one(kT0 + 15s)) ++ended;
    CHECK(ended == count);
    CHECK(f.table.active() == 0);
    return f.table.wheel_steps() / count;
  };
  const auto few = steps_per_lease(1000), many = steps_per_lease(100'000);
  CHECK(few == many);
  CHECK(many <= 6);
}

TEST_CASE("storage grows in blocks: an idle table is small, a lease takes at most 160 bytes") {
  LeaseFixture f{100'000};
  CHECK(f.table.bytes_reserved() < 16'384);
  f.join(0, kHome, kT0);
  CHECK(f.table.bytes_reserved() < 16'384 + 1024 * 160);
  f.join(99'999, kHome, kT0);
  CHECK(f.table.bytes_reserved() < 16'384 + 2 * 1024 * 160);
}

TEST_CASE("no datagram allocates") {
  LeaseFixture f;
  const auto grant = f.join(0, kHome, kT0);
  Holder holder{grant};
  std::vector<Datagram> keepalives;
  for (int i = 0; i < 50; ++i) keepalives.push_back(holder.keepalive());
  const test::AllocationCount allocations;
  for (std::size_t i = 0; i < keepalives.size(); ++i)
    f.give(keepalives[i], i % 2 == 0 ? kHome : kAway, kT0 + i * 100ms);
  const auto count = allocations.count();
  CHECK(count == 0);
  CHECK(f.table.counters().control_received.get() == 50);
}

}  // namespace
}  // namespace tiercast::control::lease_table_test
