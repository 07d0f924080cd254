// A node's joining side with a doorkeeper that remembers, for the tests of both sides.
#pragma once

#include <algorithm>
#include <vector>

#include "relay/control/join_initiator.hpp"
#include "relay/control/join_responder.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::test {

using Datagram = std::vector<std::uint8_t>;
inline Datagram copy(Bytes b) { return {b.begin(), b.end()}; }

inline Endpoint address(std::uint8_t host, std::uint16_t port) {
  Endpoint e;
  e.ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, host};
  e.port = port;
  return e;
}

struct TestDoor final : control::Doorkeeper {
  std::optional<wire::DenyReason> deny;
  bool writes_too_much = false;
  int admitted = 0, seated = 0, withdrawn = 0;
  control::Joiner last;
  Datagram last_ticket;
  std::vector<crypto::TransportKeys> keys;

  std::optional<LeaseId> admit(const control::Joiner& joiner, Writer& records, Time) override {
    ++admitted;
    last = joiner;
    last_ticket = copy(joiner.ticket);
    last.ticket = {};
    if (deny) {
      static constexpr std::array<std::uint8_t, 4> kWhere{0, 1, 0, 2};
      wire::write_record(records, wire::Denied{*deny, 7, kWhere});
      return std::nullopt;
    }
    wire::Accepted accepted{.lane = Lane{3}, .lease = LeaseId{0x1234000001abcdef}, .token = {1, 2, 3}, .path = {}};
    accepted.path.push_back(NodeId{77});
    wire::write_record(records, accepted);
    wire::GroupInfo info;
    info.group = joiner.request.group;
    info.newest = Sequence{99};
    wire::write_record(records, info);
    for (std::uint32_t e = 1; e <= 2; ++e)
      wire::write_record(records, wire::EpochRecord{joiner.request.group, SourceId{1}, Epoch{e}, {9}});
    if (writes_too_much) records.zeros(wire::kMaxDatagram);
    return accepted.lease;
  }
  void seat(LeaseId, const control::Joiner&, const crypto::TransportKeys& k, Time) override {
    ++seated;
    crypto::TransportKeys own;
    std::copy(k.initiator_to_responder.view().begin(), k.initiator_to_responder.view().end(),
              own.initiator_to_responder.bytes().begin());
    std::copy(k.responder_to_initiator.view().begin(), k.responder_to_initiator.view().end(),
              own.responder_to_initiator.bytes().begin());
    keys.push_back(std::move(own));
  }
  void withdraw(LeaseId) override { ++withdrawn; }
};

struct TestNode {
  explicit TestNode(Time start = Time{100s}, std::size_t spent = 1024)
      : key(crypto::generate_private_key(random)),
        public_key(crypto::node_public_key(key)),
        responder(key, random, start, spent, 64) {}

  /// Valid until the next call.
  Bytes give(Bytes datagram, const Endpoint& from, Time now) {
    return responder.on_datagram(datagram, from, local, now, door, reply);
  }

  SeededRandom random{99};
  crypto::PrivateKey key;
  crypto::PublicKey public_key;
  LocalAddress local{.ip = {1}, .interface = 4};
  TestDoor door;
  control::JoinResponder responder;
  std::array<std::uint8_t, wire::kMaxDatagram> reply{};
};

/// Every input is counted once, every JOIN has one outcome.
inline bool adds_up(const control::JoinCounters& c, std::uint64_t inputs) {
  const std::uint64_t drops = c.drop_version.get() + c.drop_cookie.get() + c.drop_expired.get() + c.drop_early.get() +
                              c.drop_puzzle.get() + c.drop_spent.get() + c.drop_full.get() + c.drop_handshake.get() +
                              c.drop_request.get() + c.drop_reply.get();
  return c.hellos.get() + c.joins.get() + c.drop_malformed.get() == inputs && c.retries.get() == c.hellos.get() &&
         c.joins.get() == c.accepts.get() + c.accepts_repeated.get() + c.denied.get() + drops;
}

inline const wire::JoinRequest kListenerRequest{GroupId{5}, wire::Role::listener, wire::Delivery::unicast};
inline const wire::JoinRequest kRelayRequest{GroupId{5}, wire::Role::relay, wire::Delivery::unicast};

/// HELLO and RETRY done: the JOIN that follows, as sent by a listener.
inline Datagram first_join(TestNode& node, control::JoinInitiator& joiner, const Endpoint& from, Time now) {
  joiner.on_datagram(node.give(joiner.take_datagram(), from, now), now);
  return copy(joiner.take_datagram());
}

}  // namespace tiercast::test
