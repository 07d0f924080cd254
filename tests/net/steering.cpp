#include "relay/net/steering.hpp"

#include <algorithm>

#include "relay/wire/packets.hpp"
#include "tests/net/sockets.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::steering_test {

using namespace tiercast::net;

namespace {

constexpr std::array<std::uint16_t, 3> kTags{0x1234, 0xffff, 0x0000};

PublicSockets public_sockets(const char* address) {
  auto made = bind_public(test::endpoint(address), kTags, {}, {});
  REQUIRE_MESSAGE(made, (made ? "" : made.error().text));
  return std::move(*made);
}

std::string control(std::uint8_t lane, std::uint16_t tag, std::size_t size) {
  std::vector<std::uint8_t> out(std::max(size, wire::kControlHeader));
  wire::write_control_header(std::span{out}.first<wire::kControlHeader>(), Lane{lane},
                             LeaseId{std::uint64_t{tag} << 48 | 0xabcdef}, 7);
  return {out.begin(), out.begin() + static_cast<std::ptrdiff_t>(size)};
}

std::string hello() {
  std::array<std::uint8_t, wire::kHello> out{};
  wire::write_hello(out, {});
  return {out.begin(), out.end()};
}

std::string join(std::size_t size) {
  std::string out(size, 'n');
  out[0] = static_cast<char>(wire::Type::join);
  out[1] = 0;
  return out;
}

/// Which socket got it: 0 the join socket, 1.. the workers; -1 none.
struct Port {
  PublicSockets sockets;
  UdpSocket sender;
  Endpoint to;
  Port(const char* listen, const char* from)
      : sockets(public_sockets(listen)),
        sender(test::bound(from)),
        to(test::with_port(sender.local(), sockets.join.local().port)) {}
  int takes(const std::string& datagram) {
    REQUIRE(sender.send(test::bytes(datagram), to, {}) == 0);
    int taken = -1;
    const auto look = [&](const UdpSocket& socket, int index) {
      const auto got = test::drain(socket.fd());
      if (got.empty()) return;
      CHECK(got.size() == 1);
      CHECK(got[0].text == datagram);
      CHECK(taken == -1);
      taken = index;
    };
    look(sockets.join, 0);
    for (std::size_t i = 0; i < sockets.workers.size(); ++i) look(sockets.workers[i], static_cast<int>(i) + 1);
    return taken;
  }
};

struct Way {
  const char* listen;
  const char* from;
};
constexpr std::array<Way, 4> kWays{
    {{"0.0.0.0:0", "127.0.0.1:0"}, {"127.0.0.1:0", "127.0.0.1:0"}, {"[::]:0", "127.0.0.1:0"}, {"[::]:0", "[::1]:0"}}};

}  // namespace

TEST_CASE("joining goes to the join socket, each lane's CONTROL to its worker, in both families") {
  for (const Way way : kWays) {
    CAPTURE(way.listen);
    Port port{way.listen, way.from};
    CHECK(port.takes(hello()) == 0);
    CHECK(port.takes(join(200)) == 0);
    for (std::uint8_t lane = 0; lane < kTags.size(); ++lane)
      CHECK(port.takes(control(lane, kTags[lane], 100)) == lane + 1);
  }
}

TEST_CASE("a sender's port does not choose the worker: a moved listener still reaches its own") {
  Port port{"127.0.0.1:0", "127.0.0.1:0"};
  for (int i = 0; i < 32; ++i) {
    port.sender = test::bound("127.0.0.1:0");
    CHECK(port.takes(control(1, kTags[1], 64)) == 2);
    CHECK(port.takes(hello()) == 0);
  }
}

TEST_CASE("CONTROL of a lane that is none, with another boot tag or a wrong length goes nowhere") {
  Port port{"0.0.0.0:0", "127.0.0.1:0"};
  for (const unsigned lane : {3U, 4U, 31U, 254U, 255U})
    for (const std::uint16_t tag : kTags) CHECK(port.takes(control(static_cast<std::uint8_t>(lane), tag, 100)) == -1);
  CHECK(port.takes(control(0, kTags[1], 100)) == -1);
  CHECK(port.takes(control(0, 0x1235, 100)) == -1);
  CHECK(port.takes(control(0, 0x3412, 100)) == -1);
  CHECK(port.takes(control(0, kTags[0], wire::kMinControl - 1)) == -1);
  CHECK(port.takes(control(0, kTags[0], wire::kMinControl)) == 1);
  CHECK(port.takes(control(0, kTags[0], wire::kMaxDatagram)) == 1);
  CHECK(port.takes(control(0, kTags[0], wire::kMaxDatagram + 1)) == -1);
  for (std::size_t size = 0; size < wire::kControlHeader; ++size) CHECK(port.takes(control(0, kTags[0], size)) == -1);
}

TEST_CASE("HELLO and JOIN of a wrong length or with a lane go nowhere") {
  Port port{"0.0.0.0:0", "127.0.0.1:0"};
  std::string lane_hello = hello();
  lane_hello[1] = 1;
  CHECK(port.takes(lane_hello) == -1);
  CHECK(port.takes(hello() + "x") == -1);
  CHECK(port.takes(hello().substr(0, 63)) == -1);
  const std::size_t least = wire::kJoinClear + 48;
  CHECK(port.takes(join(least - 1)) == -1);
  CHECK(port.takes(join(least)) == 0);
  CHECK(port.takes(join(wire::kMaxDatagram)) == 0);
  CHECK(port.takes(join(wire::kMaxDatagram + 1)) == -1);
  std::string lane_join = join(200);
  lane_join[1] = 1;
  CHECK(port.takes(lane_join) == -1);
}

TEST_CASE("every other type goes nowhere, whatever follows it") {
  Port port{"0.0.0.0:0", "127.0.0.1:0"};
  test::SeededRandom random{7};
  for (unsigned type = 0; type < 256; ++type) {
    if (type == 0x01 || type == 0x03 || type == 0x10) continue;
    CAPTURE(type);
    for (const std::size_t size : {1UL, 2UL, 34UL, 64UL, 200UL, 1232UL}) {
      std::vector<std::uint8_t> junk(size);
      random.fill(junk);
      junk[0] = static_cast<std::uint8_t>(type);
      CHECK(port.takes({junk.begin(), junk.end()}) == -1);
    }
  }
  CHECK(port.takes("") == -1);
}

TEST_CASE("what a filter refuses counts among the socket's drops") {
  Port port{"127.0.0.1:0", "127.0.0.1:0"};
  const auto join_before = socket_drops(port.sockets.join.fd());
  const auto worker_before = socket_drops(port.sockets.workers[0].fd());
  REQUIRE(join_before);
  REQUIRE(worker_before);
  for (int i = 0; i < 5; ++i) CHECK(port.takes("junk") == -1);
  for (int i = 0; i < 3; ++i) CHECK(port.takes(control(0, 0x4321, 100)) == -1);
  CHECK(socket_drops(port.sockets.join.fd()) == *join_before + 5);
  CHECK(socket_drops(port.sockets.workers[0].fd()) == *worker_before + 3);
  CHECK_FALSE(socket_drops(-1));
}

TEST_CASE("a join flood fills the join socket's queue only") {
  Port port{"127.0.0.1:0", "127.0.0.1:0"};
  const std::string flood = join(1200);
  for (int i = 0; i < 2000; ++i) REQUIRE(port.sender.send(test::bytes(flood), port.to, {}) == 0);
  CHECK(socket_drops(port.sockets.join.fd()) > 0U);
  REQUIRE(port.sender.send(test::bytes(control(2, kTags[2], 100)), port.to, {}) == 0);
  CHECK(test::drain(port.sockets.workers[2].fd()).size() == 1);
}

TEST_CASE(
    "when a socket closes, the last one takes its number: worker 0 gone, its lane's CONTROL meets a foreign tag") {
  Port port{"127.0.0.1:0", "127.0.0.1:0"};
  port.sockets.workers.erase(port.sockets.workers.begin());  // number 1 is now what was number 3
  const std::string to_third = control(0, kTags[2], 100);
  REQUIRE(port.sender.send(test::bytes(to_third), port.to, {}) == 0);
  CHECK(test::drain(port.sockets.workers[1].fd()).size() == 1);
  CHECK(port.takes(control(0, kTags[0], 100)) == -1);
  CHECK(port.takes(control(1, kTags[1], 100)) == 1);  // number 2 stayed; it is the first in our list now
  CHECK(port.takes(hello()) == 0);
}

TEST_CASE("a public port in use is told, though both would share it") {
  const PublicSockets first = public_sockets("127.0.0.1:0");
  const auto second = bind_public(first.join.local(), kTags, {}, {});
  REQUIRE_FALSE(second);
  CHECK(second.error().text.find("in use") != std::string::npos);
  CHECK(second.error().text.find(to_string(first.join.local())) != std::string::npos);
}

TEST_CASE("a sink takes nothing") {
  const UdpSocket sink = test::bound("127.0.0.1:0");
  REQUIRE(attach_drop_filter(sink.fd()) == 0);
  const UdpSocket sender = test::bound("127.0.0.1:0");
  REQUIRE(sender.send(test::bytes(hello()), sink.local(), {}) == 0);
  CHECK(test::drain(sink.fd()).empty());
}

}  // namespace tiercast::steering_test
