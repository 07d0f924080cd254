#include "relay/net/address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

namespace tiercast::net {
namespace {

constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

void map_v4(const in_addr& from, std::array<std::uint8_t, 16>& to) {
  std::copy(kMapped.begin(), kMapped.end(), to.begin());
  std::memcpy(to.data() + kMapped.size(), &from, sizeof from);
}

template <class Info>
void write_info(const Info& info, int level, int type, SourceControl& out) {
  cmsghdr header{};
  header.cmsg_level = level;
  header.cmsg_type = type;
  header.cmsg_len = CMSG_LEN(sizeof info);
  std::memcpy(out.bytes.data(), &header, sizeof header);
  std::memcpy(out.bytes.data() + CMSG_LEN(0), &info, sizeof info);
  out.size = CMSG_SPACE(sizeof info);
}

}  // namespace

bool to_sockaddr(const Endpoint& endpoint, sockaddr_in& out) {
  if (!endpoint.is_v4()) return false;
  out = {};
  out.sin_family = AF_INET;
  out.sin_port = htons(endpoint.port);
  std::memcpy(&out.sin_addr, endpoint.ip.data() + kMapped.size(), sizeof out.sin_addr);
  return true;
}

void to_sockaddr(const Endpoint& endpoint, sockaddr_in6& out) {
  out = {};
  out.sin6_family = AF_INET6;
  out.sin6_port = htons(endpoint.port);
  out.sin6_scope_id = endpoint.scope;
  std::memcpy(&out.sin6_addr, endpoint.ip.data(), sizeof out.sin6_addr);
}

socklen_t to_sockaddr(const Endpoint& endpoint, int family, sockaddr_storage& out) {
  if (family == AF_INET6) {
    to_sockaddr(endpoint, reinterpret_cast<sockaddr_in6&>(out));
    return sizeof(sockaddr_in6);
  }
  return to_sockaddr(endpoint, reinterpret_cast<sockaddr_in&>(out)) ? socklen_t{sizeof(sockaddr_in)} : 0;
}

std::optional<Endpoint> from_sockaddr(const void* address, std::size_t size) {
  sa_family_t family = AF_UNSPEC;
  if (size < sizeof family) return std::nullopt;
  std::memcpy(&family, address, sizeof family);
  Endpoint out;
  if (family == AF_INET && size >= sizeof(sockaddr_in)) {
    sockaddr_in v4{};
    std::memcpy(&v4, address, sizeof v4);
    map_v4(v4.sin_addr, out.ip);
    out.port = ntohs(v4.sin_port);
    return out;
  }
  if (family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, address, sizeof v6);
    std::memcpy(out.ip.data(), &v6.sin6_addr, out.ip.size());
    out.port = ntohs(v6.sin6_port);
    out.scope = v6.sin6_scope_id;
    return out;
  }
  return std::nullopt;
}

bool is_unspecified(const std::array<std::uint8_t, 16>& ip) {
  const auto zero = [](std::uint8_t byte) { return byte == 0; };
  return std::all_of(ip.begin() + kMapped.size(), ip.end(), zero) &&
         (std::all_of(ip.begin(), ip.begin() + kMapped.size(), zero) ||
          std::equal(kMapped.begin(), kMapped.end(), ip.begin()));
}

Endpoint unspecified(const Endpoint& like) {
  Endpoint out;
  if (like.is_v4()) std::copy_n(like.ip.begin(), 12, out.ip.begin());
  return out;
}

void write_source(const LocalAddress& from, int family, SourceControl& out) {
  out.size = 0;
  if (is_unspecified(from.ip)) return;
  const bool v4 = std::equal(kMapped.begin(), kMapped.end(), from.ip.begin());
  if (family == AF_INET6) {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, from.ip.data(), sizeof info.ipi6_addr);
    write_info(info, IPPROTO_IPV6, IPV6_PKTINFO, out);
  } else if (v4) {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, from.ip.data() + kMapped.size(), sizeof info.ipi_spec_dst);
    write_info(info, IPPROTO_IP, IP_PKTINFO, out);
  }
}

LocalAddress read_local(const void* control, std::size_t size) {
  LocalAddress out;
  msghdr message{};
  message.msg_control = const_cast<void*>(control);
  message.msg_controllen = size;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO && c->cmsg_len >= CMSG_LEN(sizeof(in_pktinfo))) {
      in_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      map_v4(info.ipi_spec_dst, out.ip);  // of a multicast datagram this is the interface's own address
      out.interface = static_cast<std::uint32_t>(info.ipi_ifindex);
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO &&
               c->cmsg_len >= CMSG_LEN(sizeof(in6_pktinfo))) {
      in6_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      if (IN6_IS_ADDR_MULTICAST(&info.ipi6_addr)) continue;  // no source address to answer from
      std::memcpy(out.ip.data(), &info.ipi6_addr, out.ip.size());
      out.interface = info.ipi6_ifindex;
    }
  }
  return out;
}

std::optional<WallTime> read_stamp(const void* control, std::size_t size) {
  msghdr message{};
  message.msg_control = const_cast<void*>(control);
  message.msg_controllen = size;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS || c->cmsg_len < CMSG_LEN(sizeof(timespec)))
      continue;
    timespec stamp{};
    std::memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
    return WallTime{std::chrono::seconds{stamp.tv_sec} + std::chrono::microseconds{stamp.tv_nsec / 1000}};
  }
  return std::nullopt;
}

}  // namespace tiercast::net
