// The connected sockets towards parents: names resolved on a thread of their own, sockets made anew while a parent is
// not found (its address, or ours, may have changed). Decides nothing about parents.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "relay/net/loop.hpp"
#include "relay/net/udp_socket.hpp"
#include "relay/net/wake.hpp"
#include "relay/node/outlet.hpp"

namespace tiercast::node {

struct UplinkSocketCounters {
  Counter datagrams, drop_send, drop_no_socket, resolutions, resolution_failures;
  template <class F>
  void each(F&& f) const {
    f("uplink_datagram", datagrams);
    f("uplink_drop_send", drop_send);
    f("uplink_drop_no_socket", drop_no_socket);
    f("uplink_resolution", resolutions);
    f("uplink_resolution_failed", resolution_failures);
  }
};

class UplinkSockets final : public UplinkOutlet {
 public:
  struct Handlers {
    std::function<void(std::size_t, MutableBytes)> datagram;
    std::function<void(std::size_t)> unreachable;
    std::function<void(std::size_t)> closed = {};  // by close_up(); it is the parents' affair no more
  };
  UplinkSockets(net::Loop& loop, const std::vector<HostPort>& parents, Handlers handlers);
  ~UplinkSockets() override;

  /// 0 or an errno. Begins to resolve and connect. Of each name's addresses one is tried after the other.
  int start();
  /// One more parent, the last one from now on. After start().
  void add(const HostPort& name);
  /// Parent `p` has not been found for a while: its next address, a new socket.
  void refresh(std::size_t p);
  void send_up(std::size_t parent, Bytes datagram) override;
  void close_up(std::size_t parent) override;

  std::optional<Endpoint> address(std::size_t p) const { return parents_[p]->address; }
  const HostPort& name(std::size_t p) const { return parents_[p]->name; }
  /// Why there is no socket; empty: there is one, or it is being made.
  const std::string& problem(std::size_t p) const { return parents_[p]->problem; }
  const UplinkSocketCounters& counters() const { return counters_; }

 private:
  struct Link final : net::DatagramHandler {
    void on_datagram(MutableBytes datagram, const Endpoint&, const LocalAddress&) override;
    void on_error(int error) override;
    UplinkSockets* owner = nullptr;
    std::size_t index = 0;     // now
    std::uint64_t number = 0;  // for ever
    HostPort name;
    std::vector<Endpoint> candidates;
    std::size_t next_candidate = 0;
    std::optional<Endpoint> address;
    std::optional<net::UdpSocket> socket;
    std::string problem;
    bool resolving = false;
  };
  struct Resolution {
    std::uint64_t link = 0;
    HostPort name;
    std::vector<Endpoint> addresses;
    std::string problem;
  };
  Link& append(const HostPort& name);
  void begin(Link& link);
  void connect(Link& link);
  void resolve(Link& link);
  void on_resolved();

  /// Names are looked up by a thread of its own, which may hang in it for as long as the resolver's timeouts last: at
  /// the end it is left alone with what is its own.
  struct Resolver {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<Resolution> asked, answered;
    net::Wake* bell = nullptr;  // none: nobody waits any more
    static void run(const std::shared_ptr<Resolver>& self);
  };

  net::Loop& loop_;
  Handlers handlers_;
  std::vector<std::unique_ptr<Link>> parents_;  // the loop knows where they are
  std::uint64_t links_ = 0;
  UplinkSocketCounters counters_;

  std::unique_ptr<net::Wake> bell_;
  std::shared_ptr<Resolver> resolver_;  // with the first name
};

}  // namespace tiercast::node
