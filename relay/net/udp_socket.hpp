// A UDP socket: made, bound, sending. What it receives comes through the Loop. Knows no protocol.
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "relay/base/endpoint.hpp"
#include "relay/net/descriptor.hpp"
#include "relay/net/error.hpp"

namespace tiercast::net {

/// Every socket is non-blocking and close-on-exec, sends with IP_MTU_DISCOVER=DO (never a fragment, and 6 to 12 %
/// cheaper), and as [::] takes IPv4 too.
struct SocketOptions {
  bool reuse_port = false;
  bool reuse_address = false;  // of a multicast group: every socket that is bound to it gets a copy
  bool packet_info = true;     // received datagrams tell the address they came to
  /// They tell when the kernel received them (Loop::stamp()). While any socket does, every datagram that the machine
  /// receives takes some 40 ns more.
  bool stamps = false;
  /// Bytes of payload and its overhead in the kernel; beyond net.core.{r,w}mem_max only with CAP_NET_ADMIN, else as
  /// much as is allowed. 0: the system's.
  int receive_buffer = 0;
  int send_buffer = 0;
  std::string interface {};  // SO_BINDTODEVICE; empty: any
  /// bind() waits so long for a port that is in use: a process that was killed may be gone before its io_uring has let
  /// go of its sockets.
  Duration patience{0};
};

class UdpSocket {
 public:
  /// An unbound socket for addresses of `family`, with its options set.
  static tl::expected<UdpSocket, Error> open(int family, const SocketOptions& options);
  /// Port 0: any. Error text: "cannot listen on ADDRESS: …"; exit status 71.
  static tl::expected<UdpSocket, Error> bind(const Endpoint& address, const SocketOptions& options);
  /// On a port of its own, taking datagrams of `peer` only; ICMP errors come as errno (69 where there is no route).
  static tl::expected<UdpSocket, Error> connect(const Endpoint& peer, const SocketOptions& options);

  /// A socket that a service manager made and bound, set up like one from open() but for its buffers; its other options
  /// are left as they are. Error text: what it is instead of that ("not a UDP socket"); exit status 78, or 71.
  static tl::expected<UdpSocket, Error> adopt(Descriptor descriptor);

  /// Binds what open() made.
  tl::expected<void, Error> bind_to(const Endpoint& address, Duration patience = {});

  int fd() const { return descriptor_.get(); }
  int family() const { return family_; }
  /// Bound to 0.0.0.0 or [::]: only then is a source address chosen per datagram.
  bool is_wildcard() const { return wildcard_; }
  /// The address it is bound to, with the port that it got.
  Endpoint local() const;
  /// Bytes that the kernel granted (as it counts them: twice what was asked for).
  int receive_buffer() const;
  int send_buffer() const;

  /// Its device is asked for so many microseconds where it would be waited for, and rather so than by interrupts. 0 or
  /// an errno: EPERM without CAP_NET_ADMIN.
  int busy_poll(unsigned microseconds) const;

  // Sending never blocks; 0 or an errno.

  /// `from`: the address to leave from, where the socket is a wildcard; zeros: routing's choice.
  int send(Bytes datagram, const Endpoint& to, const LocalAddress& from) const {
    return send_two(datagram, {}, to, from);
  }
  /// One datagram of two parts (a frame in its slot, a link's MAC).
  int send_two(Bytes first, Bytes second, const Endpoint& to, const LocalAddress& from) const;
  /// To the connected peer.
  int send(Bytes datagram) const;

 private:
  UdpSocket(Descriptor descriptor, int family) : descriptor_(std::move(descriptor)), family_(family) {}
  Descriptor descriptor_;
  int family_;
  bool wildcard_ = false;
};

/// AF_INET or AF_INET6, whichever a socket for `endpoint` is of.
int family_of(const Endpoint& endpoint);

}  // namespace tiercast::net
