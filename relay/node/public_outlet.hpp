// Single datagrams out of one of the public port's sockets.
#pragma once

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
  /// `socket` outlives it; null: a node that serves nobody.
  explicit PublicOutlet(const net::UdpSocket* socket) : socket_(socket) {}
  void send(Bytes first, Bytes second, const Endpoint& to, const LocalAddress& from) override {
    if (socket_ == nullptr) return;
    // ECONNREFUSED is an earlier datagram's ICMP answer, told to whoever sends next: this one deserves its try.
    int error = socket_->send_two(first, second, to, from);
    if (error == ECONNREFUSED) error = socket_->send_two(first, second, to, from);
    (error == 0 ? counters_.datagrams : counters_.drop_send).add();
  }
  const OutletCounters& counters() const { return counters_; }

 private:
  const net::UdpSocket* socket_;
  OutletCounters counters_;
};

}  // namespace tiercast::node
