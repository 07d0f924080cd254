#include "relay/node/placement.hpp"

#include <sched.h>

#include <cerrno>
#include <cstring>

#include "relay/ops/log.hpp"

namespace tiercast::node {

void bind_to_cpu(unsigned cpu, const std::string& name, PlacementCounters& counters) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (cpu < CPU_SETSIZE) CPU_SET(cpu, &set);  // else none, which is refused
  if (::sched_setaffinity(0, sizeof set, &set) == 0) return;
  counters.cpu_refused.add();
  ops::log::warning("cpu_refused",
                    {{"thread", name},
                     {"cpu", cpu},
                     {"reason", std::strerror(errno)},
                     {"hint", "it runs on any CPU: is that one allowed (taskset -p), and sched_setaffinity?"}});
}

// io_uring waits for all its sockets at once, so that its own way is all it needs, and needs no capability. Where it
// has none, that of each socket does a part of it.
void poll_busily(unsigned microseconds, net::Loop& loop, std::span<const net::UdpSocket> sockets,
                 const std::string& name, PlacementCounters& counters) {
  const int error = loop.busy_poll(microseconds);
  if (error == 0) return;
  const auto refused = [&](const char* option, int why, const char* hint) {
    counters.busy_poll_refused.add();
    ops::log::warning("busy_poll_refused",
                      {{"thread", name}, {"option", option}, {"reason", std::strerror(why)}, {"hint", hint}});
  };
  if (error != EINVAL) return refused("IORING_REGISTER_NAPI", error, "it waits for interrupts");
  for (const net::UdpSocket& socket : sockets)
    if (const int why = socket.busy_poll(microseconds))
      return refused("SO_BUSY_POLL", why, "it waits for interrupts: this needs CAP_NET_ADMIN, or Linux 6.9");
}

}  // namespace tiercast::node
