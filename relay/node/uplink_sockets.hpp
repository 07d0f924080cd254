// The sockets towards parents: a connected one each, and one for what a parent sends by IP multicast. Names are
// resolved on a thread of their own, sockets made anew while a parent is not found (its address, or ours, may have
// changed). Decides nothing about parents.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "config/config.hpp"
#include "relay/net/loop.hpp"
#include "relay/net/multicast.hpp"
#include "relay/net/udp_socket.hpp"
#include "relay/net/wake.hpp"
#include "relay/node/known_edges.hpp"
#include "relay/node/outlet.hpp"
#include "relay/node/parent_setup.hpp"

namespace tiercast::node {

inline ParentSetup parent_of(const config::Upstream& upstream) {
  return {upstream.public_key, upstream.multicast.has_value()};
}

/// A parent by the number of its edge, which is in the list.
inline config::Upstream upstream_of(const config::EdgeList& list, std::uint16_t edge) {
  return {list.edges[edge]->address, list.edges[edge]->public_key};
}

inline EdgeKeys keys_of(const config::EdgeList& list) {
  EdgeKeys out;
  for (const auto& edge : list.edges) out.push_back(edge ? std::optional{edge->public_key} : std::nullopt);
  return out;
}

struct UplinkSocketCounters {
  Counter datagrams, multicast_datagrams, multicast_joins, multicast_failures;
  Counter drop_send, drop_no_socket, resolutions, resolution_failures;
  template <class F>
  void each(F&& f) const {
    f("uplink_datagram", datagrams);
    f("uplink_multicast_datagram", multicast_datagrams);  // received
    f("uplink_multicast_join", multicast_joins);          // also those of a group that was joined already
    f("uplink_multicast_join_failed", multicast_failures);
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
    std::function<void(std::size_t, MutableBytes)> multicast;
    std::function<void(std::size_t)> unreachable;
    std::function<void(std::size_t)> closed = {};                // by close_up(); it is the parents' affair no more
    std::function<config::Upstream(std::uint16_t)> opened = {};  // by open_up(): where that edge is
  };
  UplinkSockets(net::Loop& loop, const std::vector<config::Upstream>& parents, Handlers handlers);
  ~UplinkSockets() override;

  /// 0 or an errno. Begins to resolve and connect. Of each name's addresses one is tried after the other.
  int start();
  /// One more parent, the last one from now on. After start().
  void add(const config::Upstream& parent);
  /// Parent `p` has not been found for a while: its next address, a new socket.
  void refresh(std::size_t p);
  void send_up(std::size_t parent, Bytes datagram) override;
  void open_up(std::uint16_t edge) override;
  void close_up(std::size_t parent) override;
  void rejoin_multicast(std::size_t parent) override;

  std::optional<Endpoint> address(std::size_t p) const { return parents_[p]->address; }
  const HostPort& name(std::size_t p) const { return parents_[p]->name; }
  const std::optional<config::MulticastIn>& multicast(std::size_t p) const { return parents_[p]->multicast; }
  /// Why its multicast cannot come; empty: it may.
  const std::string& multicast_problem(std::size_t p) const { return parents_[p]->multicast_problem; }
  /// Why there is no socket; empty: there is one, or it is being made.
  const std::string& problem(std::size_t p) const { return parents_[p]->problem; }
  const UplinkSocketCounters& counters() const { return counters_; }

 private:
  struct Link;
  struct MulticastHandler final : net::DatagramHandler {
    explicit MulticastHandler(Link& of) : link(of) {}
    void on_datagram(MutableBytes datagram, const Endpoint&, const LocalAddress&) override;
    void on_error(int error) override;
    Link& link;
  };
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
    std::optional<config::MulticastIn> multicast;
    MulticastHandler multicast_handler{*this};
    std::optional<net::MulticastReceiver> receiver;
    Endpoint source;  // whose datagrams the receiver takes
    std::string multicast_problem;
  };
  struct Resolution {
    std::uint64_t link = 0;
    HostPort name;
    std::vector<Endpoint> addresses;
    std::string problem;
  };
  Link& append(const config::Upstream& parent);
  void begin(Link& link);
  void connect(Link& link);
  void join_multicast(Link& link);
  void close_multicast(Link& link);
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
