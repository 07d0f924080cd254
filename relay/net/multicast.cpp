#include "relay/net/multicast.hpp"

#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "relay/net/address.hpp"

namespace tiercast::net {
namespace {

constexpr Duration kAttachEvery = 1s;

int level_of(int family) { return family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP; }

template <class T>
bool set(int fd, int level, int option, const T& value) {
  return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

/// 0 and errno: there is none of this name. Asks by a socket that is there already: it can neither wait nor run out of
/// descriptors.
int index_of(int fd, const std::string& interface) {
  ifreq request{};
  if (interface.empty() || interface.size() >= sizeof request.ifr_name) {
    errno = ENODEV;
    return 0;
  }
  std::copy(interface.begin(), interface.end(), request.ifr_name);
  return ioctl(fd, SIOCGIFINDEX, &request) == 0 ? request.ifr_ifindex : 0;
}

/// An IPv6 address that is only good on its link is bound with that link's index, and a socket would then keep to that
/// interface when another one has its name. AF_UNSPEC takes the interface off, and leaves address and port.
tl::expected<void, Error> bind_to(UdpSocket& socket, Endpoint address, int index) {
  const bool link_local = !address.is_v4() && ((address.ip[0] == 0xfe && (address.ip[1] & 0xc0) == 0x80) ||
                                               (address.ip[0] == 0xff && (address.ip[1] & 0x0f) == 0x02));
  address.scope = link_local ? static_cast<std::uint32_t>(index) : 0;
  if (auto bound = socket.bind_to(address); !bound) return bound;
  sockaddr nobody{};
  nobody.sa_family = AF_UNSPEC;
  if (link_local && ::connect(socket.fd(), &nobody, sizeof nobody) != 0)
    return tl::unexpected(Error{"cannot set up a UDP socket: " + std::string{std::strerror(errno)}, 71});
  return {};
}

bool send_by(const UdpSocket& socket, int index) {
  if (socket.family() == AF_INET6) return set(socket.fd(), IPPROTO_IPV6, IPV6_MULTICAST_IF, index);
  ip_mreqn by{};
  by.imr_ifindex = index;
  return set(socket.fd(), IPPROTO_IP, IP_MULTICAST_IF, by);
}

bool set_up_sending(const UdpSocket& socket, int ttl) {
  const int fd = socket.fd(), hear_oneself = 1;
  if (socket.family() == AF_INET6)
    return set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, ttl) && set(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, hear_oneself);
  return set(fd, IPPROTO_IP, IP_MULTICAST_TTL, ttl) && set(fd, IPPROTO_IP, IP_MULTICAST_LOOP, hear_oneself);
}

/// Without it a socket gets the groups that any other socket of the machine has joined, from any source.
bool take_only_what_is_joined(const UdpSocket& socket) {
  const int all = 0;
  return socket.family() == AF_INET6 ? set(socket.fd(), IPPROTO_IPV6, IPV6_MULTICAST_ALL, all)
                                     : set(socket.fd(), IPPROTO_IP, IP_MULTICAST_ALL, all);
}

bool is_of_interface(int error) {
  switch (error) {
    case ENODEV:
    case ENXIO:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EADDRNOTAVAIL: return true;
    default: return false;
  }
}

std::string why_no_interface(const std::string& interface, int error) {
  if (error != ENODEV) return std::strerror(error);
  return "there is no interface " + interface + "; `ip link` lists those there are";
}

std::string without_port(const Endpoint& address) {
  std::string text = to_string(address);
  text.resize(text.rfind(':'));
  return text;
}

}  // namespace

// --- sending ---

tl::expected<MulticastSender, Error> MulticastSender::open(const MulticastSendOptions& options) {
  const auto refuse = [&](const std::string& why) {
    return tl::unexpected(
        Error{"cannot send to " + to_string(options.group) + " on " + options.interface + ": " + why, 71});
  };
  SocketOptions plain;
  plain.packet_info = false;
  plain.send_buffer = options.send_buffer;
  auto socket = UdpSocket::open(family_of(options.group), plain);
  if (!socket) return tl::unexpected(socket.error());
  const int index = index_of(socket->fd(), options.interface);
  if (index == 0) return refuse(why_no_interface(options.interface, errno));
  if (options.from && !is_unspecified(options.from->ip)) {
    if (family_of(*options.from) != socket->family())
      return refuse(without_port(*options.from) + " is not of the group's family");
    if (const auto bound = bind_to(*socket, *options.from, index); !bound) return refuse(bound.error().text);
  }
  if (!send_by(*socket, index) || !set_up_sending(*socket, options.ttl)) return refuse(std::strerror(errno));
  MulticastSender out{options, std::move(*socket)};
  out.index_ = index;
  return out;
}

int MulticastSender::send_two(Bytes first, Bytes second, Time now) {
  int error = socket_.send_two(first, second, group_, {});
  if (is_of_interface(error) && attach_anew(now)) error = socket_.send_two(first, second, group_, {});
  if (error == 0) {
    counters_.sent.add();
  } else if (is_of_interface(error)) {
    counters_.unreachable.add();
  } else if (error == EAGAIN || error == ENOBUFS) {
    counters_.congested.add();
  } else {
    counters_.other.add();
  }
  return error;
}

/// True: the name is another interface's now, and the socket sends by that one.
bool MulticastSender::attach_anew(Time now) {
  if (now < next_attempt_) return false;
  next_attempt_ = now + kAttachEvery;
  const int index = index_of(socket_.fd(), interface_);
  if (index == 0 || index == index_ || !send_by(socket_, index)) return false;
  index_ = index;
  counters_.reattached.add();
  return true;
}

// --- receiving ---

tl::expected<MulticastReceiver, Error> MulticastReceiver::open(const MulticastReceiveOptions& options) {
  SocketOptions socket_options;
  socket_options.reuse_address = true;
  socket_options.packet_info = false;
  socket_options.stamps = true;
  socket_options.receive_buffer = options.receive_buffer;
  auto socket = UdpSocket::open(family_of(options.group), socket_options);
  if (!socket) return tl::unexpected(socket.error());
  MulticastReceiver out{options, std::move(*socket)};
  if (family_of(options.source) != out.socket_.family())
    return tl::unexpected(out.refusal("the source is not of the group's family"));
  const int index = index_of(out.fd(), options.interface);
  if (index == 0) return tl::unexpected(out.refusal(why_no_interface(options.interface, errno)));
  if (!take_only_what_is_joined(out.socket_)) return tl::unexpected(out.refusal(std::strerror(errno)));
  // Joined before it is bound: at no time does it take what was not asked for.
  if (const auto joined = out.join(index); !joined) return tl::unexpected(joined.error());
  if (const auto bound = bind_to(out.socket_, options.group, index); !bound) return tl::unexpected(bound.error());
  return out;
}

tl::expected<void, Error> MulticastReceiver::rejoin() {
  if (index_ != 0) {
    group_req all{};
    all.gr_interface = static_cast<std::uint32_t>(index_);
    to_sockaddr(group_, socket_.family(), all.gr_group);
    // It fails where the kernel has left already, with the interface. Then there is nothing to leave.
    static_cast<void>(set(fd(), level_of(socket_.family()), MCAST_LEAVE_GROUP, all));
    index_ = 0;
  }
  const int index = index_of(fd(), interface_);
  if (index == 0) return tl::unexpected(refusal(why_no_interface(interface_, errno)));
  return join(index);
}

tl::expected<void, Error> MulticastReceiver::join(int index) {
  group_source_req request{};
  request.gsr_interface = static_cast<std::uint32_t>(index);
  to_sockaddr(group_, socket_.family(), request.gsr_group);
  to_sockaddr(source_, socket_.family(), request.gsr_source);
  if (!set(fd(), level_of(socket_.family()), MCAST_JOIN_SOURCE_GROUP, request)) {
    switch (errno) {
      case ENODEV: return tl::unexpected(refusal("there is no such interface, or it has not this kind of address"));
      case ENOBUFS:
        return tl::unexpected(refusal("too many are joined; see net.ipv4.igmp_max_msf or net.ipv6.mld_max_msf"));
      default: return tl::unexpected(refusal(std::strerror(errno)));
    }
  }
  index_ = index;
  return {};
}

Error MulticastReceiver::refusal(const std::string& why) const {
  return {"cannot receive " + to_string(group_) + " from " + without_port(source_) + " on " + interface_ + ": " + why,
          71};
}

}  // namespace tiercast::net
