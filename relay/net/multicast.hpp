// IP multicast on one interface: a socket that sends to a group, and one that takes what one sender sends there
// (source-specific, RFC 4607). The interface is a name: it may go down, or away and come again under another index.
// Knows no protocol.
#pragma once

#include <optional>
#include <string>
#include <tl/expected.hpp>

#include "relay/base/counter.hpp"
#include "relay/net/udp_socket.hpp"

namespace tiercast::net {

struct MulticastSendOptions {
  Endpoint group;  // with its port
  std::string interface {};
  std::uint8_t ttl = 1;  // or hop limit
  /// Where it leaves from, which is what receivers join; nullopt or unspecified: the interface's first address of the
  /// group's family. Port 0: any.
  std::optional<Endpoint> from{};
  int send_buffer = 0;  // as in SocketOptions
};

struct MulticastSendCounters {
  Counter sent;
  Counter reattached;  // the interface was found anew
  // Datagrams that were not sent, by why.
  Counter congested;    // EAGAIN, ENOBUFS: the socket's or the device's queue is full
  Counter unreachable;  // the interface is down, away or without an address
  Counter other;
  template <class F>
  void each(F&& f) const {
    f("multicast_sent", sent);
    f("multicast_reattached", reattached);
    f("multicast_drop_congested", congested);
    f("multicast_drop_unreachable", unreachable);
    f("multicast_drop_other", other);
  }
};

/// Receivers on this machine hear it too (IP_MULTICAST_LOOP).
class MulticastSender {
 public:
  /// Error text: "cannot send to GROUP on INTERFACE: …"; exit status 71.
  static tl::expected<MulticastSender, Error> open(const MulticastSendOptions& options);

  // Sending never blocks; 0 or an errno, which is counted. Where the interface is at fault, it is looked for by its
  // name, at most once a second by `now`, and a datagram that finds it is sent.

  int send(Bytes datagram, Time now) { return send_two(datagram, {}, now); }
  /// One datagram of two parts (a frame in its slot, its signature).
  int send_two(Bytes first, Bytes second, Time now);

  const UdpSocket& socket() const { return socket_; }
  const MulticastSendCounters& counters() const { return counters_; }

 private:
  MulticastSender(const MulticastSendOptions& options, UdpSocket socket)
      : group_(options.group), interface_(options.interface), socket_(std::move(socket)) {}
  bool attach_anew(Time now);

  Endpoint group_;
  std::string interface_;
  UdpSocket socket_;
  int index_ = 0;  // of the interface that the socket sends by
  Time next_attempt_{};
  MulticastSendCounters counters_;
};

struct MulticastReceiveOptions {
  Endpoint group;  // with its port
  std::string interface {};
  Endpoint source;         // of the group's family; the port does not matter
  int receive_buffer = 0;  // as in SocketOptions
};

/// Takes what `source` sends to the group, comes in by the interface, and nothing else: the kernel sees to that. Who
/// can send in another's name on that network can so here. Several may receive one group on a machine; each gets a
/// copy.
class MulticastReceiver {
 public:
  /// Joined. Error text: "cannot receive GROUP from SOURCE on INTERFACE: …"; exit status 71.
  static tl::expected<MulticastReceiver, Error> open(const MulticastReceiveOptions& options);

  /// Leaves and joins anew, by the interface that has the name now: tells the network's switches and routers again, and
  /// heals after the interface was away. The socket stays, and so does what is queued in it. After an error it has not
  /// joined; call it again later.
  tl::expected<void, Error> rejoin();

  /// To receive from in a Loop. Its datagrams have no LocalAddress.
  int fd() const { return socket_.fd(); }
  const UdpSocket& socket() const { return socket_; }

 private:
  MulticastReceiver(const MulticastReceiveOptions& options, UdpSocket socket)
      : group_(options.group), interface_(options.interface), source_(options.source), socket_(std::move(socket)) {}
  tl::expected<void, Error> join(int index);
  Error refusal(const std::string& why) const;

  Endpoint group_;
  std::string interface_;
  Endpoint source_;
  UdpSocket socket_;
  int index_ = 0;  // of the interface that it has joined on; 0: none
};

}  // namespace tiercast::net
