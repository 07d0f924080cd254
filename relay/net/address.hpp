// Endpoint and LocalAddress as the kernel's structures and back: sockaddr, and IP_PKTINFO / IPV6_PKTINFO control data.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <ctime>
#include <optional>

#include "relay/base/endpoint.hpp"

namespace tiercast::net {

/// `endpoint` as a socket of `family` (AF_INET or AF_INET6, the latter for IPv4 too: mapped) wants it.
/// 0 where it cannot be told: an IPv6 address for an IPv4 socket.
socklen_t to_sockaddr(const Endpoint& endpoint, int family, sockaddr_storage& out);
/// The same into smaller memory: sockaddr_in for AF_INET, sockaddr_in6 for AF_INET6.
bool to_sockaddr(const Endpoint& endpoint, sockaddr_in& out);
void to_sockaddr(const Endpoint& endpoint, sockaddr_in6& out);

/// IPv4 becomes IPv4-mapped. nullopt: another family, or shorter than its family needs.
std::optional<Endpoint> from_sockaddr(const void* address, std::size_t size);

/// True of 0.0.0.0, [::] and [::ffff:0.0.0.0].
bool is_unspecified(const std::array<std::uint8_t, 16>& ip);
/// 0.0.0.0 or [::], whichever is of that one's family; any port.
Endpoint unspecified(const Endpoint& like);

/// Control data of one datagram to send, naming its source address. Immovable while a msghdr points at it.
struct alignas(cmsghdr) SourceControl {
  std::array<std::uint8_t, CMSG_SPACE(sizeof(in6_pktinfo))> bytes{};
  std::size_t size = 0;  // 0: the kernel chooses
};
/// The interface is left to routing: forcing it would break asymmetric routes; a link-local peer's scope names it.
void write_source(const LocalAddress& from, int family, SourceControl& out);

/// Room for what a received datagram's control data may be.
inline constexpr std::size_t kReceiveControl = CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(timespec));
/// The address a datagram came to; zeros where the control data does not tell. `control` is aligned as cmsghdr.
LocalAddress read_local(const void* control, std::size_t size);
/// When the kernel received it; nullopt where the socket does not ask for that.
std::optional<WallTime> read_stamp(const void* control, std::size_t size);

}  // namespace tiercast::net
