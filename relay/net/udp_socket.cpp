#include "relay/net/udp_socket.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "relay/base/exit_code.hpp"
#include "relay/net/address.hpp"

namespace tiercast::net {
namespace {

bool set(int fd, int level, int option, int value) { return setsockopt(fd, level, option, &value, sizeof value) == 0; }

int get(int fd, int level, int option) {
  int value = 0;
  socklen_t size = sizeof value;
  return getsockopt(fd, level, option, &value, &size) == 0 ? value : 0;
}

/// What every socket of ours does. An IPv6 socket has IPv4's options too, for its mapped peers.
bool set_up(int fd, int family, bool packet_info) {
  bool ok = set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
  if (family == AF_INET6) {
    ok = ok && set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
    if (packet_info) ok = ok && set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  } else if (packet_info) {
    ok = ok && set(fd, IPPROTO_IP, IP_PKTINFO, 1);
  }
  return ok;
}

/// The forced form needs CAP_NET_ADMIN; the plain one is cut to the system's limit.
void size_buffer(int fd, int forced, int plain, int bytes) {
  if (bytes > 0 && !set(fd, SOL_SOCKET, forced, bytes)) set(fd, SOL_SOCKET, plain, bytes);
}

Error refusal(const std::string& what, int error) { return {what + ": " + std::strerror(error), 71}; }

Error bind_refusal(const Endpoint& address, int error) {
  const std::string what = "cannot listen on " + to_string(address) + ": ";
  switch (error) {
    case EADDRINUSE:
      return {what + "the port is in use; end what has it (`ss -ulnp sport = :" + std::to_string(address.port) +
                  "` names it) or choose another",
              71};
    case EADDRNOTAVAIL: return {what + "this machine has no such address; `ip address` lists those it has", 71};
    case EACCES: return {what + "ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher one or grant it", 77};
    default: return {what + std::strerror(error), 71};
  }
}

}  // namespace

int family_of(const Endpoint& endpoint) { return endpoint.is_v4() ? AF_INET : AF_INET6; }

tl::expected<UdpSocket, Error> UdpSocket::open(int family, const SocketOptions& options) {
  Descriptor descriptor{::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP)};
  const int fd = descriptor.get();
  if (!descriptor) {
    if (errno == EAFNOSUPPORT && family == AF_INET6)
      return tl::unexpected(Error{"cannot make an IPv6 socket: IPv6 is off here; use an IPv4 address", 71});
    return tl::unexpected(refusal("cannot make a UDP socket", errno));
  }
  bool ok = set_up(fd, family, options.packet_info);
  if (family == AF_INET6) ok = ok && set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (options.reuse_port) ok = ok && set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  if (options.reuse_address) ok = ok && set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (options.stamps) ok = ok && set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
  if (!ok) return tl::unexpected(refusal("cannot set up a UDP socket", errno));
  if (!options.interface.empty() && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, options.interface.data(),
                                               static_cast<socklen_t>(options.interface.size())) != 0)
    return tl::unexpected(refusal("cannot use interface " + options.interface, errno));
  size_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, options.receive_buffer);
  size_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, options.send_buffer);
  return UdpSocket{std::move(descriptor), family};
}

tl::expected<void, Error> UdpSocket::bind_to(const Endpoint& address, Duration patience) {
  sockaddr_storage storage{};
  const socklen_t size = to_sockaddr(address, family_, storage);
  if (size == 0) return tl::unexpected(bind_refusal(address, EAFNOSUPPORT));
  constexpr Duration kAgain = 20ms;
  while (::bind(fd(), reinterpret_cast<const sockaddr*>(&storage), size) != 0) {
    if (errno != EADDRINUSE || patience < kAgain) return tl::unexpected(bind_refusal(address, errno));
    patience -= kAgain;
    std::this_thread::sleep_for(kAgain);
  }
  wildcard_ = is_unspecified(address.ip);
  return {};
}

tl::expected<UdpSocket, Error> UdpSocket::bind(const Endpoint& address, const SocketOptions& options) {
  auto made = open(family_of(address), options);
  if (!made) return made;
  if (auto bound = made->bind_to(address, options.patience); !bound) return tl::unexpected(bound.error());
  return made;
}

tl::expected<UdpSocket, Error> UdpSocket::connect(const Endpoint& peer, const SocketOptions& options) {
  auto made = open(family_of(peer), options);
  if (!made) return made;
  sockaddr_storage storage{};
  const socklen_t size = to_sockaddr(peer, made->family_, storage);
  if (::connect(made->fd(), reinterpret_cast<const sockaddr*>(&storage), size) != 0)
    return tl::unexpected(Error{"cannot reach " + to_string(peer) + ": " + std::strerror(errno), 69});
  return made;
}

tl::expected<UdpSocket, Error> UdpSocket::adopt(Descriptor descriptor) {
  const auto unfit = [](const std::string& what) { return tl::unexpected(Error{what, ExitCode::config}); };
  const int fd = descriptor.get();
  const int family = get(fd, SOL_SOCKET, SO_DOMAIN);
  if ((family != AF_INET && family != AF_INET6) || get(fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_UDP)
    return unfit("not a UDP socket (ListenDatagram=ADDRESS:PORT)");
  UdpSocket out{std::move(descriptor), family};
  const Endpoint bound = out.local();
  if (bound.port == 0) return unfit("a UDP socket that is not bound");
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0) return unfit("a connected UDP socket");
  out.wildcard_ = is_unspecified(bound.ip);
  if (family == AF_INET6 && out.wildcard_ && get(fd, IPPROTO_IPV6, IPV6_V6ONLY) != 0)
    return unfit(to_string(bound) + " without IPv4, which it takes here (BindIPv6Only=both)");
  const int flags = fcntl(fd, F_GETFL);
  bool ok = flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 && set_up(fd, family, true);
  // systemd's IPTOS= is IPv4's.
  if (family == AF_INET6) ok = ok && set(fd, IPPROTO_IPV6, IPV6_TCLASS, get(fd, IPPROTO_IP, IP_TOS));
  if (!ok) return tl::unexpected(refusal("one that cannot be set up", errno));
  return out;
}

Endpoint UdpSocket::local() const {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (getsockname(fd(), reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  return from_sockaddr(&storage, size).value_or(Endpoint{});
}

int UdpSocket::receive_buffer() const { return get(fd(), SOL_SOCKET, SO_RCVBUF); }
int UdpSocket::send_buffer() const { return get(fd(), SOL_SOCKET, SO_SNDBUF); }

int UdpSocket::busy_poll(unsigned microseconds) const {
  const bool ok = set(fd(), SOL_SOCKET, SO_BUSY_POLL, static_cast<int>(microseconds)) &&
                  set(fd(), SOL_SOCKET, SO_PREFER_BUSY_POLL, microseconds > 0 ? 1 : 0);
  return ok ? 0 : errno;
}

int UdpSocket::send_two(Bytes first, Bytes second, const Endpoint& to, const LocalAddress& from) const {
  sockaddr_storage storage;  // NOLINT: filled below, and zeroing 128 bytes a datagram is felt
  const socklen_t size = to_sockaddr(to, family_, storage);
  if (size == 0) return EAFNOSUPPORT;
  std::array<iovec, 2> parts{{{const_cast<std::uint8_t*>(first.data()), first.size()},
                              {const_cast<std::uint8_t*>(second.data()), second.size()}}};
  msghdr message{};
  message.msg_name = &storage;
  message.msg_namelen = size;
  message.msg_iov = parts.data();
  message.msg_iovlen = second.empty() ? 1 : 2;
  SourceControl control;
  if (wildcard_) write_source(from, family_, control);
  if (control.size > 0) {
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.size;
  }
  return ::sendmsg(fd(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? errno : 0;
}

int UdpSocket::send(Bytes datagram) const {
  return ::send(fd(), datagram.data(), datagram.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? errno : 0;
}

}  // namespace tiercast::net
