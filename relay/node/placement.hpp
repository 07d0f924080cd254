// Where a thread runs and how it waits, as configured: a CPU of its own, busy polling. What the kernel refuses costs no
// frame, so that it is said and counted, and the thread goes on without.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "relay/net/loop.hpp"
#include "relay/net/udp_socket.hpp"

namespace tiercast::node {

struct PlacementCounters {
  Counter cpu_refused, busy_poll_refused;  // each at most once a thread
  template <class F>
  void each(F&& f) const {
    f("thread_cpu_refused", cpu_refused);
    f("thread_busy_poll_refused", busy_poll_refused);
  }
};

/// Binds the calling thread, and those that it starts from then on. `name` is for the log.
void bind_to_cpu(unsigned cpu, const std::string& name, PlacementCounters& counters);

/// `sockets` are those that `loop` receives from. Before its first turn.
void poll_busily(unsigned microseconds, net::Loop& loop, std::span<const net::UdpSocket> sockets,
                 const std::string& name, PlacementCounters& counters);

}  // namespace tiercast::node
