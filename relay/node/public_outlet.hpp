// Single datagrams out of an agent's sockets, one a listen address.
#pragma once

#include <cassert>
#include <span>

#include "relay/base/counter.hpp"
#include "relay/net/udp_socket.hpp"
#include "relay/node/outlet.hpp"

namespace tiercast::node {

struct OutletCounters {
  Counter datagrams, drop_send;
  template <class F>
  void each(F&& f) const {
    f("outlet_datagram", datagrams);
    f("outlet_drop_send", drop_send);
  }
};

class PublicOutlet final : public Outlet {
 public:
  /// `sockets`, by LocalAddress::socket, outlive it; none: a node that serves nobody.
  explicit PublicOutlet(std::span<const net::UdpSocket> sockets) : sockets_(sockets) {}
  void send(Bytes first, Bytes second, const Endpoint& to, const LocalAddress& from) override {
    if (sockets_.empty()) return;
    assert(from.socket < sockets_.size());
    const net::UdpSocket& socket = sockets_[from.socket];
    // ECONNREFUSED is an earlier datagram's ICMP answer, told to whoever sends next: this one deserves its try.
    int error = socket.send_two(first, second, to, from);
    if (error == ECONNREFUSED) error = socket.send_two(first, second, to, from);
    (error == 0 ? counters_.datagrams : counters_.drop_send).add();
  }
  const OutletCounters& counters() const { return counters_; }

 private:
  std::span<const net::UdpSocket> sockets_;
  OutletCounters counters_;
};

}  // namespace tiercast::node
