// How an agent's single datagrams leave; fan-out has its own way (forward/fan_out.hpp).
#pragma once

#include "relay/base/endpoint.hpp"
#include "relay/base/types.hpp"

namespace tiercast::node {

/// The public ports; `from` names the socket.
class Outlet {
 public:
  virtual ~Outlet() = default;
  /// `first` ‖ `second` as one datagram (second may be empty). Never blocks; what the kernel refuses is counted there.
  virtual void send(Bytes first, Bytes second, const Endpoint& to, const LocalAddress& from) = 0;
};

/// IP multicast: one datagram for all who take frames that way.
class MulticastOutlet {
 public:
  virtual ~MulticastOutlet() = default;
  /// Never blocks; what the kernel refuses is counted there.
  virtual void send_multicast(Bytes datagram, Time now) = 0;
};

/// The connected sockets towards parents.
class UplinkOutlet {
 public:
  virtual ~UplinkOutlet() = default;
  virtual void send_up(std::size_t parent, Bytes datagram) = 0;
  /// One more parent, the last one from now on: that edge of the operator's list.
  virtual void open_up(std::uint16_t /*edge*/) {}
  /// It is a parent no more; those behind it move up by one.
  virtual void close_up(std::size_t) {}
  /// Nothing comes from it by multicast: have the network told once more that somebody listens.
  virtual void rejoin_multicast(std::size_t) {}
};

}  // namespace tiercast::node
