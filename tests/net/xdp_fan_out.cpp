// Real packets over a cable of two virtual devices, read at its far end as they came over the wire. Both ends are in
// one namespace; where the packets claim to go is behind the far end, and nobody is there.
#include "relay/net/xdp_fan_out.hpp"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include <csignal>
#include <cstring>
#include <map>
#include <set>

#include "tests/net/network_namespace.hpp"
#include "tests/net/sockets.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::xdp_fan_out_test {

using namespace tiercast::net;
using test::bytes;

namespace {

constexpr const char* kCable =
    "ip link add a0 address 02:00:00:00:00:0a type veth peer name b0 address 02:00:00:00:00:0b && "
    "ip link set a0 up && ip link set b0 up && "
    "ip address add 10.9.0.1/24 dev a0 && ip -6 address add fd09::1/64 dev a0 nodad && "
    "ip neighbour replace 10.9.0.2 lladdr 02:00:00:00:00:0b dev a0 nud permanent && "
    "ip neighbour replace fd09::2 lladdr 02:00:00:00:00:0b dev a0 nud permanent && "
    "ip route add 11.0.0.0/8 via 10.9.0.2 && ip -6 route add fd11::/16 via fd09::2";

void run(const char* command) { REQUIRE(std::system(command) == 0); }

/// A virtual device takes packets from below the stack only where its far end collects them as drivers do.
void collect(const char* interface, bool on) {
  const Descriptor any{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  ethtool_value value{ETHTOOL_SGRO, on ? 1U : 0U};
  ifreq request{};
  std::strcpy(request.ifr_name, interface);
  request.ifr_data = reinterpret_cast<char*>(&value);
  REQUIRE(::ioctl(any.get(), SIOCETHTOOL, &request) == 0);
}

struct Packet {
  std::array<std::uint8_t, 6> from_mac{}, to_mac{};
  Endpoint from, to;
  int ttl = 0, tos = 0;
  bool checksums = false;  // right
  std::uint32_t tag = 0;   // protocol and VLAN; 0: none
  std::string payload;
};

std::uint16_t sum(Bytes data, std::uint32_t s = 0) {
  for (std::size_t i = 0; i < data.size(); ++i) s += i % 2 == 0 ? std::uint32_t{data[i]} << 8 : data[i];
  while (s > 0xffff) s = (s & 0xffff) + (s >> 16);
  return static_cast<std::uint16_t>(s);
}

std::optional<Packet> read_packet(Bytes frame) {
  Packet out;
  Reader in{frame};
  out.to_mac = in.array<6>();
  out.from_mac = in.array<6>();
  const std::uint16_t type = in.u16();
  const Bytes ip = in.all();
  Bytes udp;
  bool header_right = false;
  if (type == 0x0800 && ip.size() >= 28 && ip[0] == 0x45 && ip[9] == 17 && load_be<2>(&ip[2]) <= ip.size()) {
    header_right = sum(ip.first(20)) == 0xffff && load_be<2>(&ip[6]) == 0x4000;
    out.tos = ip[1];
    out.ttl = ip[8];
    out.from.ip = test::endpoint("0.0.0.0:0").ip;
    out.to.ip = out.from.ip;
    std::copy_n(&ip[12], 4, out.from.ip.begin() + 12);
    std::copy_n(&ip[16], 4, out.to.ip.begin() + 12);
    udp = ip.first(load_be<2>(&ip[2])).subspan(20);
  } else if (type == 0x86dd && ip.size() >= 48 && ip[0] >> 4 == 6 && ip[6] == 17 &&
             load_be<2>(&ip[4]) + 40U <= ip.size()) {
    header_right = true;
    out.tos = (ip[0] & 0x0f) << 4 | ip[1] >> 4;
    out.ttl = ip[7];
    std::copy_n(&ip[8], 16, out.from.ip.begin());
    std::copy_n(&ip[24], 16, out.to.ip.begin());
    udp = ip.first(load_be<2>(&ip[4]) + 40U).subspan(40);
  } else {
    return std::nullopt;
  }
  out.from.port = static_cast<std::uint16_t>(load_be<2>(&udp[0]));
  out.to.port = static_cast<std::uint16_t>(load_be<2>(&udp[2]));
  const Bytes addresses = type == 0x0800 ? ip.subspan(12, 8) : ip.subspan(8, 32);
  out.checksums = header_right && load_be<2>(&udp[6]) != 0 && load_be<2>(&udp[4]) == udp.size() &&
                  sum(udp, sum(addresses) + 17U + static_cast<std::uint32_t>(udp.size())) == 0xffff;
  out.payload = test::text(udp.subspan(8));
  return out;
}

/// What comes out of b0.
class Sniffer {
 public:
  Sniffer() : fd_(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(0x0003))) {  // ETH_P_ALL
    REQUIRE(fd_);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(0x0003);
    address.sll_ifindex = static_cast<int>(if_nametoindex("b0"));
    REQUIRE(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    const int on = 1;
    REQUIRE(::setsockopt(fd_.get(), SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) == 0);
    const int size = 256 << 20;
    REQUIRE(::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) == 0);
  }
  /// Datagrams to the ports that the tests use, until `count` have come (10 s at most: a bound against hanging) and no
  /// more is there.
  std::vector<Packet> take(std::size_t count) {
    std::vector<Packet> out;
    std::array<std::uint8_t, 4096> buffer{};
    while (true) {
      pollfd ready{fd_.get(), POLLIN, 0};
      if (::poll(&ready, 1, out.size() < count ? 10000 : 0) <= 0) return out;
      sockaddr_ll from{};
      iovec part{buffer.data(), buffer.size()};
      alignas(cmsghdr) std::array<std::uint8_t, 256> control{};
      msghdr header{&from, sizeof from, &part, 1, control.data(), control.size(), 0};
      const ssize_t size = ::recvmsg(fd_.get(), &header, MSG_DONTWAIT);
      if (size <= 0 || from.sll_pkttype == PACKET_OUTGOING) continue;
      auto packet = read_packet(Bytes{buffer}.first(static_cast<std::size_t>(size)));
      if (packet) packet->tag = tag_of(header);  // the kernel has taken it out of the bytes
      if (packet && packet->to.port >= 20000 && packet->to.port < 30000) out.push_back(std::move(*packet));
    }
  }

 private:
  static std::uint32_t tag_of(msghdr& header) {
    for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
      if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA) continue;
      tpacket_auxdata data{};
      std::memcpy(&data, CMSG_DATA(c), sizeof data);
      if ((data.tp_status & TP_STATUS_VLAN_VALID) != 0)
        return std::uint32_t{data.tp_vlan_tpid} << 16 | data.tp_vlan_tci;
    }
    return 0;
  }
  Descriptor fd_;
};

Endpoint numbered(std::uint32_t i, bool v6 = false) {
  Endpoint out = test::endpoint(v6 ? "[fd11::]:0" : "11.0.0.0:0");
  store_be<3>(out.ip.data() + 13, i + 1);
  out.port = static_cast<std::uint16_t>(20000 + i % 7919);
  return out;
}
LocalAddress from_a0(bool v6 = false) { return {test::endpoint(v6 ? "[fd09::1]:0" : "10.9.0.1:0").ip}; }

std::string payload_of(std::size_t size) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>(i * 7 + size);
  return out;
}

/// Runs `body` with the cable and a sender; says why not, where the kernel or the rights refuse.
template <class Body>
void with_sender(Body body, const XdpOptions& options = {.destinations = 65536, .ways = 64}) {
  test::in_network_namespace({kCable}, [&] {
    collect("b0", true);
    auto sender = XdpSender::open(options);
    if (!sender) {
      REQUIRE_MESSAGE(::geteuid() != 0, sender.error().text);
      MESSAGE("left out, not root: " << sender.error().text);
      return;
    }
    body(**sender);
  });
}

std::multiset<Endpoint> receivers(const std::vector<Packet>& packets) {
  std::multiset<Endpoint> out;
  for (const Packet& p : packets) out.insert(p.to);
  return out;
}
std::uint32_t count_of(const XdpFanOut& fan_out, Detour why) {
  return fan_out.detours()[static_cast<std::size_t>(why)];
}

}  // namespace

TEST_CASE("every destination gets the frame once, whole, with right headers and checksums, in both families") {
  with_sender([](XdpSender& sender) {
    const UdpSocket socket = test::bound("[::]:0");
    const int tos = 184, ttl = 61;
    REQUIRE(setsockopt(socket.fd(), IPPROTO_IP, IP_TOS, &tos, sizeof tos) == 0);
    REQUIRE(setsockopt(socket.fd(), IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos) == 0);
    REQUIRE(setsockopt(socket.fd(), IPPROTO_IP, IP_TTL, &ttl, sizeof ttl) == 0);
    XdpFanOut fan_out{sender, socket};
    Sniffer sniffer;
    constexpr std::uint32_t kEach = 700;
    std::multiset<Endpoint> all;
    for (std::uint32_t i = 0; i < 2 * kEach; ++i) {
      const Endpoint to = numbered(i, i % 2 == 1);
      fan_out.set(i, to, from_a0(i % 2 == 1));
      all.insert(to);
    }
    REQUIRE(count_of(fan_out, Detour::none) == 2 * kEach);
    for (const std::size_t size : {180U, 1200U, 1U, 0U, 181U, 1231U, 1232U}) {
      CAPTURE(size);
      const std::string payload = payload_of(size);
      const auto result = fan_out.send(bytes(payload));
      CHECK(result.sent == 2 * kEach);
      CHECK(result.failed == 0);
      const auto packets = sniffer.take(2 * kEach);
      CHECK(receivers(packets) == all);
      std::size_t wrong = 0;
      for (const Packet& p : packets) {
        const bool v6 = !p.to.is_v4();
        if (!p.checksums || p.payload != payload || p.from.port != socket.local().port || p.from.ip != from_a0(v6).ip ||
            p.tos != tos || p.ttl != (v6 ? 64 : ttl) || p.from_mac != MacAddress{2, 0, 0, 0, 0, 10} ||
            p.to_mac != MacAddress{2, 0, 0, 0, 0, 11})
          ++wrong;
      }
      CHECK(wrong == 0);
    }
    CHECK(fan_out.send(bytes(std::string(1233, 'x'))).failed == 2 * kEach);
    CHECK(fan_out.counters().too_large.get() == 2 * kEach);
    CHECK(sniffer.take(0).empty());
    CHECK(fan_out.detour_counters().calls.get() == 0);
  });
}

/// Half of 600 destinations behind b0 by a VLAN's device, or by what `tag_it` makes of that half's way.
template <class TagIt>
void send_tagged_and_plain(XdpSender& sender, const LocalAddress& from, TagIt tag_it) {
  const UdpSocket socket = test::bound("[::]:0");
  XdpFanOut fan_out{sender, socket};
  Sniffer sniffer;
  std::map<Endpoint, std::uint32_t> tags;
  for (std::uint32_t i = 0; i < 600; ++i) {
    Endpoint to = numbered(i);
    if (i % 2 == 1) to.ip[13] |= 128;
    fan_out.set(i, to, i % 2 == 1 ? from : from_a0());
    tags[to] = i % 2 == 1 ? 0x81000007 : 0;
  }
  CHECK(count_of(fan_out, Detour::none) == 600);
  tag_it();
  for (const std::size_t size : {200U, 1200U, 1232U}) {
    const std::string payload = payload_of(size);
    CHECK(fan_out.send(bytes(payload)).sent == 600);
    const auto packets = sniffer.take(600);
    CHECK(packets.size() == 600);
    for (const Packet& p : packets) CHECK((p.checksums && p.payload == payload && p.tag == tags.at(p.to)));
  }
}

TEST_CASE("a VLAN's device: its packets leave by the device below it, tagged, beside those without a tag") {
  with_sender([](XdpSender& sender) {
    if (std::system("ip link add link a0 name a0.7 type vlan id 7 2>/dev/null") != 0) {
      MESSAGE("left out: this kernel has no VLANs");
      return;
    }
    run("ip link set a0.7 up && ip address add 10.7.0.1/24 dev a0.7 && "
        "ip neighbour replace 10.7.0.2 lladdr 02:00:00:00:00:0b dev a0.7 nud permanent && "
        "ip route add 11.128.0.0/9 via 10.7.0.2");
    send_tagged_and_plain(sender, {test::endpoint("10.7.0.1:0").ip}, [] {});
  });
}

TEST_CASE("a way with a tag: the program makes room for it, in one frame with ways that have none") {
  with_sender([](XdpSender& sender) {
    run("ip address add 10.7.0.1/24 dev a0 && "
        "ip neighbour replace 10.7.0.2 lladdr 02:00:00:00:00:0b dev a0 nud permanent && "
        "ip route add 11.128.0.0/9 via 10.7.0.2");
    const IpAddress from = test::endpoint("10.7.0.1:0").ip;
    send_tagged_and_plain(sender, {from}, [&] {
      std::uint32_t way = 0;
      while (way < 64 && sender.source(way) != from) ++way;
      sender.program().way(way).tag_protocol = htons(0x8100);
      sender.program().way(way).tag = htons(7);
    });
  });
}

TEST_CASE("with random changes between frames, exactly those get each frame that a plain list says") {
  with_sender([](XdpSender& sender) {
    const UdpSocket socket = test::bound("[::]:0");
    XdpFanOut fan_out{sender, socket};
    Sniffer sniffer;
    const UdpSocket here = test::bound("127.0.0.1:0");  // by the stack only
    std::vector<std::optional<Endpoint>> model;         // nullopt: here
    test::SeededRandom random{11};
    const auto set = [&](std::size_t index) {
      if (random.below(8) == 0) {
        fan_out.set(index, here.local(), test::local_address("127.0.0.1:0"));
        model[index] = std::nullopt;
      } else {
        const bool v6 = random.below(3) == 0;
        const Endpoint to = numbered(static_cast<std::uint32_t>(random.below(100000)), v6);
        fan_out.set(index, to, from_a0(v6));
        model[index] = to;
      }
    };
    for (int frame = 0; frame < 60; ++frame) {
      const bool grow = frame < 40;
      for (int step = 0; step < 40; ++step) {
        const std::uint64_t what = random.below(10);
        if (model.empty() || what < (grow ? 6U : 1U)) {
          model.emplace_back();
          set(model.size() - 1);
        } else if (what < 7) {
          set(random.below(model.size()));
        } else {
          const std::size_t at = random.below(model.size());
          fan_out.remove(at);
          model[at] = model.back();
          model.pop_back();
        }
      }
      REQUIRE(fan_out.size() == model.size());
      std::multiset<Endpoint> wired;
      std::size_t local = 0;
      for (const auto& to : model) {
        if (to) wired.insert(*to);
        if (!to) ++local;
      }
      const std::string payload = payload_of(100 + static_cast<std::size_t>(frame));
      const auto result = fan_out.send(bytes(payload));
      CHECK(result.sent == model.size());
      const auto packets = sniffer.take(wired.size());
      CHECK(receivers(packets) == wired);
      for (const Packet& p : packets) CHECK((p.checksums && p.payload == payload));
      CHECK(test::drain(here.fd()).size() == local);
      CHECK(count_of(fan_out, Detour::none) == wired.size());
      CHECK(count_of(fan_out, Detour::not_unicast) == local);
    }
  });
}

TEST_CASE("changes between a frame's pieces: who stays gets it once, who was removed nothing more") {
  with_sender([](XdpSender& sender) {
    const UdpSocket socket = test::bound("10.9.0.1:0");
    XdpFanOut fan_out{sender, socket};
    Sniffer sniffer;
    constexpr std::uint32_t kCount = 20000;
    std::vector<Endpoint> model;
    for (std::uint32_t i = 0; i < kCount; ++i) {
      model.push_back(numbered(i));
      fan_out.set(i, model.back(), {});
    }
    test::SeededRandom random{4};
    std::set<Endpoint> removed, added;
    forward::FanOutResult result;
    const std::string payload = "in pieces";
    fan_out.start(bytes(payload));
    int pieces = 0;
    for (bool more = true; more; ++pieces) {
      more = fan_out.advance(fan_out.piece(), result);
      for (int i = 0; more && i < 1500; ++i) {
        const std::size_t at = random.below(model.size());
        removed.insert(model[at]);
        fan_out.remove(at);
        model[at] = model.back();
        model.pop_back();
        if (i % 3 != 0) continue;
        const Endpoint fresh = numbered(kCount + static_cast<std::uint32_t>(added.size()));
        added.insert(fresh);
        fan_out.set(model.size(), fresh, {});
        model.push_back(fresh);
      }
    }
    CHECK(pieces > 2);
    CHECK(result.failed == 0);
    const auto got = receivers(sniffer.take(result.sent));
    CHECK(got.size() == result.sent);
    std::size_t wrong = 0;
    for (const Endpoint& to : model)
      if (!added.contains(to) && got.count(to) != 1) ++wrong;
    for (const Endpoint& to : removed)
      if (got.count(to) > 1) ++wrong;
    CHECK(wrong == 0);
    CHECK(fan_out.send(bytes("whole")).sent == model.size());
    CHECK(receivers(sniffer.take(model.size())) == std::multiset<Endpoint>(model.begin(), model.end()));
  });
}

TEST_CASE("a next hop's new MAC address holds from the next frame; without one the stack is asked, and left again") {
  with_sender([](XdpSender& sender) {
    const UdpSocket socket = test::bound("10.9.0.1:0");
    XdpFanOut fan_out{sender, socket};
    Sniffer sniffer;
    for (std::uint32_t i = 0; i < 5; ++i) fan_out.set(i, numbered(i), {});
    const auto macs = [&] {
      CHECK(fan_out.send(bytes("x")).failed == 0);
      std::set<int> out;
      const auto packets = sniffer.take(5);
      CHECK(packets.size() == 5);
      for (const Packet& p : packets) out.insert(p.to_mac[5]);
      return out;
    };
    CHECK(macs() == std::set<int>{0x0b});
    run("ip neighbour replace 10.9.0.2 lladdr 02:00:00:00:00:0c dev a0 nud permanent");
    CHECK(macs() == std::set<int>{0x0c});
    CHECK(count_of(fan_out, Detour::none) == 5);
    run("ip neighbour del 10.9.0.2 dev a0");
    fan_out.send(bytes("asked for"));
    CHECK(count_of(fan_out, Detour::unresolved) == 5);
    CHECK(fan_out.detour_counters().sent.get() == 5);
    CHECK(fan_out.counters().demoted.get() == 5);
    run("ip neighbour replace 10.9.0.2 lladdr 02:00:00:00:00:0d dev a0 nud permanent");
    sniffer.take(0);
    CHECK(macs() == std::set<int>{0x0d});
    CHECK(count_of(fan_out, Detour::none) == 5);
    CHECK(fan_out.counters().promoted.get() == 5);
  });
}

TEST_CASE("other routes hold from the next frame on: another gateway, none, one again") {
  with_sender([](XdpSender& sender) {
    const UdpSocket socket = test::bound("10.9.0.1:0");
    XdpFanOut fan_out{sender, socket};
    Sniffer sniffer;
    for (std::uint32_t i = 0; i < 5; ++i) fan_out.set(i, numbered(i), {});
    run("ip neighbour replace 10.9.0.3 lladdr 02:00:00:00:00:0c dev a0 nud permanent && "
        "ip route replace 11.0.0.0/8 via 10.9.0.3");
    CHECK(fan_out.send(bytes("x")).sent == 5);
    for (const Packet& p : sniffer.take(5)) CHECK(p.to_mac[5] == 0x0c);
    run("ip route del 11.0.0.0/8");
    CHECK(fan_out.send(bytes("x")).failed == 5);
    CHECK(count_of(fan_out, Detour::no_route) == 5);
    run("ip route add 11.0.0.0/8 via 10.9.0.2");
    CHECK(fan_out.send(bytes("x")).sent == 5);
    CHECK(count_of(fan_out, Detour::none) == 5);
    for (const Packet& p : sniffer.take(5)) CHECK(p.to_mac[5] == 0x0b);
  });
}

TEST_CASE("a device that takes nothing: the stack sends, from the second frame at the latest, and until it does take") {
  with_sender([](XdpSender& sender) {
    const UdpSocket socket = test::bound("10.9.0.1:0");
    XdpFanOut fan_out{sender, socket};
    Sniffer sniffer;
    for (std::uint32_t i = 0; i < 5; ++i) fan_out.set(i, numbered(i), {});
    collect("b0", false);
    const auto first = fan_out.send(bytes("x"));
    if (first.failed != 0) {  // nothing was told of it
      CHECK(first.failed == 5);
      CHECK(fan_out.counters().dropped.get() == 5);
      CHECK(fan_out.send(bytes("x")).sent == 5);
    }
    CHECK(count_of(fan_out, Detour::device_refuses) == 5);
    CHECK(receivers(sniffer.take(5)).size() == 5);
    collect("b0", true);
    run("ip link set a0 txqueuelen 999");  // of a0, too, something is told
    CHECK(fan_out.send(bytes("x")).sent == 5);
    CHECK(count_of(fan_out, Detour::none) == 5);
    CHECK(sniffer.take(5).size() == 5);
  });
}

TEST_CASE("a route that changes holds for all of many destinations, also while others change all the time") {
  with_sender([](XdpSender& sender) {
    const UdpSocket socket = test::bound("10.9.0.1:0");
    XdpFanOut fan_out{sender, socket};
    Sniffer sniffer;
    constexpr std::uint32_t kMany = 1500;
    for (std::uint32_t i = 0; i < kMany; ++i) fan_out.set(i, numbered(i), {});
    run("ip neighbour replace 10.9.0.3 lladdr 02:00:00:00:00:0c dev a0 nud permanent && "
        "ip route replace 11.0.0.0/8 via 10.9.0.3");
    std::size_t old = 0;
    for (int frame = 0; frame < 12; ++frame) {
      run(frame % 2 == 0 ? "ip route add 10.77.0.0/16 dev lo" : "ip route del 10.77.0.0/16 dev lo");
      CHECK(fan_out.send(bytes("x")).sent == kMany);
      const auto packets = sniffer.take(kMany);
      old = static_cast<std::size_t>(
          std::count_if(packets.begin(), packets.end(), [](const Packet& p) { return p.to_mac[5] != 0x0c; }));
    }
    CHECK(old == 0);
  });
}

/// A second cable, a1 to b1, with 12.0.0.0/8 behind it.
constexpr const char* kSecondCable =
    "ip link add a1 address 02:00:00:00:00:1a type veth peer name b1 address 02:00:00:00:00:1b && "
    "ip link set a1 up && ip link set b1 up && ip address add 10.8.0.1/24 dev a1 && "
    "ip neighbour replace 10.8.0.2 lladdr 02:00:00:00:00:1b dev a1 nud permanent && "
    "ip route add 12.0.0.0/8 via 10.8.0.2";

TEST_CASE("a device that is tried again serves those behind it, whatever became of another device") {
  with_sender([](XdpSender& sender) {
    run(kSecondCable);
    collect("b1", true);
    const UdpSocket socket = test::bound("0.0.0.0:0");
    XdpFanOut fan_out{sender, socket};
    Sniffer sniffer;
    Endpoint far = test::endpoint("12.0.0.1:20000");
    fan_out.set(0, far, {test::endpoint("10.8.0.1:0").ip});  // a1 is the program's first device
    for (std::uint32_t i = 1; i < 6; ++i) fan_out.set(i, numbered(i), from_a0());
    REQUIRE(count_of(fan_out, Detour::none) == 6);
    CHECK(fan_out.send(bytes("x")).sent == 6);
    CHECK(sniffer.take(5).size() == 5);
    // That one goes, and who was behind it.
    fan_out.remove(0);
    run("ip link del a1");
    CHECK(fan_out.send(bytes("x")).sent == 5);
    CHECK(sniffer.take(5).size() == 5);
    sender.doubt();  // a call that the kernel had no memory for, say
    for (int frame = 0; frame < 5; ++frame) {
      CHECK(fan_out.send(bytes("x")).sent == 5);
    }
    CHECK(count_of(fan_out, Detour::none) == 5);
  });
}

TEST_CASE("one of two devices takes nothing any more: those behind it get theirs through the stack") {
  with_sender([](XdpSender& sender) {
    run(kSecondCable);
    collect("b1", true);
    const UdpSocket socket = test::bound("0.0.0.0:0");
    XdpFanOut fan_out{sender, socket};
    for (std::uint32_t i = 0; i < 5; ++i) fan_out.set(i, numbered(i), from_a0());
    for (std::uint32_t i = 5; i < 10; ++i) {
      Endpoint far = test::endpoint("12.0.0.1:20000");
      far.port = static_cast<std::uint16_t>(20000 + i);
      fan_out.set(i, far, {test::endpoint("10.8.0.1:0").ip});
    }
    REQUIRE(count_of(fan_out, Detour::none) == 10);
    CHECK(fan_out.send(bytes("x")).sent == 10);
    collect("b1", false);
    fan_out.send(bytes("x"));
    for (int frame = 0; frame < 20; ++frame) CHECK(fan_out.send(bytes("x")).sent == 10);
    CHECK(count_of(fan_out, Detour::device_refuses) == 5);
  });
}

TEST_CASE("a device that goes down and comes back") {
  with_sender([](XdpSender& sender) {
    const UdpSocket socket = test::bound("0.0.0.0:0");
    XdpFanOut fan_out{sender, socket};
    Sniffer sniffer;
    for (std::uint32_t i = 0; i < 5; ++i) fan_out.set(i, numbered(i), from_a0());
    run("ip link set a0 down");
    CHECK(fan_out.send(bytes("x")).failed == 5);
    CHECK(count_of(fan_out, Detour::none) == 0);
    run("ip link set a0 up && ip neighbour replace 10.9.0.2 lladdr 02:00:00:00:00:0b dev a0 nud permanent && "
        "ip route add 11.0.0.0/8 via 10.9.0.2");
    CHECK(fan_out.send(bytes("x")).sent == 5);
    CHECK(sniffer.take(5).size() == 5);
    CHECK(count_of(fan_out, Detour::none) == 5);
  });
}

TEST_CASE("tables of one sender share its room; who finds none goes through the stack until there is some") {
  with_sender(
      [](XdpSender& sender) {
        const UdpSocket socket = test::bound("10.9.0.1:0");
        auto one = std::make_unique<XdpFanOut>(sender, socket);
        XdpFanOut two{sender, socket};
        Sniffer sniffer;
        for (std::uint32_t i = 0; i < 300; ++i) one->set(i, numbered(i), {});  // both chunks
        for (std::uint32_t i = 0; i < 3; ++i) two.set(i, numbered(1000 + i), {});
        CHECK(count_of(two, Detour::table_full) == 3);
        CHECK(two.send(bytes("x")).sent == 3);
        CHECK(receivers(sniffer.take(3)) == std::multiset<Endpoint>{numbered(1000), numbered(1001), numbered(1002)});
        one.reset();
        CHECK(two.send(bytes("x")).sent == 3);
        CHECK(sniffer.take(3).size() == 3);
        CHECK(count_of(two, Detour::none) == 3);
      },
      {.destinations = 512, .ways = 64});
}

TEST_CASE("a killed process leaves no device and no program") {
  with_sender([](XdpSender&) {
    int report[2];
    REQUIRE(::pipe(report) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      auto sender = XdpSender::open({.destinations = 256, .ways = 1});
      const char ready = sender ? 'y' : 'n';
      if (::write(report[1], &ready, 1) != 1) ::_exit(1);
      while (true) ::pause();
    }
    char ready = 0;
    REQUIRE(::read(report[0], &ready, 1) == 1);
    CHECK(ready == 'y');
    CHECK(if_nametoindex("tiercast1") != 0);  // 0 is this process's own
    // Its program's number: the newest there is that carries the name.
    std::uint32_t program = 0;
    for (std::uint32_t id = 0; bpf_prog_get_next_id(id, &id) == 0;) {
      const Descriptor fd{bpf_prog_get_fd_by_id(id)};
      bpf_prog_info info{};
      std::uint32_t size = sizeof info;
      if (fd && bpf_obj_get_info_by_fd(fd.get(), &info, &size) == 0 && std::strcmp(info.name, "fan_out") == 0)
        program = id;
    }
    CHECK(program != 0);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::close(report[0]);
    ::close(report[1]);
    bool gone = false;
    for (int i = 0; i < 1000 && !gone; ++i) {  // the kernel frees it a little later; 10 s are a bound
      const Descriptor fd{bpf_prog_get_fd_by_id(program)};
      gone = !fd && if_nametoindex("tiercast1") == 0;
      if (!gone) ::usleep(10000);
    }
    CHECK(gone);
  });
}

}  // namespace tiercast::xdp_fan_out_test
