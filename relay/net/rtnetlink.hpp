// What the kernel says over NETLINK_ROUTE of routes, neighbours and links, as values, and the questions to it
// (rtnetlink(7)). Pure; every length is checked.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <array>
#include <optional>
#include <vector>

#include "relay/base/endpoint.hpp"
#include "relay/net/xdp_packet.hpp"

namespace tiercast::net {

using IpAddress = std::array<std::uint8_t, 16>;  // IPv4 mapped, as in Endpoint
using MacAddress = std::array<std::uint8_t, 6>;

/// How the kernel would send a datagram.
struct Route {
  bool unicast = false;  // to another machine: not local, broadcast, multicast, prohibited
  bool plain = true;     // no tunnel, no several ways at once
  std::uint32_t interface = 0;
  IpAddress next_hop{};   // a gateway, which may be of the other family; zeros: the destination itself
  std::uint32_t mtu = 0;  // bytes; 0: the interface's
  bool operator==(const Route&) const = default;
};

struct Neighbour {
  std::uint32_t interface = 0;
  IpAddress ip{};
  MacAddress mac{};
  bool usable = false;     // the kernel itself would send to this MAC address now
  bool permanent = false;  // nobody needs to ask again
  bool operator==(const Neighbour&) const = default;
};

struct Link {
  std::uint32_t interface = 0;
  MacAddress mac{};
  std::uint32_t mtu = 0;  // bytes
  bool ethernet = false;
  bool running = false;     // up, and with a carrier
  VlanTag tag{};            // of a VLAN's device: what leaves by it does so by
  std::uint32_t lower = 0;  // this one, with the tag; 0: it is none, or that one is in another namespace
  bool operator==(const Link&) const = default;
};

struct RouteQuestion {
  Endpoint to;
  IpAddress from{};  // zeros: any
  std::uint16_t from_port = 0;
  std::uint32_t interface = 0;  // that the socket is bound to; 0: none
  std::uint32_t mark = 0;       // the socket's
};

// Questions, each one message. The answer has the same sequence number; NLMSG_ERROR: none.

std::vector<std::uint8_t> route_question(const RouteQuestion& question, std::uint32_t sequence);
std::vector<std::uint8_t> neighbour_question(std::uint32_t interface, const IpAddress& ip, std::uint32_t sequence);
std::vector<std::uint8_t> link_question(std::uint32_t interface, std::uint32_t sequence);
struct NetlinkMessage {
  std::uint16_t type = 0;
  std::uint32_t sequence = 0;
  Bytes body;  // after its header
};
/// Takes the first message off `rest`; nullopt: there is none, or what is there is malformed.
std::optional<NetlinkMessage> next_message(Bytes& rest);

// Bodies, of messages of the types named. nullopt: malformed, or not of IPv4, IPv6.

std::optional<Route> parse_route(Bytes body);          // RTM_NEWROUTE
std::optional<Neighbour> parse_neighbour(Bytes body);  // RTM_NEWNEIGH, RTM_DELNEIGH
std::optional<Link> parse_link(Bytes body);            // RTM_NEWLINK, RTM_DELLINK

}  // namespace tiercast::net
