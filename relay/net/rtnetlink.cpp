#include "relay/net/rtnetlink.hpp"

#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/neighbour.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace tiercast::net {
namespace {

constexpr std::size_t aligned(std::size_t size) { return (size + 3) / 4 * 4; }

bool is_v4(const IpAddress& ip) { return Endpoint{ip, 0, 0}.is_v4(); }
Bytes address_bytes(const IpAddress& ip) { return is_v4(ip) ? Bytes{ip}.subspan(12) : Bytes{ip}; }
std::uint8_t family_of(const IpAddress& ip) { return is_v4(ip) ? AF_INET : AF_INET6; }

/// A message that grows.
class Message {
 public:
  template <class Body>
  Message(std::uint16_t type, std::uint16_t flags, std::uint32_t sequence, const Body& body) {
    nlmsghdr header{};
    header.nlmsg_type = type;
    header.nlmsg_flags = flags;
    header.nlmsg_seq = sequence;
    append(&header, sizeof header);
    append(&body, sizeof body);
  }
  void attribute(std::uint16_t type, const void* data, std::size_t size) {
    rtattr header{};
    header.rta_type = type;
    header.rta_len = static_cast<std::uint16_t>(sizeof header + size);
    append(&header, sizeof header);
    append(data, size);
  }
  void attribute(std::uint16_t type, Bytes data) { attribute(type, data.data(), data.size()); }
  void attribute(std::uint16_t type, std::uint32_t number) { attribute(type, &number, sizeof number); }
  std::vector<std::uint8_t> take() {
    const auto size = static_cast<std::uint32_t>(bytes_.size());
    std::memcpy(bytes_.data() + offsetof(nlmsghdr, nlmsg_len), &size, sizeof size);
    return std::move(bytes_);
  }

 private:
  void append(const void* data, std::size_t size) {
    const auto* const from = static_cast<const std::uint8_t*>(data);
    bytes_.insert(bytes_.end(), from, from + size);
    bytes_.resize(aligned(bytes_.size()));
  }
  std::vector<std::uint8_t> bytes_;
};

template <class T>
std::optional<T> read(Bytes from) {
  if (from.size() < sizeof(T)) return std::nullopt;
  T out{};
  std::memcpy(&out, from.data(), sizeof out);
  return out;
}

std::optional<IpAddress> read_address(Bytes from) {
  IpAddress out{};
  if (from.size() == 4) {
    out[10] = out[11] = 0xff;
    std::copy(from.begin(), from.end(), out.begin() + 12);
  } else if (from.size() == 16) {
    std::copy(from.begin(), from.end(), out.begin());
  } else {
    return std::nullopt;
  }
  return out;
}

/// Calls f(type, data) for each; false: malformed.
template <class F>
bool each_attribute(Bytes rest, F f) {
  while (!rest.empty()) {
    const auto header = read<rtattr>(rest);
    if (!header || header->rta_len < sizeof(rtattr) || header->rta_len > rest.size()) return false;
    f(static_cast<std::uint16_t>(header->rta_type & NLA_TYPE_MASK),
      rest.subspan(sizeof(rtattr), header->rta_len - sizeof(rtattr)));
    rest = rest.subspan(std::min(aligned(header->rta_len), rest.size()));
  }
  return true;
}

template <class Body>
std::optional<Bytes> behind(Bytes body) {
  if (body.size() < sizeof(Body)) return std::nullopt;
  return body.subspan(std::min(aligned(sizeof(Body)), body.size()));
}

}  // namespace

std::vector<std::uint8_t> route_question(const RouteQuestion& question, std::uint32_t sequence) {
  const Bytes to = address_bytes(question.to.ip);
  const bool has_source = question.from != IpAddress{} && is_v4(question.from) == question.to.is_v4();
  rtmsg body{};
  body.rtm_family = family_of(question.to.ip);
  body.rtm_dst_len = static_cast<std::uint8_t>(to.size() * 8);
  body.rtm_src_len = has_source ? body.rtm_dst_len : std::uint8_t{0};
  Message out{RTM_GETROUTE, NLM_F_REQUEST, sequence, body};
  out.attribute(RTA_DST, to);
  if (has_source) out.attribute(RTA_SRC, address_bytes(question.from));
  if (question.interface != 0) out.attribute(RTA_OIF, question.interface);
  if (question.mark != 0) out.attribute(RTA_MARK, question.mark);
  // Rules may look at these, and so do several routes at once that share by them.
  const std::uint8_t protocol = IPPROTO_UDP;
  const std::uint16_t from_port = htons(question.from_port);
  const std::uint16_t to_port = htons(question.to.port);
  out.attribute(RTA_IP_PROTO, &protocol, sizeof protocol);
  if (from_port != 0) out.attribute(RTA_SPORT, &from_port, sizeof from_port);
  if (to_port != 0) out.attribute(RTA_DPORT, &to_port, sizeof to_port);
  return out.take();
}

std::vector<std::uint8_t> neighbour_question(std::uint32_t interface, const IpAddress& ip, std::uint32_t sequence) {
  ndmsg body{};
  body.ndm_family = family_of(ip);
  body.ndm_ifindex = static_cast<int>(interface);
  Message out{RTM_GETNEIGH, NLM_F_REQUEST, sequence, body};
  out.attribute(NDA_DST, address_bytes(ip));
  return out.take();
}

std::vector<std::uint8_t> link_question(std::uint32_t interface, std::uint32_t sequence) {
  ifinfomsg body{};
  body.ifi_index = static_cast<int>(interface);
  return Message{RTM_GETLINK, NLM_F_REQUEST, sequence, body}.take();
}

std::optional<NetlinkMessage> next_message(Bytes& rest) {
  const auto header = read<nlmsghdr>(rest);
  if (!header || header->nlmsg_len < sizeof(nlmsghdr) || header->nlmsg_len > rest.size()) return std::nullopt;
  NetlinkMessage out{header->nlmsg_type, header->nlmsg_seq,
                     rest.subspan(sizeof(nlmsghdr), header->nlmsg_len - sizeof(nlmsghdr))};
  rest = rest.subspan(std::min(aligned(header->nlmsg_len), rest.size()));
  return out;
}

std::optional<Route> parse_route(Bytes body) {
  const auto header = read<rtmsg>(body);
  const auto attributes = behind<rtmsg>(body);
  if (!header || !attributes || (header->rtm_family != AF_INET && header->rtm_family != AF_INET6)) return std::nullopt;
  Route out;
  out.unicast = header->rtm_type == RTN_UNICAST;
  bool good = true;
  const auto address = [&good](Bytes data, IpAddress& to) {
    const auto read = read_address(data);
    good = good && read;
    if (read) to = *read;
  };
  good = each_attribute(*attributes,
                        [&](std::uint16_t type, Bytes data) {
                          switch (type) {
                            case RTA_OIF: out.interface = read<std::uint32_t>(data).value_or(0); break;
                            case RTA_GATEWAY: address(data, out.next_hop); break;
                            case RTA_VIA:  // a family, then an address of it
                              if (data.size() < sizeof(std::uint16_t)) {
                                good = false;
                              } else {
                                address(data.subspan(sizeof(std::uint16_t)), out.next_hop);
                              }
                              break;
                            case RTA_METRICS:
                              good = each_attribute(data,
                                                    [&out](std::uint16_t metric, Bytes value) {
                                                      if (metric == RTAX_MTU)
                                                        out.mtu = read<std::uint32_t>(value).value_or(0);
                                                    }) &&
                                     good;
                              break;
                            case RTA_MULTIPATH:
                            case RTA_ENCAP:
                            case RTA_ENCAP_TYPE:
                            case RTA_NEWDST: out.plain = false; break;
                            default: break;
                          }
                        }) &&
         good;
  if (!good) return std::nullopt;
  return out;
}

std::optional<Neighbour> parse_neighbour(Bytes body) {
  const auto header = read<ndmsg>(body);
  const auto attributes = behind<ndmsg>(body);
  if (!header || !attributes || (header->ndm_family != AF_INET && header->ndm_family != AF_INET6)) return std::nullopt;
  Neighbour out;
  out.interface = static_cast<std::uint32_t>(header->ndm_ifindex);
  constexpr std::uint16_t kValid =
      NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY;  // the kernel's own set
  out.permanent = (header->ndm_state & (NUD_PERMANENT | NUD_NOARP)) != 0;
  bool has_ip = false;
  bool has_mac = false;
  const bool good = each_attribute(*attributes, [&](std::uint16_t type, Bytes data) {
    if (type == NDA_DST) {
      if (const auto ip = read_address(data)) {
        out.ip = *ip;
        has_ip = true;
      }
    } else if (type == NDA_LLADDR && data.size() == out.mac.size()) {
      std::copy(data.begin(), data.end(), out.mac.begin());
      has_mac = true;
    }
  });
  if (!good || !has_ip) return std::nullopt;
  out.usable = has_mac && (header->ndm_state & kValid) != 0;
  return out;
}

namespace {
std::optional<VlanTag> parse_vlan(Bytes info) {
  VlanTag out;
  bool is_vlan = false;
  const bool good = each_attribute(info, [&](std::uint16_t type, Bytes data) {
    if (type == IFLA_INFO_KIND) {
      constexpr std::string_view kKind = "vlan";
      is_vlan = data.size() >= kKind.size() && std::equal(kKind.begin(), kKind.end(), data.begin()) &&
                (data.size() == kKind.size() || data[kKind.size()] == 0);
    } else if (type == IFLA_INFO_DATA && is_vlan) {
      each_attribute(data, [&](std::uint16_t what, Bytes value) {
        if (what == IFLA_VLAN_ID) out.id = read<std::uint16_t>(value).value_or(0);
        if (what == IFLA_VLAN_PROTOCOL) out.protocol = ntohs(read<std::uint16_t>(value).value_or(0));
      });
    }
  });
  return good && is_vlan ? std::optional{out} : std::nullopt;
}
}  // namespace

std::optional<Link> parse_link(Bytes body) {
  const auto header = read<ifinfomsg>(body);
  const auto attributes = behind<ifinfomsg>(body);
  if (!header || !attributes) return std::nullopt;
  Link out;
  out.interface = static_cast<std::uint32_t>(header->ifi_index);
  out.running = (header->ifi_flags & IFF_UP) != 0 && (header->ifi_flags & IFF_RUNNING) != 0;
  bool has_mac = false;
  std::uint32_t lower = 0;
  bool elsewhere = false;
  const bool good = each_attribute(*attributes, [&](std::uint16_t type, Bytes data) {
    switch (type) {
      case IFLA_ADDRESS:
        if (data.size() != out.mac.size()) break;
        std::copy(data.begin(), data.end(), out.mac.begin());
        has_mac = true;
        break;
      case IFLA_MTU: out.mtu = read<std::uint32_t>(data).value_or(0); break;
      case IFLA_LINK: lower = read<std::uint32_t>(data).value_or(0); break;
      case IFLA_LINK_NETNSID: elsewhere = true; break;
      case IFLA_LINKINFO: out.tag = parse_vlan(data).value_or(VlanTag{}); break;
      default: break;
    }
  });
  if (!good) return std::nullopt;
  if (out.tag.protocol != 0 && !elsewhere) out.lower = lower;
  out.ethernet = header->ifi_type == ARPHRD_ETHER && has_mac;
  return out;
}

}  // namespace tiercast::net
