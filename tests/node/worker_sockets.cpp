// A worker with a socket for each of two listen addresses: who gets what by which of them.
#include <doctest/doctest.h>

#include <map>

#include "relay/node/worker.hpp"
#include "tests/control/lease_fixture.hpp"
#include "tests/support/fan_out_table.hpp"

namespace tiercast::worker_sockets_test {

using namespace tiercast::test;

namespace {

constexpr Time kStart{1h};
constexpr node::GroupIndex kGroup{0};

Endpoint peer(std::uint8_t last) {
  Endpoint e;
  e.ip[15] = last;
  e.port = 5000;
  return e;
}

struct Outlet final : node::Outlet {
  void send(Bytes, Bytes, const Endpoint& to, const LocalAddress& from) override { last[to] = from; }
  std::map<Endpoint, LocalAddress> last;
};

struct Fixture final : private forward::FanOutMaker {
  Fixture() {
    group.index = kGroup;
    node::Worker::Setup setup;
    setup.boot_tag = kBootTag;
    setup.max_leases = 16;
    setup.secrets = &secrets;
    setup.token_key = &LeaseFixture::token_key();
    setup.outlet = &outlet;
    setup.fan_outs = this;
    setup.reports = &reports;
    worker.emplace(std::move(setup), kStart);
    carried.emplace(group);
    worker->on_command(node::AddGroup{kGroup, &*carried}, kStart);
  }

  std::vector<std::unique_ptr<forward::FanOut>> make_fan_outs() override {
    std::vector<std::unique_ptr<forward::FanOut>> out;
    for (auto& table : tables) {
      auto made = std::make_unique<FanOutTable>([this](const FanOutTable::Entry& e, Bytes) { sent.push_back(e); });
      table = made.get();
      out.push_back(std::move(made));
    }
    return out;
  }

  static LocalAddress at(std::uint8_t socket) { return {{static_cast<std::uint8_t>(0x20 + socket)}, 1, socket}; }

  Holder& join(std::uint32_t slot, std::uint8_t socket) {
    auto& grant = grants[slot];
    random.fill(grant.keys.initiator_to_responder.bytes());
    random.fill(grant.keys.responder_to_initiator.bytes());
    grant.accepted.lease = control::make_lease_id(kBootTag, control::LeaseSlot{slot}, 5);
    grant.accepted.token = crypto::make_token(LeaseFixture::token_key(), grant.accepted.lease, from(slot), kStart);
    secrets.store(control::LeaseSlot{slot}, grant.keys);
    worker->on_command(node::Install{grant.accepted.lease, from(slot), at(socket), wire::Role::listener,
                                     wire::Delivery::unicast, kGroup},
                       kStart);
    return holders.try_emplace(slot, grant).first->second;
  }
  static Endpoint from(std::uint32_t slot) { return peer(static_cast<std::uint8_t>(slot + 1)); }
  void speak(std::uint32_t slot, std::uint8_t socket, wire::Delivery delivery = wire::Delivery::unicast) {
    worker->on_datagram(holders.at(slot).keepalive(delivery), from(slot), at(socket), kStart);
  }
  /// By slot: the socket that a datagram to everybody left by; it leaves from the address of the same number.
  std::map<std::uint32_t, int> delivered() {
    sent.clear();
    worker->on_command(
        node::SendIdle{kGroup, {wire::Type::idle, 0, SourceId{1}, GroupId{7}, Epoch{0}, Sequence{0}}, kStart}, kStart);
    while (worker->send_some(kStart)) {
    }
    std::map<std::uint32_t, int> out;
    for (const auto& [to, local, got] : sent) {
      CHECK(local == at(local.socket));
      CHECK(out.emplace(to.ip[15] - 1, local.socket).second);  // once
    }
    for (std::size_t s = 0; s < tables.size(); ++s)
      for (const auto& [to, local, got] : tables[s]->entries) CHECK(local.socket == s);
    return out;
  }
  using By = std::map<std::uint32_t, int>;

  SeededRandom random{5};
  node::Group group{GroupId{7}, "main", 20ms, {}};
  std::optional<node::WorkerGroup> carried;
  control::LeaseSecrets secrets{16};
  SpscRing<node::Report> reports{256};
  Outlet outlet;
  std::vector<FanOutTable::Entry> sent;
  std::array<FanOutTable*, 2> tables{};
  std::map<std::uint32_t, control::JoinGrant> grants;
  std::map<std::uint32_t, Holder> holders;
  std::optional<node::Worker> worker;
};

}  // namespace

TEST_CASE("each listener is sent to by the socket that it joined at, in one batch a socket") {
  Fixture f;
  for (std::uint32_t slot = 0; slot < 6; ++slot) f.join(slot, slot % 2 == 0 ? 0 : 1);
  CHECK(f.delivered() == Fixture::By{{0, 0}, {1, 1}, {2, 0}, {3, 1}, {4, 0}, {5, 1}});
  CHECK(f.tables[0]->starts == 1);
  CHECK(f.tables[1]->starts == 1);
  CHECK(f.worker->counters().datagrams.get() == 6);
  for (std::uint32_t slot = 0; slot < 6; ++slot) f.speak(slot, slot % 2 == 0 ? 0 : 1);
  for (std::uint32_t slot = 0; slot < 6; ++slot) CHECK(f.outlet.last.at(Fixture::from(slot)).socket == slot % 2);
}

TEST_CASE("a socket that nobody joined at is not sent by") {
  Fixture f;
  f.join(0, 1);
  CHECK(f.delivered() == Fixture::By{{0, 1}});
  CHECK(f.tables[0]->starts == 0);
}

TEST_CASE("a lease that comes to another address is served from there, and leaves the others where they are") {
  Fixture f;
  for (std::uint32_t slot = 0; slot < 5; ++slot) f.join(slot, 0);
  f.join(5, 1);
  f.speak(1, 1);  // not the last of its table: another takes its place there
  CHECK(f.delivered() == Fixture::By{{0, 0}, {1, 1}, {2, 0}, {3, 0}, {4, 0}, {5, 1}});
  CHECK(f.outlet.last.at(Fixture::from(1)) == Fixture::at(1));
  f.speak(4, 1);  // it had taken that place
  f.speak(5, 0);
  CHECK(f.delivered() == Fixture::By{{0, 0}, {1, 1}, {2, 0}, {3, 0}, {4, 1}, {5, 0}});
  f.speak(2, 0, wire::Delivery::none);
  f.speak(2, 1, wire::Delivery::none);
  CHECK(f.delivered() == Fixture::By{{0, 0}, {1, 1}, {3, 0}, {4, 1}, {5, 0}});
  f.speak(2, 1);
  f.speak(1, 0);
  CHECK(f.delivered() == Fixture::By{{0, 0}, {1, 0}, {2, 1}, {3, 0}, {4, 1}, {5, 0}});
}

TEST_CASE("leases of both sockets that end are gone from their tables") {
  Fixture f;
  for (std::uint32_t slot = 0; slot < 6; ++slot) f.join(slot, slot % 2 == 0 ? 0 : 1);
  f.speak(0, 1);
  f.speak(3, 0);
  std::array<std::uint8_t, 16> buffer;
  for (const std::uint32_t slot : {0U, 5U}) {
    Writer leave{buffer};
    wire::write_record(leave, wire::Leave{});
    f.worker->on_datagram(f.holders.at(slot).seal(leave.written()), Fixture::from(slot), Fixture::at(1), kStart);
  }
  CHECK(f.delivered() == Fixture::By{{1, 1}, {2, 0}, {3, 0}, {4, 0}});
  f.worker->on_timer(kStart + 4s);  // 1, 2 and 4 never confirmed
  CHECK(f.delivered() == Fixture::By{{3, 0}});
}

}  // namespace tiercast::worker_sockets_test
