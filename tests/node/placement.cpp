#include "relay/node/placement.hpp"

#include <doctest/doctest.h>
#include <sched.h>

#include <thread>

namespace tiercast::placement_test {

namespace {
/// A CPU that this process may use.
unsigned usable() {
  cpu_set_t set;
  CPU_ZERO(&set);
  REQUIRE(::sched_getaffinity(0, sizeof set, &set) == 0);
  unsigned cpu = 0;
  while (!CPU_ISSET(cpu, &set)) ++cpu;
  return cpu;
}
}  // namespace

TEST_CASE("a thread is bound to the CPU that it is given, and no other thread is") {
  const unsigned cpu = usable();
  cpu_set_t before;
  REQUIRE(::sched_getaffinity(0, sizeof before, &before) == 0);
  node::PlacementCounters counters;
  cpu_set_t bound;
  CPU_ZERO(&bound);
  std::thread{[&] {
    node::bind_to_cpu(cpu, "a thread", counters);
    ::sched_getaffinity(0, sizeof bound, &bound);
  }}.join();
  CHECK(CPU_COUNT(&bound) == 1);
  CHECK(CPU_ISSET(cpu, &bound));
  CHECK(counters.cpu_refused.get() == 0);
  cpu_set_t after;
  REQUIRE(::sched_getaffinity(0, sizeof after, &after) == 0);
  CHECK(CPU_EQUAL(&before, &after));
}

TEST_CASE("a CPU that is refused is counted, and the thread runs where it did") {
  cpu_set_t before;
  REQUIRE(::sched_getaffinity(0, sizeof before, &before) == 0);
  node::PlacementCounters counters;
  node::bind_to_cpu(CPU_SETSIZE - 1, "a thread", counters);
  node::bind_to_cpu(CPU_SETSIZE + 5, "a thread", counters);
  CHECK(counters.cpu_refused.get() == 2);
  cpu_set_t after;
  REQUIRE(::sched_getaffinity(0, sizeof after, &after) == 0);
  CHECK(CPU_EQUAL(&before, &after));
}

TEST_CASE(
    "busy polling is had as far as the kernel gives it, each refusal is counted, and datagrams come all the same") {
  const auto any = net::UdpSocket::bind(*parse_endpoint("127.0.0.1:0"), {});
  REQUIRE(any);
  const bool allowed = any->busy_poll(50) == 0;  // CAP_NET_ADMIN
  std::vector<net::UdpSocket> sockets;
  sockets.push_back(std::move(*net::UdpSocket::bind(*parse_endpoint("127.0.0.1:0"), {})));
  auto loop = net::Loop::create();
  REQUIRE(loop);
  auto other = net::Loop::create();
  REQUIRE(other);
  const bool known = other->busy_poll(50) == 0;  // Linux 6.9
  node::PlacementCounters counters;
  node::poll_busily(50, *loop, sockets, "a thread", counters);
  CHECK(counters.busy_poll_refused.get() == (allowed || known ? 0 : 1));

  struct Handler final : net::DatagramHandler {
    void on_datagram(MutableBytes datagram, const Endpoint&, const LocalAddress&) override { came += datagram.size(); }
    void on_error(int) override {}
    std::size_t came = 0;
  } handler;
  REQUIRE(loop->receive(sockets[0].fd(), handler) == 0);
  const std::array<std::uint8_t, 3> datagram{1, 2, 3};
  REQUIRE(any->send(datagram, sockets[0].local(), {}) == 0);
  const Time until = net::read_clocks().mono + 5s;
  while (handler.came == 0 && net::read_clocks().mono < until) loop->turn(until, 16);
  CHECK(handler.came == 3);
  loop->cancel(sockets[0].fd());
}

}  // namespace tiercast::placement_test
