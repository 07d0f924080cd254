// Leases and their holders, for the tests of both ends.
#pragma once

#include <memory>
#include <vector>

#include "crypto/control.hpp"
#include "relay/control/join_initiator.hpp"
#include "relay/control/lease_table.hpp"
#include "tests/control/join_fixture.hpp"

namespace tiercast::test {

inline constexpr std::uint16_t kBootTag = 0xbeef;

/// The feed's part: keys, ids, the ACCEPT's token.
struct LeaseFixture {
  explicit LeaseFixture(std::uint32_t slots = 64) : secrets(slots), table(slots, kBootTag, secrets, token_key()) {}

  static const crypto::MacKey& token_key() {
    static const crypto::MacKey key = [] {
      SeededRandom random{77};
      crypto::MacKey k;
      random.fill(k.bytes());
      return k;
    }();
    return key;
  }

  control::JoinGrant join(std::uint32_t slot, const Endpoint& from, Time now, wire::Role role = wire::Role::listener) {
    control::JoinGrant grant;
    random.fill(grant.keys.initiator_to_responder.bytes());
    random.fill(grant.keys.responder_to_initiator.bytes());
    const auto tail = static_cast<std::uint32_t>(random.u64());
    grant.accepted.lease = control::make_lease_id(kBootTag, control::LeaseSlot{slot}, tail);
    grant.accepted.lane = Lane{2};
    grant.accepted.token = crypto::make_token(token_key(), grant.accepted.lease, from, now);
    grant.round_trip = 100ms;
    secrets.store(control::LeaseSlot{slot}, grant.keys);
    table.install(grant.accepted.lease, from, local, role, wire::Delivery::unicast, now);
    return grant;
  }

  control::ControlResult give(Bytes datagram, const Endpoint& from, Time now) {
    return table.on_control(datagram, from, local, records, reply, now);
  }

  SeededRandom random{31};
  LocalAddress local{.ip = {9}, .interface = 2};
  control::LeaseSecrets secrets;
  control::LeaseTable table;
  std::array<std::uint8_t, wire::kMaxDatagram> records{}, reply{};
};

/// A holder that does just what a test says.
struct Holder {
  explicit Holder(const control::JoinGrant& g)
      : keys(&g.keys), id(g.accepted.lease), lane(g.accepted.lane), token(g.accepted.token) {}

  Datagram seal(Bytes records) { return seal_as(counter++, records); }
  Datagram seal_as(std::uint64_t number, Bytes records) const {
    Datagram out(wire::kMaxDatagram);
    out.resize(crypto::seal_control(keys->initiator_to_responder.view(), lane, id, number, records, out));
    return out;
  }
  Datagram keepalive(wire::Delivery delivery = wire::Delivery::unicast) {
    return keepalive_as(counter++, token, delivery);
  }
  Datagram keepalive_as(std::uint64_t number, const wire::Token& echoed,
                        wire::Delivery delivery = wire::Delivery::unicast) const {
    std::array<std::uint8_t, 64> buffer;
    Writer w{buffer};
    wire::write_record(w, wire::Keepalive{7, echoed, 1000, 30'000, delivery});
    return seal_as(number, w.written());
  }
  /// The records in what came from upstream.
  std::vector<wire::Record> open(Bytes datagram) const {
    std::array<std::uint8_t, wire::kMaxDatagram> out{};
    std::vector<wire::Record> records;
    const auto control = wire::parse_control(datagram);
    if (!control || control->lease != id) return records;
    const auto length = crypto::open_control(keys->responder_to_initiator.view(), *control, out);
    if (!length) return records;
    wire::RecordReader reader{Bytes{out}.first(*length)};
    while (auto r = reader.next()) records.push_back(*r);
    return records;
  }

  const crypto::TransportKeys* keys;
  LeaseId id;
  Lane lane;
  wire::Token token;
  std::uint64_t counter = 0;
};

}  // namespace tiercast::test
