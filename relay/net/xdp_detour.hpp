// Whether a destination can be sent to below the network stack, or why it takes the detour through it. Pure.
#pragma once

#include <optional>

#include "relay/net/rtnetlink.hpp"

namespace tiercast::net {

/// In the order of looking.
enum class Detour : std::uint8_t {
  none,
  link_local,      // an address that is only good with an interface
  no_route,        // the stack says so better
  not_unicast,     // this machine itself, broadcast, multicast, prohibited
  not_plain,       // a tunnel, several routes at once
  no_source,       // the address to leave from is routing's choice
  not_ethernet,    // the device
  device_down,     // or gone, or without a carrier
  small_mtu,       // the device's or the route's: below what any payload of ours needs
  device_refuses,  // its driver cannot, or not now: asked again from time to time
  unresolved,      // the next hop's MAC address is not known
  table_full,      // the program's, or its list of ways or devices
  count_,
};
const char* to_string(Detour detour);

/// 1,280 bytes: no packet of ours is larger, so that nothing ever needs a fragment.
inline constexpr std::uint32_t kXdpLeastMtu = 1280;

/// Of a destination's route. `to` with the zone of its address; `source`: the address to leave from.
Detour judge_route(const Endpoint& to, const IpAddress& source, const std::optional<Route>& route);
/// Of the way that it names.
Detour judge_way(const Link& link, bool device_takes, const Neighbour& neighbour);

}  // namespace tiercast::net
