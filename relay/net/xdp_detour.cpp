#include "relay/net/xdp_detour.hpp"

#include "relay/net/address.hpp"

namespace tiercast::net {

const char* to_string(Detour detour) {
  switch (detour) {
    case Detour::none: return "none";
    case Detour::link_local: return "link_local";
    case Detour::no_route: return "no_route";
    case Detour::not_unicast: return "not_unicast";
    case Detour::not_plain: return "not_plain";
    case Detour::no_source: return "no_source";
    case Detour::not_ethernet: return "not_ethernet";
    case Detour::device_down: return "device_down";
    case Detour::small_mtu: return "small_mtu";
    case Detour::device_refuses: return "device_refuses";
    case Detour::unresolved: return "unresolved";
    case Detour::table_full: return "table_full";
    case Detour::count_: break;
  }
  return "";
}

Detour judge_route(const Endpoint& to, const IpAddress& source, const std::optional<Route>& route) {
  if (to.scope != 0) return Detour::link_local;
  if (!route || to.port == 0) return Detour::no_route;
  if (!route->unicast) return Detour::not_unicast;
  if (!route->plain || route->interface == 0) return Detour::not_plain;
  if (is_unspecified(source) || Endpoint{source, 0, 0}.is_v4() != to.is_v4()) return Detour::no_source;
  if (route->mtu != 0 && route->mtu < kXdpLeastMtu) return Detour::small_mtu;
  return Detour::none;
}

Detour judge_way(const Link& link, bool device_takes, const Neighbour& neighbour) {
  const bool lower_unknown = link.tag.protocol != 0 && link.lower == 0;
  if ((!link.ethernet || lower_unknown) && link.running) return Detour::not_ethernet;
  if (!link.running) return Detour::device_down;
  if (link.mtu < kXdpLeastMtu) return Detour::small_mtu;
  if (!device_takes) return Detour::device_refuses;
  if (!neighbour.usable) return Detour::unresolved;
  return Detour::none;
}

}  // namespace tiercast::net
