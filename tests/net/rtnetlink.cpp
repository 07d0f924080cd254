#include "relay/net/rtnetlink.hpp"

#include <doctest/doctest.h>
#include <net/if.h>
// Only behind net/if.h, of which it leaves out what that has.
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/neighbour.h>
#include <sys/socket.h>

#include <cstring>

#include "tests/support/seeded_random.hpp"

namespace tiercast::rtnetlink_test {

using namespace tiercast::net;

namespace {

using Buffer = std::vector<std::uint8_t>;

template <class T>
Buffer raw(const T& value) {
  Buffer out(sizeof value);
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}
Buffer operator+(Buffer a, const Buffer& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
Buffer attribute(std::uint16_t type, const Buffer& data) {
  rtattr header{};
  header.rta_type = type;
  header.rta_len = static_cast<std::uint16_t>(sizeof header + data.size());
  Buffer out = raw(header) + data;
  out.resize((out.size() + 3) / 4 * 4);
  return out;
}
Buffer number(std::uint32_t value) { return raw(value); }
IpAddress ip(const char* text) { return parse_endpoint(text)->ip; }

Buffer route_body() {
  rtmsg header{};
  header.rtm_family = AF_INET;
  header.rtm_type = RTN_UNICAST;
  return raw(header) + attribute(RTA_OIF, number(7)) + attribute(RTA_GATEWAY, {192, 0, 2, 1}) +
         attribute(RTA_METRICS, attribute(RTAX_HOPLIMIT, number(9)) + attribute(RTAX_MTU, number(1400)));
}
Buffer neighbour_body(std::uint16_t state) {
  ndmsg header{};
  header.ndm_family = AF_INET;
  header.ndm_ifindex = 7;
  header.ndm_state = state;
  return raw(header) + attribute(NDA_DST, {192, 0, 2, 1}) + attribute(NDA_LLADDR, {2, 0, 0, 0, 0, 9});
}
Buffer link_body() {
  ifinfomsg header{};
  header.ifi_type = ARPHRD_ETHER;
  header.ifi_index = 7;
  header.ifi_flags = IFF_UP | IFF_RUNNING;
  return raw(header) + attribute(IFLA_ADDRESS, {2, 0, 0, 0, 0, 9}) + attribute(IFLA_MTU, number(1500));
}

}  // namespace

TEST_CASE("a route: interface, gateway, MTU, and whether it is a plain way to another machine") {
  const auto route = parse_route(route_body());
  REQUIRE(route);
  CHECK(*route == Route{true, true, 7, ip("192.0.2.1:0"), 1400});
  rtmsg local{};
  local.rtm_family = AF_INET6;
  local.rtm_type = RTN_LOCAL;
  CHECK_FALSE(parse_route(raw(local))->unicast);
  CHECK(parse_route(raw(local))->next_hop == IpAddress{});
  CHECK_FALSE(parse_route(route_body() + attribute(RTA_ENCAP_TYPE, {1, 0}))->plain);
  CHECK_FALSE(parse_route(route_body() + attribute(RTA_MULTIPATH, {}))->plain);
  // A gateway of the other family (RFC 5549).
  Buffer via = raw(std::uint16_t{AF_INET6});
  via.resize(2 + 16, 0xfd);
  CHECK(parse_route(route_body() + attribute(RTA_VIA, via))->next_hop[0] == 0xfd);
  local.rtm_family = AF_BRIDGE;
  CHECK_FALSE(parse_route(raw(local)));
}

TEST_CASE("a neighbour is usable in the states in which the kernel itself uses it") {
  for (const auto& [state, usable] : std::vector<std::pair<int, bool>>{{NUD_REACHABLE, true},
                                                                       {NUD_STALE, true},
                                                                       {NUD_DELAY, true},
                                                                       {NUD_PROBE, true},
                                                                       {NUD_PERMANENT, true},
                                                                       {NUD_NOARP, true},
                                                                       {NUD_INCOMPLETE, false},
                                                                       {NUD_FAILED, false},
                                                                       {NUD_NONE, false}}) {
    const auto neighbour = parse_neighbour(neighbour_body(static_cast<std::uint16_t>(state)));
    REQUIRE(neighbour);
    CHECK(neighbour->usable == usable);
    CHECK(neighbour->permanent == (state == NUD_PERMANENT || state == NUD_NOARP));
    CHECK(neighbour->interface == 7);
    CHECK(neighbour->ip == ip("192.0.2.1:0"));
    CHECK(neighbour->mac == MacAddress{2, 0, 0, 0, 0, 9});
  }
  ndmsg header{};
  header.ndm_family = AF_INET;
  header.ndm_state = NUD_REACHABLE;
  CHECK_FALSE(parse_neighbour(raw(header)));  // no address
  const auto no_mac = parse_neighbour(raw(header) + attribute(NDA_DST, {192, 0, 2, 1}));
  REQUIRE(no_mac);
  CHECK_FALSE(no_mac->usable);
}

TEST_CASE("a link: MAC address, MTU, running") {
  CHECK(*parse_link(link_body()) == Link{7, {2, 0, 0, 0, 0, 9}, 1500, true, true});
  Buffer down = link_body();
  const unsigned up_only = IFF_UP;
  std::memcpy(down.data() + offsetof(ifinfomsg, ifi_flags), &up_only, sizeof up_only);
  CHECK_FALSE(parse_link(down)->running);
}

TEST_CASE("a VLAN's link: its tag, and the device below it, if that is in this namespace") {
  const auto vlan = [](const std::string& kind) {
    const Buffer data = attribute(IFLA_VLAN_ID, {7, 0}) + attribute(IFLA_VLAN_PROTOCOL, {0x81, 0x00});
    return attribute(IFLA_LINKINFO,
                     attribute(IFLA_INFO_KIND, Buffer(kind.begin(), kind.end() + 1)) + attribute(IFLA_INFO_DATA, data));
  };
  const auto link = parse_link(link_body() + attribute(IFLA_LINK, number(3)) + vlan("vlan"));
  REQUIRE(link);
  CHECK(link->tag == VlanTag{0x8100, 7});
  CHECK(link->lower == 3);
  const auto other = parse_link(link_body() + attribute(IFLA_LINK, number(3)) + vlan("veth"));
  REQUIRE(other);
  CHECK(other->tag == VlanTag{});
  CHECK(other->lower == 0);
  const auto elsewhere = parse_link(link_body() + attribute(IFLA_LINK, number(3)) +
                                    attribute(IFLA_LINK_NETNSID, number(0)) + vlan("vlan"));
  REQUIRE(elsewhere);
  CHECK(elsewhere->lower == 0);
}

TEST_CASE("whatever is cut off or damaged is refused or read, never read past") {
  const std::vector<Buffer> bodies{
      route_body(), neighbour_body(NUD_STALE), link_body(),
      link_body() + attribute(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, {'v', 'l', 'a', 'n'}) +
                                                 attribute(IFLA_INFO_DATA, attribute(IFLA_VLAN_ID, {7, 0})))};
  for (const Buffer& body : bodies) {
    for (std::size_t size = 0; size <= body.size(); ++size) {
      const Buffer cut(body.begin(), body.begin() + static_cast<std::ptrdiff_t>(size));  // its end is the memory's
      parse_route(cut);
      parse_neighbour(cut);
      parse_link(cut);
    }
  }
  Buffer bad = route_body();
  bad[sizeof(rtmsg)] = 0xff;  // an attribute longer than all
  CHECK_FALSE(parse_route(bad));
  bad[sizeof(rtmsg)] = 3;  // shorter than its own header
  CHECK_FALSE(parse_route(bad));
  rtmsg family_only{};
  family_only.rtm_family = AF_INET;
  CHECK_FALSE(parse_route(raw(family_only) + attribute(RTA_GATEWAY, {1, 2, 3})));
  test::SeededRandom random{5};
  for (int i = 0; i < 20000; ++i) {
    Buffer damaged = bodies[random.below(bodies.size())];
    for (int k = 0; k < 3; ++k) random.fill(MutableBytes{damaged}.subspan(random.below(damaged.size()), 1));
    parse_route(damaged);
    parse_neighbour(damaged);
    parse_link(damaged);
    Bytes rest{damaged};
    for (int messages = 0; next_message(rest); ++messages) REQUIRE(messages < 100);
  }
}

TEST_CASE("messages are taken off one after another; a wrong length ends it") {
  const Buffer both = link_question(7, 1) + neighbour_question(7, ip("192.0.2.1:0"), 2);
  Bytes rest{both};
  const auto first = next_message(rest);
  REQUIRE(first);
  CHECK(first->type == RTM_GETLINK);
  CHECK(first->sequence == 1);
  const auto second = next_message(rest);
  REQUIRE(second);
  CHECK(second->type == RTM_GETNEIGH);
  CHECK(second->sequence == 2);
  CHECK(parse_neighbour(second->body)->ip == ip("192.0.2.1:0"));
  CHECK(rest.empty());
  CHECK_FALSE(next_message(rest));
  rest = Bytes{both}.first(sizeof(nlmsghdr));
  CHECK_FALSE(next_message(rest));
}

}  // namespace tiercast::rtnetlink_test
