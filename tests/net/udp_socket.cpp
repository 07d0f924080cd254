#include "relay/net/udp_socket.hpp"

#include <fcntl.h>
#include <netinet/in.h>

#include <cerrno>
#include <thread>

#include "relay/net/resolve.hpp"
#include "tests/net/sockets.hpp"

namespace tiercast::udp_socket_test {

using namespace tiercast::net;
using test::bytes;

namespace {
int option(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  getsockopt(fd, level, name, &value, &size);
  return value;
}
}  // namespace

TEST_CASE("a socket never fragments, blocks, or leaks into a child process, in both families") {
  for (const char* address : {"127.0.0.1:0", "[::1]:0"}) {
    const UdpSocket socket = test::bound(address);
    CHECK(option(socket.fd(), IPPROTO_IP, IP_MTU_DISCOVER) == IP_PMTUDISC_PROBE);
    if (socket.family() == AF_INET6) CHECK(option(socket.fd(), IPPROTO_IPV6, IPV6_MTU_DISCOVER) == IPV6_PMTUDISC_PROBE);
    CHECK((fcntl(socket.fd(), F_GETFL) & O_NONBLOCK) != 0);
    CHECK((fcntl(socket.fd(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK_FALSE(socket.is_wildcard());
  }
}

TEST_CASE("a port in use is told with its address") {
  for (const char* address : {"127.0.0.1:0", "[::1]:0"}) {
    const UdpSocket first = test::bound(address);
    const auto second = UdpSocket::bind(first.local(), {});
    REQUIRE_FALSE(second);
    CHECK(second.error().text.find(to_string(first.local())) != std::string::npos);
    CHECK(second.error().text.find("in use") != std::string::npos);
    CHECK(second.error().exit_code == 71);
  }
}

TEST_CASE("an address that is not this machine's is told") {
  const auto socket = UdpSocket::bind(test::endpoint("192.0.2.1:4800"), {});
  REQUIRE_FALSE(socket);
  CHECK(socket.error().text.find("192.0.2.1:4800") != std::string::npos);
  CHECK(socket.error().text.find("no such address") != std::string::npos);
}

TEST_CASE("an interface that is not there is told") {
  const auto socket = UdpSocket::bind(test::endpoint("127.0.0.1:0"), {.interface = "nosuch0"});
  REQUIRE_FALSE(socket);
  CHECK(socket.error().text.find("nosuch0") != std::string::npos);
}

TEST_CASE("buffers are as large as asked, as far as the system allows") {
  const UdpSocket plain = test::bound("127.0.0.1:0");
  const UdpSocket large = test::bound("127.0.0.1:0", {.receive_buffer = 1 << 20, .send_buffer = 1 << 20});
  CHECK(large.receive_buffer() > plain.receive_buffer());
  CHECK(large.send_buffer() > plain.send_buffer());
}

TEST_CASE("an answer leaves from the address that was asked, of a wildcard socket in both families") {
  struct Case {
    const char* server;
    const char* client;
    const char* joined;
  };
  for (const Case c : {Case{"0.0.0.0:0", "127.0.0.1:0", "127.0.0.5:0"}, Case{"[::]:0", "127.0.0.1:0", "127.0.0.5:0"},
                       Case{"[::]:0", "[::1]:0", "[::1]:0"}}) {
    CAPTURE(c.server);
    const UdpSocket server = test::bound(c.server);
    CHECK(server.is_wildcard());
    const UdpSocket client = test::bound(c.client);
    REQUIRE(client.send(bytes("ask"), test::with_port(test::endpoint(c.joined), server.local().port), {}) == 0);
    const auto asked = test::drain(server.fd());
    REQUIRE(asked.size() == 1);
    REQUIRE(server.send(bytes("answer"), asked[0].from, asked[0].local) == 0);
    const auto answered = test::drain(client.fd());
    REQUIRE(answered.size() == 1);
    CHECK(answered[0].from.ip == test::endpoint(c.joined).ip);
    CHECK(answered[0].from.port == server.local().port);
  }
}

TEST_CASE("a wildcard socket without a local address to leave from lets routing choose") {
  const UdpSocket server = test::bound("0.0.0.0:0");
  const UdpSocket client = test::bound("127.0.0.1:0");
  REQUIRE(server.send(bytes("x"), client.local(), {}) == 0);
  REQUIRE(test::drain(client.fd()).size() == 1);
}

TEST_CASE("a socket bound to one address ignores the local address, and leaves from its own") {
  const UdpSocket server = test::bound("127.0.0.6:0");
  const UdpSocket client = test::bound("127.0.0.1:0");
  REQUIRE(server.send(bytes("x"), client.local(), test::local_address("127.0.0.7:0")) == 0);
  const auto got = test::drain(client.fd());
  REQUIRE(got.size() == 1);
  CHECK(got[0].from == server.local());
}

TEST_CASE("two parts make one datagram, also where one is empty") {
  const UdpSocket a = test::bound("127.0.0.1:0");
  const UdpSocket b = test::bound("127.0.0.1:0");
  REQUIRE(a.send_two(bytes("slot"), bytes("mac"), b.local(), {}) == 0);
  REQUIRE(a.send_two(bytes("slot"), {}, b.local(), {}) == 0);
  REQUIRE(a.send_two({}, bytes("mac"), b.local(), {}) == 0);
  const auto got = test::drain(b.fd());
  REQUIRE(got.size() == 3);
  CHECK(got[0].text == "slotmac");
  CHECK(got[1].text == "slot");
  CHECK(got[2].text == "mac");
}

TEST_CASE("a connected socket takes its peer's datagrams only") {
  const UdpSocket parent = test::bound("127.0.0.1:0");
  const UdpSocket uplink = test::connected(parent.local());
  const UdpSocket stranger = test::bound("127.0.0.1:0");
  REQUIRE(stranger.send(bytes("forged"), uplink.local(), {}) == 0);
  REQUIRE(parent.send(bytes("true"), uplink.local(), {}) == 0);
  const auto got = test::drain(uplink.fd());
  REQUIRE(got.size() == 1);
  CHECK(got[0].text == "true");
  REQUIRE(uplink.send(bytes("up")) == 0);
  CHECK(test::drain(parent.fd()).size() == 1);
}

TEST_CASE("what cannot be sent is told as its errno") {
  const UdpSocket four = test::bound("127.0.0.1:0");
  CHECK(four.send(bytes("x"), test::endpoint("[::1]:9"), {}) == EAFNOSUPPORT);
  const std::string huge(70000, 'x');
  CHECK(four.send(bytes(huge), four.local(), {}) == EMSGSIZE);
  CHECK(four.send(bytes("x"), test::endpoint("127.0.0.1:0"), {}) == EINVAL);  // no port
}

TEST_CASE("numeric addresses and names resolve, each address once") {
  const auto four = resolve({"127.0.0.1", 4800});
  REQUIRE(four);
  CHECK(*four == std::vector{test::endpoint("127.0.0.1:4800")});
  const auto six = resolve({"::1", 4800});
  REQUIRE(six);
  CHECK(*six == std::vector{test::endpoint("[::1]:4800")});
  const auto name = resolve({"localhost", 7});
  REQUIRE(name);
  CHECK_FALSE(name->empty());
  for (const Endpoint& e : *name) CHECK(e.port == 7);
}

TEST_CASE("a name that does not resolve is told, exit status 69") {
  const auto none = resolve({"no-such-host.invalid", 4800});
  REQUIRE_FALSE(none);
  CHECK(none.error().exit_code == 69);
  CHECK(none.error().text.find("no-such-host.invalid") != std::string::npos);
}

TEST_CASE("a port whose holder is about to go is waited for, if so asked") {
  auto held = UdpSocket::bind(*parse_endpoint("127.0.0.1:0"), {});
  REQUIRE(held);
  const Endpoint at = held->local();
  SocketOptions options;
  CHECK_FALSE(UdpSocket::bind(at, options));
  options.patience = 30ms;
  const auto refused = UdpSocket::bind(at, options);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().text.find("the port is in use") != std::string::npos);
  std::thread goes{[&held] {
    std::this_thread::sleep_for(50ms);
    held = tl::unexpected{Error{}};
  }};
  options.patience = 60s;
  CHECK(UdpSocket::bind(at, options));
  goes.join();
}

}  // namespace tiercast::udp_socket_test
