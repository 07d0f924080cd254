// The eBPF program with real packets over a cable of two virtual devices: what it counts and drops, and what goes up.
#include "relay/measure/load_counter.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <functional>
#include <vector>

#include "relay/base/bytes.hpp"
#include "tests/net/network_namespace.hpp"

namespace tiercast::measure::load_counter_test {
namespace {

using Packet = std::vector<std::uint8_t>;

constexpr const char* kCable =
    "ip link add a0 type veth peer name b0 && sysctl -qw net.ipv6.conf.a0.disable_ipv6=1 "
    "net.ipv6.conf.b0.disable_ipv6=1 "
    "&& ip link set a0 up && ip link set b0 up";
constexpr std::uint32_t kGroup = 0x010203;

/// A packet, right until a test changes it.
struct Sent {
  std::uint16_t ethertype = 0;  // by the addresses
  Endpoint from, to;
  std::uint8_t protocol = 17, type = 0x20, flags = 0;
  std::uint16_t fragment = 0;  // IPv4's flags and offset
  std::size_t options = 0;     // bytes of the IPv4 header
  std::size_t padding = 0;     // behind it all, as Ethernet's
  std::uint32_t group = kGroup;
  std::uint64_t sequence = 1;
  std::size_t size = 60;             // of the payload
  std::optional<std::uint16_t> udp;  // its length field, if that lies

  Packet bytes() const {
    const bool v4 = from.is_v4();
    Packet out(14);
    const auto number = [&](std::size_t bytes, std::uint64_t value) {
      for (std::size_t i = bytes; i-- > 0;) out.push_back(static_cast<std::uint8_t>(value >> 8 * i));
    };
    const auto append = [&](const Endpoint& e) { out.insert(out.end(), e.ip.begin() + (v4 ? 12 : 0), e.ip.end()); };
    const std::uint16_t kind = ethertype != 0 ? ethertype : v4 ? 0x0800 : 0x86dd;
    out[0] = 0x02;
    out[6] = 0x02;
    out[12] = static_cast<std::uint8_t>(kind >> 8);
    out[13] = static_cast<std::uint8_t>(kind);
    if (v4) {
      number(2, 0x4500 | (5 + options / 4) << 8);
      number(2, 20 + options + 8 + size);
      number(2, 0);
      number(2, fragment);
      number(2, 0x4000 | protocol);
      number(2, 0);
    } else {
      number(4, 0x60000000);
      number(2, 8 + size);
      number(2, static_cast<std::uint64_t>(protocol) << 8 | 64);
    }
    append(from);
    append(to);
    out.insert(out.end(), v4 ? options : 0, 1);
    number(2, from.port);
    number(2, to.port);
    number(2, udp.value_or(static_cast<std::uint16_t>(8 + size)));
    number(2, 0);
    const std::size_t payload = out.size();
    number(1, type);
    number(1, flags);
    number(1, 1);
    number(3, group);
    number(4, 100);
    number(6, sequence);
    out.resize(payload + size + padding);
    return out;
  }
};

class Cable {
 public:
  Cable() : in_(open("a0")), out_(open("b0")) {}
  void send(const Packet& packet) { REQUIRE(::send(in_.get(), packet.data(), packet.size(), 0) > 0); }
  /// Whether it came out at the far end: one behind it always does.
  bool passes(const Packet& packet) {
    send(packet);
    Packet last(60);
    store_be<2>(&last[12], 0x88b5);  // for experiments (IEEE 802)
    last[20] = ++number_;
    send(last);
    bool passed = false;
    while (true) {
      pollfd ready{out_.get(), POLLIN, 0};
      REQUIRE(::poll(&ready, 1, 5000) == 1);
      Packet got(2000);
      const ssize_t size = ::recv(out_.get(), got.data(), got.size(), 0);
      REQUIRE(size > 0);
      got.resize(static_cast<std::size_t>(size));
      if (load_be<2>(&got[12]) == 0x88b5 && got[20] == number_) return passed;
      passed = passed || got == packet;
    }
  }

 private:
  static net::Descriptor open(const char* interface) {
    net::Descriptor out{::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL))};
    sockaddr_ll at{};
    at.sll_family = AF_PACKET;
    at.sll_protocol = htons(ETH_P_ALL);
    at.sll_ifindex = static_cast<int>(if_nametoindex(interface));
    REQUIRE(::bind(out.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
    return out;
  }
  net::Descriptor in_, out_;
  std::uint8_t number_ = 0;
};

LoadCounterSetup setup(bool v4) {
  LoadCounterSetup out;
  out.interface = "b0";
  out.edge = *parse_endpoint(v4 ? "10.0.0.9:4800" : "[fd00::9]:4800");
  out.first = *parse_endpoint(v4 ? "10.64.0.255:4900" : "[fd64::ffff]:4900");  // the next has a carry
  out.listeners = 3;
  out.group = kGroup;
  return out;
}

Sent to_listener(const LoadCounterSetup& setup, std::uint32_t listener) {
  Sent out;
  out.from = setup.edge;
  out.to = setup.first;
  store_be<8>(out.to.ip.data() + 8, load_be<8>(out.to.ip.data() + 8) + listener);
  return out;
}

void counts(bool v4) {
  const LoadCounterSetup how = setup(v4);
  auto counter = LoadCounter::attach(how);
  REQUIRE_MESSAGE(counter, (counter ? "" : counter.error().text));
  CHECK((*counter)->native());
  const std::span<load_account> accounts = (*counter)->accounts();
  REQUIRE(accounts.size() == 3);
  Cable cable;

  // Its own it counts, each listener's by itself, and keeps.
  for (std::uint64_t sequence : {0x010203040506ULL, 0x010203040507ULL, 0x010203040509ULL, 0x010203040507ULL}) {
    Sent frame = to_listener(how, 1);
    frame.sequence = sequence;
    CHECK_FALSE(cable.passes(frame.bytes()));
  }
  CHECK(accounts[1].first == 0x010203040506ULL);
  CHECK(accounts[1].last == 0x010203040509ULL);
  CHECK(accounts[1].frames == 3);
  CHECK(accounts[1].lost == 1);
  CHECK(accounts[1].twice == 1);
  Sent jump = to_listener(how, 1);
  jump.sequence = 0x010203050000ULL;
  jump.flags = 2;
  CHECK_FALSE(cable.passes(jump.bytes()));
  CHECK(accounts[1].jumped == 0x050000 - 0x040509 - 1);
  CHECK(accounts[1].lost == 1);

  Sent least = to_listener(how, 0), longest = to_listener(how, 0), padded = to_listener(how, 0);
  least.size = 32;
  longest.size = 1112;
  longest.sequence = 2;
  padded.sequence = 3;
  padded.padding = 9;
  for (const Sent& frame : {least, longest, padded}) CHECK_FALSE(cable.passes(frame.bytes()));
  Sent attest = to_listener(how, 0), idle = to_listener(how, 0);
  attest.type = 0x22;
  attest.size = 97;
  idle.type = 0x23;
  idle.size = 16;
  CHECK_FALSE(cable.passes(attest.bytes()));
  CHECK_FALSE(cable.passes(idle.bytes()));
  CHECK(accounts[0].frames == 3);
  CHECK(accounts[0].lost == 0);
  CHECK(accounts[0].attests == 1);
  CHECK(accounts[0].idles == 1);

  // A sampled one's are counted, and go up.
  accounts[2].flags = LOAD_PASS;
  CHECK(cable.passes(to_listener(how, 2).bytes()));
  CHECK(accounts[2].frames == 1);
  CHECK(accounts[2].flags == LOAD_PASS);

  // Nothing else is touched.
  const std::vector<load_account> before{accounts.begin(), accounts.end()};
  const auto passes = [&](const char* what, const std::function<void(Sent&)>& change) {
    Sent sent = to_listener(how, 1);
    sent.sequence = 0x010203050001ULL;
    change(sent);
    CHECK_MESSAGE(cable.passes(sent.bytes()), std::string{what});
  };
  for (const int type : {0x01, 0x02, 0x03, 0x04, 0x10, 0x21, 0x24, 0x3f})
    passes("another type", [&](Sent& s) { s.type = static_cast<std::uint8_t>(type); });
  passes("too short for a frame", [](Sent& s) { s.size = 31; });
  passes("too short for an attestation", [](Sent& s) {
    s.type = 0x22;
    s.size = 96;
  });
  passes("no IDLE's length", [](Sent& s) {
    s.type = 0x23;
    s.size = 17;
  });
  passes("sequence 0", [](Sent& s) { s.sequence = 0; });
  passes("another group", [](Sent& s) { ++s.group; });
  passes("from another address", [](Sent& s) { s.from.ip[15] ^= 1; });
  passes("from another port", [](Sent& s) { ++s.from.port; });
  passes("to another port", [](Sent& s) { ++s.to.port; });
  passes("to one below the first", [&](Sent& s) { s.to = to_listener(how, ~0U).to; });
  passes("to one behind the last", [&](Sent& s) { s.to = to_listener(how, 3).to; });
  passes("to one far off", [v4](Sent& s) { s.to.ip[v4 ? 12 : 0] ^= 1; });
  passes("no UDP", [](Sent& s) { s.protocol = 6; });
  passes("of another ethertype", [](Sent& s) { s.ethertype = 0x0806; });
  Sent in_vlan = to_listener(how, 1);
  in_vlan.ethertype = 0x8100;
  cable.passes(in_vlan.bytes());  // without its tag, which the kernel takes off: only that it was not counted is seen
  passes("a UDP length beyond the packet's end", [](Sent& s) { s.udp = 8 + 61; });
  passes("a UDP length of less than its header", [](Sent& s) { s.udp = 7; });
  passes("shorter than a header of 16 bytes", [](Sent& s) { s.size = 16 + 8 - 9; });
  if (v4) {
    passes("the first fragment", [](Sent& s) { s.fragment = 0x2000; });
    passes("with IP options", [](Sent& s) { s.options = 40; });
    passes("a later fragment", [](Sent& s) { s.fragment = 0x0010; });
  }
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(accounts[i].frames == before[i].frames);
    CHECK(accounts[i].attests == before[i].attests);
    CHECK(accounts[i].idles == before[i].idles);
  }
  if (v4) {
    Sent whole = to_listener(how, 1);
    whole.fragment = 0x4000;  // "don't fragment"
    whole.sequence = 0x010203050001ULL;
    CHECK_FALSE(cable.passes(whole.bytes()));
    CHECK(accounts[1].frames == before[1].frames + 1);
  }
  counter->reset();
  CHECK(cable.passes(to_listener(how, 1).bytes()));  // detached
}

TEST_CASE("it counts the edge's frames to the listeners, and lets everything else go up") {
  for (const bool v4 : {true, false}) test::in_network_namespace({kCable}, [v4] { counts(v4); });
}

TEST_CASE("loopback has no driver of its own: counted in generic mode") {
  test::in_network_namespace({}, [] {
    LoadCounterSetup how = setup(true);
    how.interface = "lo";
    const auto counter = LoadCounter::attach(how);
    REQUIRE_MESSAGE(counter, (counter ? "" : counter.error().text));
    CHECK_FALSE((*counter)->native());
  });
}

TEST_CASE("what cannot be is refused with what to do") {
  test::in_network_namespace({kCable}, [] {
    LoadCounterSetup how = setup(true);
    how.interface = "none";
    const auto none = LoadCounter::attach(how);
    REQUIRE_FALSE(none);
    CHECK(none.error().exit_code == 64);
    CHECK(none.error().text == "--count-on none: no such interface; `ip link` lists those there are");
    how.interface = "b0";
    const auto first = LoadCounter::attach(how);
    REQUIRE(first);
    const auto second = LoadCounter::attach(how);
    REQUIRE_FALSE(second);
    CHECK(second.error().exit_code == 71);
    CHECK(second.error().text.find("another XDP program is there") != std::string::npos);
  });
}

}  // namespace
}  // namespace tiercast::measure::load_counter_test
