#include "relay/net/sendmmsg_fan_out.hpp"

#include <algorithm>
#include <set>

#include "tests/net/network_namespace.hpp"
#include "tests/net/sockets.hpp"
#include "tests/support/counting_allocator.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::sendmmsg_fan_out_test {

using namespace tiercast::net;
using test::bytes;

namespace {

std::vector<UdpSocket> listeners(std::size_t count, const char* address = "127.0.0.1:0") {
  std::vector<UdpSocket> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(test::bound(address));
  return out;
}

/// 127.x.y.z of its own for every index.
Endpoint numbered(std::uint32_t i, std::uint16_t port) {
  Endpoint e = test::endpoint("127.0.0.0:0");
  store_be<3>(e.ip.data() + 13, i + 1);
  e.port = port;
  return e;
}

}  // namespace

TEST_CASE("every destination gets the datagram once, in both families and mapped") {
  for (const auto& [server, client] : std::vector<std::pair<const char*, const char*>>{{"127.0.0.1:0", "127.0.0.1:0"},
                                                                                       {"0.0.0.0:0", "127.0.0.1:0"},
                                                                                       {"[::]:0", "127.0.0.1:0"},
                                                                                       {"[::]:0", "[::1]:0"}}) {
    CAPTURE(server);
    const UdpSocket socket = test::bound(server);
    SendmmsgFanOut fan_out{socket};
    const auto clients = listeners(5, client);
    for (std::size_t i = 0; i < clients.size(); ++i) fan_out.set(i, clients[i].local(), {});
    CHECK(fan_out.size() == 5);
    for (const char* frame : {"one", "another, longer", ""}) {
      const auto result = fan_out.send(bytes(frame));
      CHECK(result.sent == 5);
      CHECK(result.failed == 0);
      for (const UdpSocket& c : clients) {
        const auto got = test::drain(c.fd());
        REQUIRE(got.size() == 1);
        CHECK(got[0].text == frame);
        CHECK(got[0].from.port == socket.local().port);
      }
    }
  }
}

TEST_CASE("an empty table sends nothing") {
  const UdpSocket socket = test::bound("127.0.0.1:0");
  SendmmsgFanOut fan_out{socket};
  const auto result = fan_out.send(bytes("x"));
  CHECK(result.sent == 0);
  CHECK(result.failed == 0);
  CHECK(fan_out.counters().calls.get() == 0);
}

TEST_CASE("a wildcard socket's datagrams leave from the address each destination joined at") {
  for (const char* server : {"0.0.0.0:0", "[::]:0"}) {
    const UdpSocket socket = test::bound(server);
    SendmmsgFanOut fan_out{socket};
    const auto clients = listeners(4);
    const std::array<const char*, 4> joined{"127.0.0.5:0", "127.0.0.6:0", "127.0.0.5:0", "127.0.0.1:0"};
    for (std::size_t i = 0; i < clients.size(); ++i) fan_out.set(i, clients[i].local(), test::local_address(joined[i]));
    const auto check = [&](const std::vector<std::pair<std::size_t, const char*>>& expected) {
      CHECK(fan_out.send(bytes("x")).sent == fan_out.size());
      for (const auto& [client, from] : expected) {
        const auto got = test::drain(clients[client].fd());
        REQUIRE(got.size() == 1);
        CHECK(got[0].from.ip == test::endpoint(from).ip);
      }
    };
    check({{0, joined[0]}, {1, joined[1]}, {2, joined[2]}, {3, joined[3]}});
    fan_out.set(0, clients[0].local(), test::local_address("127.0.0.6:0"));  // moved
    fan_out.set(2, clients[2].local(), test::local_address("127.0.0.5:0"));  // the same again
    check({{0, "127.0.0.6:0"}, {1, joined[1]}, {2, joined[2]}, {3, joined[3]}});
    fan_out.remove(2);  // the last user of .5; 3 moves there
    check({{0, "127.0.0.6:0"}, {1, joined[1]}, {3, joined[3]}});
    fan_out.remove(0);
    check({{1, joined[1]}, {3, joined[3]}});
  }
}

TEST_CASE("a table with random changes sends to exactly whom a plain list says") {
  const UdpSocket socket = test::bound("0.0.0.0:0");
  SendmmsgFanOut fan_out{socket};
  const auto clients = listeners(40);
  struct Entry {
    std::size_t client;
    std::string from;
  };
  std::vector<Entry> model;
  test::SeededRandom random{3};
  const std::array<std::string, 3> froms{"127.0.0.1:0", "127.0.0.2:0", "127.0.0.3:0"};
  for (int step = 0; step < 400; ++step) {
    const std::uint64_t what = random.below(4);
    const Entry entry{random.below(clients.size()), froms[random.below(froms.size())]};
    if (what < 2 || model.empty()) {
      fan_out.set(model.size(), clients[entry.client].local(), test::local_address(entry.from));
      model.push_back(entry);
    } else if (what == 2) {
      const std::size_t at = random.below(model.size());
      fan_out.set(at, clients[entry.client].local(), test::local_address(entry.from));
      model[at] = entry;
    } else {
      const std::size_t at = random.below(model.size());
      fan_out.remove(at);
      model[at] = model.back();
      model.pop_back();
    }
    REQUIRE(fan_out.size() == model.size());
    if (step % 8 != 0) continue;
    CHECK(fan_out.send(bytes("x")).sent == model.size());
    for (std::size_t c = 0; c < clients.size(); ++c) {
      std::multiset<std::string> expected;
      std::multiset<std::string> actual;
      for (const Entry& e : model)
        if (e.client == c) expected.insert(to_string(test::endpoint(e.from)));
      for (const auto& got : test::drain(clients[c].fd())) actual.insert(to_string(test::with_port(got.from, 0)));
      CHECK(actual == expected);
    }
  }
}

TEST_CASE("more than one batch reaches all: 1023, 1024, 1025 and 3000 destinations") {
  const UdpSocket sink = test::bound("0.0.0.0:0", {.receive_buffer = 32 << 20});
  const UdpSocket socket = test::bound("127.0.0.1:0", {.send_buffer = 8 << 20});
  SendmmsgFanOut fan_out{socket};
  for (const std::uint32_t count : {1023U, 1024U, 1025U, 3000U}) {
    while (fan_out.size() < count) {
      const auto i = static_cast<std::uint32_t>(fan_out.size());
      fan_out.set(i, numbered(i, sink.local().port), {});
    }
    CHECK(fan_out.send(bytes("x")).sent == count);
    std::vector<bool> seen(count);
    for (const auto& got : test::drain(sink.fd())) seen.at(load_be<3>(got.local.ip.data() + 13) - 1) = true;
    CHECK(std::all_of(seen.begin(), seen.end(), [](bool s) { return s; }));
  }
  while (fan_out.size() > 1) fan_out.remove(0);
  CHECK(fan_out.send(bytes("x")).sent == 1);
  REQUIRE(test::drain(sink.fd()).size() == 1);
}

TEST_CASE("one bad destination loses no other, wherever it stands, and is counted by why") {
  const UdpSocket socket = test::bound("0.0.0.0:0");
  const auto clients = listeners(4);
  struct Bad {
    Endpoint to;
    LocalAddress from;
    Counter FanOutCounters::*counter;
  };
  const std::vector<Bad> bads{
      {test::endpoint("127.0.0.1:0"), {}, &FanOutCounters::other},                         // no port
      {test::endpoint("[2001:db8::1]:9"), {}, &FanOutCounters::other},                     // family
      {test::endpoint("255.255.255.255:9"), test::local_address("127.0.0.1:0"), nullptr},  // broadcast
      {clients[0].local(), test::local_address("192.0.2.1:0"), nullptr},                   // not our address
  };
  for (const Bad& bad : bads) {
    for (std::size_t place = 0; place <= clients.size(); ++place) {
      CAPTURE(place);
      SendmmsgFanOut fan_out{socket};
      for (std::size_t i = 0; i < clients.size() + 1; ++i) {
        if (i == place) {
          fan_out.set(i, bad.to, bad.from);
        } else {
          fan_out.set(i, clients[i < place ? i : i - 1].local(), {});
        }
      }
      const auto result = fan_out.send(bytes("x"));
      CHECK(result.sent == clients.size());
      CHECK(result.failed == 1);
      for (const UdpSocket& c : clients) CHECK(test::drain(c.fd()).size() == 1);
      std::uint64_t failures = 0;
      fan_out.counters().each([&failures](std::string_view name, const Counter& c) {
        if (name.starts_with("fan_out_drop_")) failures += c.get();
      });
      CHECK(failures == 1);
      CHECK(fan_out.counters().sent.get() == clients.size());
      if (bad.counter != nullptr) CHECK((fan_out.counters().*bad.counter).get() == 1);
    }
  }
}

TEST_CASE("only bad destinations: all fail, none hangs") {
  const UdpSocket socket = test::bound("127.0.0.1:0");
  SendmmsgFanOut fan_out{socket};
  for (std::size_t i = 0; i < 2000; ++i) fan_out.set(i, test::endpoint("127.0.0.1:0"), {});
  const auto result = fan_out.send(bytes("x"));
  CHECK(result.sent == 0);
  CHECK(result.failed == 2000);
}

TEST_CASE("a datagram beyond the path's MTU is refused, not fragmented") {
  test::in_network_namespace({"ip link set lo mtu 1400"}, [] {
    const UdpSocket socket = test::bound("127.0.0.1:0");
    const UdpSocket client = test::bound("127.0.0.1:0");
    SendmmsgFanOut fan_out{socket};
    fan_out.set(0, client.local(), {});
    CHECK(fan_out.send(bytes(std::string(1400 - 28 + 1, 'x'))).failed == 1);
    CHECK(fan_out.counters().too_large.get() == 1);
    CHECK(fan_out.send(bytes(std::string(1400 - 28, 'x'))).sent == 1);
  });
}

TEST_CASE("no route and a forbidden route are told apart, and lose no other destination") {
  test::in_network_namespace({"ip route add prohibit 192.0.2.1"}, [] {
    const UdpSocket socket = test::bound("0.0.0.0:0");
    const UdpSocket client = test::bound("127.0.0.1:0");
    SendmmsgFanOut fan_out{socket};
    fan_out.set(0, test::endpoint("192.0.2.1:9"), {});
    fan_out.set(1, test::endpoint("198.51.100.1:9"), {});
    fan_out.set(2, client.local(), {});
    const auto result = fan_out.send(bytes("x"));
    CHECK(result.sent == 1);
    CHECK(result.failed == 2);
    CHECK(fan_out.counters().forbidden.get() == 1);
    CHECK(fan_out.counters().unreachable.get() == 1);
    CHECK(test::drain(client.fd()).size() == 1);
  });
}

TEST_CASE("a pending ICMP error costs nobody a frame") {
  // A connected socket is told of them; a table's own may be handed such an error by what was sent before.
  std::optional<UdpSocket> dead = test::bound("127.0.0.1:0");
  const Endpoint nobody = dead->local();
  dead.reset();
  const UdpSocket socket = test::connected(nobody);
  const UdpSocket client = test::bound("127.0.0.1:0");
  SendmmsgFanOut fan_out{socket};
  fan_out.set(0, client.local(), {});
  REQUIRE(socket.send(bytes("x")) == 0);  // answered by ICMP within this call: the error is pending now
  const auto result = fan_out.send(bytes("frame"));
  CHECK(result.sent == 1);
  CHECK(result.failed == 0);
  CHECK(fan_out.counters().calls.get() == 2);
  CHECK(test::drain(client.fd()).size() == 1);
}

TEST_CASE("a full send queue skips destinations, counts them, and never blocks") {
  // A device that sends next to nothing: what waits in its queue is charged to the sending socket.
  test::in_network_namespace({"tc qdisc replace dev lo root tbf rate 8kbit burst 2000 limit 10000000"}, [] {
    const UdpSocket socket = test::bound("127.0.0.1:0", {.send_buffer = 1});
    const UdpSocket client = test::bound("127.0.0.1:0");
    SendmmsgFanOut fan_out{socket};
    for (std::size_t i = 0; i < 100; ++i) fan_out.set(i, client.local(), {});
    const auto result = fan_out.send(bytes(std::string(1000, 'x')));
    CHECK(result.sent > 0);
    CHECK(result.failed > 0);
    CHECK(result.sent + result.failed == 100);
    CHECK(fan_out.counters().congested.get() == result.failed);
  });
}

TEST_CASE("sending allocates nothing, whatever becomes of it") {
  const UdpSocket socket = test::bound("0.0.0.0:0");
  const UdpSocket client = test::bound("127.0.0.1:0");
  SendmmsgFanOut fan_out{socket};
  for (std::size_t i = 0; i < 50; ++i)
    fan_out.set(i, i % 10 == 0 ? test::endpoint("127.0.0.1:0") : client.local(), test::local_address("127.0.0.2:0"));
  const std::string frame = "frame";
  const test::AllocationCount allocations;
  const auto result = fan_out.send(bytes(frame));
  const std::uint64_t counted = allocations.count();
  CHECK(counted == 0);
  CHECK(result.sent == 45);
  CHECK(result.failed == 5);
}

TEST_CASE("changes between a datagram's pieces: who stays gets it once, who was removed nothing more") {
  test::SeededRandom random{8};
  const UdpSocket socket = test::bound("127.0.0.1:0");
  const auto clients = listeners(80);
  for (int round = 0; round < 60; ++round) {
    SendmmsgFanOut fan_out{socket};
    std::vector<std::size_t> model;
    std::set<std::size_t> outside, removed, added;  // clients
    for (std::size_t c = 0; c < clients.size(); ++c) {
      if (c < 50) {
        fan_out.set(c, clients[c].local(), {});
        model.push_back(c);
      } else {
        outside.insert(c);
      }
    }
    forward::FanOutResult result;
    const std::string payload = "in pieces";
    fan_out.start(bytes(payload));
    while (fan_out.advance(1 + random.below(12), result)) {
      for (std::uint64_t changes = random.below(8); changes-- > 0;) {
        if (random.below(4) == 0 && !outside.empty()) {
          const std::size_t c = *outside.begin();
          outside.erase(outside.begin());
          added.insert(c);
          fan_out.set(model.size(), clients[c].local(), {});
          model.push_back(c);
        } else if (!model.empty()) {
          const std::size_t at = random.below(model.size());
          removed.insert(model[at]);
          fan_out.remove(at);
          model[at] = model.back();
          model.pop_back();
        }
      }
    }
    CHECK(result.failed == 0);
    std::size_t got = 0;
    for (std::size_t c = 0; c < clients.size(); ++c) {
      const std::size_t times = test::drain(clients[c].fd()).size();
      got += times;
      CAPTURE(c);
      if (outside.count(c) != 0) {
        CHECK(times == 0);
      } else if (added.count(c) != 0 || removed.count(c) != 0) {
        CHECK(times <= 1);
      } else {
        CHECK(times == 1);
      }
    }
    CHECK(result.sent == got);
    CHECK(fan_out.counters().sent.get() == got);
  }
}

}  // namespace tiercast::sendmmsg_fan_out_test
