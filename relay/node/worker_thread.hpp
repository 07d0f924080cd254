// A worker's thread: its io_uring, its sockets, its ends of the rings. Carries bytes, time and commands; decides
// nothing.
#pragma once

#include <atomic>
#include <thread>

#include "relay/net/loop.hpp"
#include "relay/net/multicast.hpp"
#include "relay/net/sendmmsg_fan_out.hpp"
#include "relay/net/wake.hpp"
#include "relay/net/xdp_fan_out.hpp"
#include "relay/node/placement.hpp"
#include "relay/node/public_outlet.hpp"
#include "relay/node/worker.hpp"

namespace tiercast::node {

/// What sends to a node's listeners, and why that.
struct Backend {
  bool xdp = false;  // or sendmmsg
  std::string why;   // not the other one
};
constexpr const char* to_text(const Backend& backend) { return backend.xdp ? "xdp" : "sendmmsg"; }

class WorkerThread final : private net::DatagramHandler, private MulticastOutlet, private forward::FanOutMaker {
 public:
  struct Setup {
    Lane lane;
    std::uint16_t boot_tag = 0;
    std::uint32_t max_leases = 0;
    const crypto::MacKey* token_key = nullptr;
    net::Wake* feed_bell = nullptr;
    double spread = 0;             // see Worker::Setup
    bool sends_multicast = false;  // this thread or another one of the node
    std::optional<unsigned> cpu{};
    unsigned busy_poll = 0;  // µs
  };
  /// `sockets`: one a listen address; bound, steered and filtered. `multicast`: at one of a node's threads, which sends
  /// for all. Starts nothing yet.
  /// `xdp`: its part of the backend below the stack; null: sendmmsg sends.
  static tl::expected<std::unique_ptr<WorkerThread>, net::Error> create(const Setup& setup,
                                                                        std::vector<net::UdpSocket> sockets,
                                                                        std::optional<net::MulticastSender> multicast,
                                                                        std::unique_ptr<net::XdpSender> xdp);
  ~WorkerThread() override;

  void start();
  /// Ends the thread after the turn under way.
  void stop();
  void wake() { bell_->signal(); }

  SpscRing<Command>& commands() { return commands_; }
  SpscRing<Report>& reports() { return reports_; }
  control::LeaseSecrets& secrets() { return secrets_; }

  // Read by the feed while the thread runs.
  /// It has ended although nobody stopped it: a socket or its ring is unusable.
  bool failed() const { return failed_.load(std::memory_order_acquire); }
  std::uint64_t turns() const { return loop_.counters().turns.get(); }
  const Worker& worker() const { return *worker_; }
  const PlacementCounters& placement_counters() const { return placement_counters_; }
  const OutletCounters& outlet_counters() const { return outlet_.counters(); }
  const net::LoopCounters& loop_counters() const { return loop_.counters(); }
  const net::FanOutCounters& fan_out_counters() const { return fan_out_counters_; }
  /// Calls f(name, counter) for each of the xdp backend's.
  template <class F>
  void each_xdp_counter(F&& f) const {
    if (!xdp_) return;
    xdp_counters_.each(f);
    xdp_->counters().each(f);
    xdp_->program_counters().each(f);
    xdp_->neighbour_counters().each(f);
  }
  /// Listeners, by how they are reached, see XdpFanOutCounters; null: by sendmmsg, all of them.
  const std::array<Counter, static_cast<std::size_t>(net::Detour::count_)>* reached() const {
    return xdp_ ? &xdp_counters_.reached : nullptr;
  }
  /// Null: it sends none.
  const net::MulticastSendCounters* multicast_counters() const {
    return multicast_ ? &multicast_->counters() : nullptr;
  }
  std::span<const net::UdpSocket> sockets() const { return sockets_; }

 private:
  WorkerThread(const Setup& setup, std::vector<net::UdpSocket> sockets, std::optional<net::MulticastSender> multicast,
               std::unique_ptr<net::XdpSender> xdp, net::Loop loop, std::unique_ptr<net::Wake> bell);
  void on_datagram(MutableBytes datagram, const Endpoint& from, const LocalAddress& local) override;
  void on_error(int error) override;
  void send_multicast(Bytes datagram, Time now) override { multicast_->send(datagram, now); }
  std::vector<std::unique_ptr<forward::FanOut>> make_fan_outs() override;
  void run();
  void fail();
  bool obey();
  void send_some();
  template <class Sends>
  void measure(Sends sends);

  const std::vector<net::UdpSocket> sockets_;
  const std::string name_;  // in the log
  const std::optional<unsigned> cpu_;
  net::Loop loop_;
  std::unique_ptr<net::Wake> bell_;
  net::Wake* feed_bell_;
  SpscRing<Command> commands_;
  SpscRing<Report> reports_;
  control::LeaseSecrets secrets_;
  PublicOutlet outlet_;
  PlacementCounters placement_counters_;
  net::FanOutCounters fan_out_counters_;
  net::XdpFanOutCounters xdp_counters_;
  std::unique_ptr<net::XdpSender> xdp_;
  std::optional<net::MulticastSender> multicast_;
  std::unique_ptr<Worker> worker_;
  Time now_;
  Time obey_until_;
  std::atomic<bool> stop_{false}, failed_{false};
  std::thread thread_;
};

}  // namespace tiercast::node
