// Real datagrams: IPv4 on loopback, as any user; IPv6, and interfaces that go away, in a network namespace.
#include "relay/net/multicast.hpp"

#include <netinet/in.h>
#include <poll.h>

#include <cerrno>
#include <cstdlib>
#include <future>
#include <optional>
#include <thread>

#include "tests/net/network_namespace.hpp"
#include "tests/net/sockets.hpp"

namespace tiercast::multicast_test {

using namespace tiercast::net;
using test::bytes;

namespace {

/// A group, who is joined to, and another sender on the same interface.
struct Way {
  std::string interface, group, source, other;
};
const Way kLoopback{"lo", "239.10.0.1:48010", "127.0.0.1:0", "127.0.0.2:0"};
// The two ends of a cable; what leaves by one is heard there by itself.
const Way kCabled[]{{"a0", "239.10.0.1:48010", "10.9.0.1:0", "10.9.0.2:0"},
                    {"a0", "232.1.2.3:48010", "10.9.0.1:0", "10.9.0.2:0"},
                    {"a0", "[ff15::10:1]:48010", "[fd09::1]:0", "[fd09::2]:0"},
                    {"a0", "[ff02::10:1]:48010", "[fd09::1]:0", "[fd09::2]:0"},
                    {"a0", "[ff02::10:1]:48010", "[fe80::a1]:0", "[fe80::a2]:0"}};
constexpr const char* kCable =
    "ip link add a0 type veth peer name b0 && ip address add 10.9.0.1/24 dev a0 && ip address add 10.9.0.2/24 dev a0 "
    "&& "
    "ip -6 address add fd09::1/64 dev a0 nodad && ip -6 address add fd09::2/64 dev a0 nodad && "
    "ip -6 address add fe80::a1/64 dev a0 nodad && ip -6 address add fe80::a2/64 dev a0 nodad && "
    "ip link set a0 up && ip link set b0 up";
// IPv6 waits for the carrier, which is told by and by.
constexpr const char* kCarrier =
    "timeout 10 sh -c 'until ip -6 route get ff15::10:1 oif a0 2> /dev/null | grep -q a0; do sleep 0.01; done'";

void run(const char* command) { REQUIRE(std::system(command) == 0); }

MulticastSender sender(const Way& way, const std::string& from, std::uint8_t ttl = 1) {
  MulticastSendOptions options;
  options.group = test::endpoint(way.group);
  options.interface = way.interface;
  options.ttl = ttl;
  options.from = test::endpoint(from);
  auto made = MulticastSender::open(options);
  REQUIRE_MESSAGE(made, (made ? "" : made.error().text));
  return std::move(*made);
}
MulticastReceiveOptions receiving(const Way& way) {
  return {test::endpoint(way.group), way.interface, test::endpoint(way.source), 0};
}
MulticastReceiver receiver(const Way& way) {
  auto made = MulticastReceiver::open(receiving(way));
  REQUIRE_MESSAGE(made, (made ? "" : made.error().text));
  return std::move(*made);
}
template <class T>
std::string error_of(const tl::expected<T, Error>& tried) {
  if (tried) return "(none)";
  CHECK(tried.error().exit_code == 71);
  return tried.error().text;
}
int option(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  getsockopt(fd, level, name, &value, &size);
  return value;
}

void only_the_source_is_heard(const Way& way) {
  CAPTURE(way.group);
  CAPTURE(way.source);
  const MulticastReceiver in = receiver(way);
  MulticastSender right = sender(way, way.source), wrong = sender(way, way.other);
  CHECK(wrong.send(bytes("forged"), Time{}) == 0);
  CHECK(right.send(bytes("true"), Time{}) == 0);
  const auto got = test::drain(in.fd());
  REQUIRE(got.size() == 1);
  CHECK(got[0].text == "true");
  CHECK(got[0].from.ip == test::endpoint(way.source).ip);
  CHECK(got[0].local == LocalAddress{});
  CHECK(right.counters().sent.get() == 1);
}

}  // namespace

TEST_CASE("of a group only what its source sends is heard") {
  only_the_source_is_heard(kLoopback);
  test::in_network_namespace({kCable, kCarrier}, [] {
    for (const Way& way : kCabled) only_the_source_is_heard(way);
  });
}

TEST_CASE("it is heard over the wire, as far as that is joined there") {
  for (const Way& way : kCabled) {
    CAPTURE(way.group);
    CAPTURE(way.source);
    test::in_network_namespace({kCable, kCarrier}, [&way] {
      // The cable's other end is another machine's, which its socket keeps alive.
      std::optional<MulticastReceiver> in;
      std::promise<pid_t> there;
      std::promise<void> plugged_in;
      std::thread machine{[&] {
        const bool possible = unshare(CLONE_NEWNET) == 0;
        there.set_value(possible ? gettid() : 0);
        plugged_in.get_future().wait();
        Way by = way;
        by.interface = "b0";
        if (possible && std::system("ip address add 10.9.0.9/24 dev b0 && ip -6 address add fd09::9/64 dev b0 nodad && "
                                    "ip link set b0 up") == 0)
          in = receiver(by);
      }};
      const int moved = std::system(("ip link set b0 netns " + std::to_string(there.get_future().get())).c_str());
      plugged_in.set_value();
      machine.join();
      REQUIRE(moved == 0);
      REQUIRE(in);
      MulticastSender right = sender(way, way.source), wrong = sender(way, way.other);
      // What is sent before the cable carries anything is lost: again, then, within a bound against hanging.
      pollfd ready{in->fd(), POLLIN, 0};
      for (int tries = 0; tries < 200 && ::poll(&ready, 1, 50) == 0; ++tries) {
        CHECK(wrong.send(bytes("forged"), Time{}) == 0);
        CHECK(right.send(bytes("true"), Time{}) == 0);
      }
      const auto got = test::drain(in->fd());
      REQUIRE(!got.empty());
      for (const auto& one : got) {
        CHECK(one.text == "true");
        CHECK(one.from.ip == test::endpoint(way.source).ip);
      }
    });
  }
}

TEST_CASE("a receiver hears its own group and port only, whatever else the machine has joined") {
  const Way other_group{"lo", "239.10.0.2:48010", "127.0.0.1:0", "127.0.0.2:0"};
  const Way other_source{"lo", "239.10.0.1:48010", "127.0.0.2:0", "127.0.0.1:0"};
  const Way other_port{"lo", "239.10.0.1:48011", "127.0.0.1:0", "127.0.0.2:0"};
  const MulticastReceiver in = receiver(kLoopback);
  const MulticastReceiver others[]{receiver(other_group), receiver(other_source), receiver(other_port)};
  for (const Way& way : {other_group, other_source, other_port})
    CHECK(sender(way, way.source).send(bytes("x"), Time{}) == 0);
  CHECK(test::drain(in.fd()).empty());
  for (const auto& other : others) CHECK(test::drain(other.fd()).size() == 1);
  // Nor what is sent to the port by unicast.
  const UdpSocket direct = test::bound("127.0.0.1:0");
  CHECK(direct.send(bytes("x"), test::endpoint("127.0.0.1:48010"), {}) == 0);
  CHECK(test::drain(in.fd()).empty());
}

TEST_CASE("each of several receivers on a machine gets a copy") {
  const MulticastReceiver first = receiver(kLoopback), second = receiver(kLoopback);
  MulticastSender out = sender(kLoopback, kLoopback.source);
  CHECK(out.send(bytes("x"), Time{}) == 0);
  CHECK(test::drain(first.fd()).size() == 1);
  CHECK(test::drain(second.fd()).size() == 1);
}

TEST_CASE("two parts make one datagram to a group") {
  const MulticastReceiver in = receiver(kLoopback);
  MulticastSender out = sender(kLoopback, kLoopback.source);
  CHECK(out.send_two(bytes("slot"), bytes("signature"), Time{}) == 0);
  const auto got = test::drain(in.fd());
  REQUIRE(got.size() == 1);
  CHECK(got[0].text == "slotsignature");
}

TEST_CASE("a Loop receives from a group") {
  const MulticastReceiver in = receiver(kLoopback);
  MulticastSender out = sender(kLoopback, kLoopback.source);
  test::Collector collector;
  net::Loop loop = test::make_loop();
  REQUIRE(loop.receive(in.fd(), collector) == 0);
  CHECK(out.send(bytes("x"), Time{}) == 0);
  REQUIRE(test::turn_until(loop, [&] { return !collector.received.empty(); }));
  CHECK(collector.received[0].text == "x");
  CHECK(collector.received[0].from.ip == test::endpoint("127.0.0.1:0").ip);
  loop.cancel(in.fd());
}

TEST_CASE("what goes to a group goes no further than it is told, and is never fragmented") {
  const MulticastSender four = sender(kLoopback, kLoopback.source, 7);
  CHECK(option(four.socket().fd(), IPPROTO_IP, IP_MULTICAST_TTL) == 7);
  CHECK(option(four.socket().fd(), IPPROTO_IP, IP_MULTICAST_LOOP) == 1);
  CHECK(option(four.socket().fd(), IPPROTO_IP, IP_MTU_DISCOVER) == IP_PMTUDISC_PROBE);
  test::in_network_namespace({kCable, kCarrier}, [] {
    const MulticastSender six = sender(kCabled[2], kCabled[2].source, 255);
    CHECK(option(six.socket().fd(), IPPROTO_IPV6, IPV6_MULTICAST_HOPS) == 255);
    CHECK(option(six.socket().fd(), IPPROTO_IPV6, IPV6_MULTICAST_LOOP) == 1);
    CHECK(option(six.socket().fd(), IPPROTO_IPV6, IPV6_MTU_DISCOVER) == IPV6_PMTUDISC_PROBE);
    run("ip link set a0 mtu 1280");
    MulticastSender out = sender(kCabled[2], kCabled[2].source);
    const std::string large(1300, 'x');
    CHECK(out.send(bytes(large), Time{}) == EMSGSIZE);
    CHECK(out.counters().other.get() == 1);
  });
}

TEST_CASE("without an address to send from, the interface's first one is taken") {
  test::in_network_namespace({kCable, kCarrier}, [] {
    const MulticastReceiver in = receiver(kCabled[0]);
    MulticastSendOptions options;
    options.group = test::endpoint(kCabled[0].group);
    options.interface = "a0";
    for (const auto& from : {std::optional<Endpoint>{}, std::optional{test::endpoint("0.0.0.0:4800")},
                             std::optional{test::endpoint("[::]:4800")}}) {
      options.from = from;
      auto out = MulticastSender::open(options);
      REQUIRE(out);
      CHECK(out->send(bytes("x"), Time{}) == 0);
      CHECK(test::drain(in.fd()).size() == 1);
    }
  });
}

TEST_CASE("an interface that is not there is told by its name") {
  Way way = kLoopback;
  way.interface = "nosuch0";
  CHECK(
      error_of(MulticastReceiver::open(receiving(way))) ==
      "cannot receive 239.10.0.1:48010 from 127.0.0.1 on nosuch0: there is no interface nosuch0; `ip link` lists those "
      "there are");
  MulticastSendOptions options;
  options.group = test::endpoint(way.group);
  options.interface = way.interface;
  CHECK(error_of(MulticastSender::open(options)) ==
        "cannot send to 239.10.0.1:48010 on nosuch0: there is no interface nosuch0; `ip link` lists those there are");
}

TEST_CASE("an address that is not this machine's, or not of the group's family, is told") {
  MulticastSendOptions options;
  options.group = test::endpoint(kLoopback.group);
  options.interface = "lo";
  options.from = test::endpoint("192.0.2.77:0");
  CHECK(error_of(MulticastSender::open(options)).find("this machine has no such address") != std::string::npos);
  options.from = test::endpoint("[::1]:0");
  CHECK(error_of(MulticastSender::open(options)) ==
        "cannot send to 239.10.0.1:48010 on lo: [::1] is not of the group's family");
  MulticastReceiveOptions in = receiving(kLoopback);
  in.source = test::endpoint("[::1]:0");
  CHECK(error_of(MulticastReceiver::open(in)) ==
        "cannot receive 239.10.0.1:48010 from [::1] on lo: the source is not of the group's family");
}

TEST_CASE("a port that is another program's is told") {
  const UdpSocket taken = test::bound("0.0.0.0:48010");
  CHECK(error_of(MulticastReceiver::open(receiving(kLoopback))).find("the port is in use") != std::string::npos);
}

TEST_CASE("an interface that goes down and comes up again is used as before") {
  test::in_network_namespace({kCable, kCarrier, "sysctl -qw net.ipv6.conf.a0.keep_addr_on_down=1"}, [] {
    for (const Way& way : {kCabled[0], kCabled[2]}) {
      CAPTURE(way.group);
      const MulticastReceiver in = receiver(way);
      MulticastSender out = sender(way, way.source);
      CHECK(out.send(bytes("1"), Time{}) == 0);
      run("ip link set a0 down");
      CHECK(out.send(bytes("2"), Time{1s}) != 0);
      CHECK(out.counters().unreachable.get() == 1);
      run("ip link set a0 up");
      run(kCarrier);
      CHECK(out.send(bytes("3"), Time{2s}) == 0);
      CHECK(out.counters().reattached.get() == 0);
      const auto got = test::drain(in.fd());
      REQUIRE(got.size() == 2);
      CHECK(got[1].text == "3");
    }
  });
}

TEST_CASE("an interface that was removed and comes again under its name is found anew") {
  for (const Way& way : kCabled) {
    CAPTURE(way.group);
    CAPTURE(way.source);
    test::in_network_namespace({kCable, kCarrier}, [&way] {
      MulticastReceiver in = receiver(way);
      const int fd = in.fd();
      MulticastSender out = sender(way, way.source);
      CHECK(out.send(bytes("1"), Time{}) == 0);
      CHECK(test::drain(fd).size() == 1);
      run("ip link delete a0");
      CHECK(out.send(bytes("2"), Time{1s}) != 0);
      CHECK(error_of(in.rejoin()).find(" on a0: there is no interface a0; ") != std::string::npos);
      run(kCable);
      run(kCarrier);
      const MulticastReceiver neighbour = receiver(way);
      // It was looked for at 1 s, and is once a second.
      CHECK(out.send(bytes("3"), Time{1999ms}) != 0);
      CHECK(out.counters().unreachable.get() == 2);
      CHECK(out.send(bytes("4"), Time{2s}) == 0);
      CHECK(out.counters().reattached.get() == 1);
      CHECK(test::drain(neighbour.fd()).size() == 1);
      CHECK(test::drain(fd).empty());  // not joined there, whoever else is
      REQUIRE(in.rejoin());
      CHECK(in.fd() == fd);
      CHECK(sender(way, way.other).send(bytes("forged"), Time{}) == 0);
      CHECK(out.send(bytes("5"), Time{3s}) == 0);
      const auto got = test::drain(fd);
      REQUIRE(got.size() == 1);
      CHECK(got[0].text == "5");
    });
  }
}

TEST_CASE("rejoining as often as one likes leaves one membership") {
  MulticastReceiver in = receiver(kLoopback);
  for (int i = 0; i < 100; ++i) REQUIRE(in.rejoin());  // beyond net.ipv4.igmp_max_memberships
  MulticastSender out = sender(kLoopback, kLoopback.source);
  CHECK(out.send(bytes("x"), Time{}) == 0);
  CHECK(test::drain(in.fd()).size() == 1);
}

TEST_CASE("interfaces that come and go leave no memberships behind") {
  for (const Way& way : {kCabled[0], kCabled[2]}) {
    CAPTURE(way.group);
    test::in_network_namespace({kCable, kCarrier}, [&way] {
      MulticastReceiver in = receiver(way);
      for (int i = 0; i < 25; ++i) {  // net.ipv4.igmp_max_memberships is 20
        run("ip link delete a0");
        run(kCable);
        run(kCarrier);
        REQUIRE_MESSAGE(in.rejoin(), i);
      }
      MulticastSender out = sender(way, way.source);
      CHECK(out.send(bytes("x"), Time{}) == 0);
      CHECK(test::drain(in.fd()).size() == 1);
    });
  }
}

}  // namespace tiercast::multicast_test
