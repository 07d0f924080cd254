#include "relay/measure/threads_bench.hpp"
#include "relay/base/exit_code.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <barrier>
#include <ctime>
#include <memory>
#include <thread>

#include "relay/net/sendmmsg_fan_out.hpp"
#include "relay/net/udp_socket.hpp"

namespace tiercast::measure {
namespace {

double seconds_of(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// A worker's: its socket, and the table of its listeners.
struct ThreadPart {
  std::unique_ptr<net::UdpSocket> socket;
  std::unique_ptr<net::SendmmsgFanOut> table;

  struct Round {
    double began = 0, ended = 0, cpu = 0;
    std::uint64_t sent = 0, failed = 0;
  };
  Round run(Bytes datagram, std::uint32_t frames) {
    Round round;
    round.began = seconds_of(CLOCK_MONOTONIC);
    const double cpu = seconds_of(CLOCK_THREAD_CPUTIME_ID);
    for (std::uint32_t i = 0; i < frames; ++i) {
      const forward::FanOutResult result = table->send(datagram);
      round.sent += result.sent;
      round.failed += result.failed;
    }
    round.cpu = seconds_of(CLOCK_THREAD_CPUTIME_ID) - cpu;
    round.ended = seconds_of(CLOCK_MONOTONIC);
    return round;
  }
};

struct Sum {
  double per_second = 0, cpu_per_datagram = 0, cpus = 0;
  std::uint64_t sent = 0, failed = 0;
};
Sum sum_of(const std::vector<ThreadPart::Round>& rounds) {
  Sum out;
  double began = rounds.front().began, ended = rounds.front().ended, cpu = 0;
  for (const ThreadPart::Round& round : rounds) {
    began = std::min(began, round.began);
    ended = std::max(ended, round.ended);
    cpu += round.cpu;
    out.sent += round.sent;
    out.failed += round.failed;
  }
  const auto tried = static_cast<double>(std::max<std::uint64_t>(out.sent + out.failed, 1));
  out.per_second = static_cast<double>(out.sent) / (ended - began);
  out.cpu_per_datagram = cpu / tried;
  out.cpus = cpu / (ended - began);
  return out;
}

/// All parts at once, each on a thread of its own that waits for the others to be there.
Sum run(std::vector<ThreadPart>& parts, Bytes datagram, std::uint32_t frames) {
  std::vector<ThreadPart::Round> rounds(parts.size());
  std::barrier together{static_cast<std::ptrdiff_t>(parts.size())};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    threads.emplace_back([&, i] {
      parts[i].run(datagram, 1);  // routes and neighbours known, the table in this CPU's cache
      together.arrive_and_wait();
      rounds[i] = parts[i].run(datagram, frames);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return sum_of(rounds);
}

tl::expected<ThreadPart, net::Error> make_part(const FanOutBench& bench, std::uint16_t port, std::uint32_t first,
                                               std::uint32_t count) {
  const net::SocketOptions options{.send_buffer = 8 << 20, .interface = bench.interface};
  const auto to = destinations_of(bench, port, first, count);
  if (!to) return tl::unexpected(to.error());
  const auto probe = net::UdpSocket::connect(to->front(), options);  // the address that routing leaves from
  if (!probe) return tl::unexpected(probe.error());
  auto socket = net::UdpSocket::bind(Endpoint{probe->local().ip, 0, 0}, options);
  if (!socket) return tl::unexpected(socket.error());
  ThreadPart part;
  part.socket = std::make_unique<net::UdpSocket>(std::move(*socket));
  part.table = std::make_unique<net::SendmmsgFanOut>(*part.socket);
  for (const Endpoint& each : *to) part.table->set(part.table->size(), each, {});
  return part;
}

}  // namespace

tl::expected<ThreadsMeasurement, net::Error> measure_threads(const FanOutBench& bench, std::uint32_t threads) {
  if (bench.frames == 0 || bench.rounds == 0 || threads < 2 || bench.destinations < threads)
    return net::fail("frames and rounds must be at least 1, threads 2, destinations as many as threads",
                     ExitCode::usage);
  const auto sink = open_sink(bench);
  if (!sink) return tl::unexpected(sink.error());
  const std::uint16_t port = sink->local().port;
  std::vector<ThreadPart> one, all;
  auto whole = make_part(bench, port, 0, bench.destinations);
  if (!whole) return tl::unexpected(whole.error());
  one.push_back(std::move(*whole));
  for (std::uint32_t i = 0; i < threads; ++i) {
    const std::uint32_t first = bench.destinations / threads * i;
    auto part = make_part(bench, port, first,
                          (i + 1 == threads ? bench.destinations : first + bench.destinations / threads) - first);
    if (!part) return tl::unexpected(part.error());
    all.push_back(std::move(*part));
  }

  const std::vector<std::uint8_t> datagram(bench.payload, std::uint8_t{0x20});
  ThreadsMeasurement out;
  out.threads = threads;
  out.destinations = bench.destinations;
  std::vector<double> ones, alls, speedups, costs, one_cpus, all_cpus;
  for (std::uint32_t round = 0; round < bench.rounds; ++round) {
    Sum single, several;
    const auto run_one = [&] { single = run(one, datagram, bench.frames); };
    const auto run_all = [&] { several = run(all, datagram, bench.frames); };
    if (round % 2 == 0) run_one();
    run_all();
    if (round % 2 == 1) run_one();
    for (const Sum* sum : {&single, &several}) {
      out.datagrams += sum->sent;
      out.errors += sum->failed;
    }
    ones.push_back(single.per_second);
    alls.push_back(several.per_second);
    speedups.push_back(several.per_second / single.per_second);
    costs.push_back(several.cpu_per_datagram / single.cpu_per_datagram);
    one_cpus.push_back(single.cpus);
    all_cpus.push_back(several.cpus);
  }
  out.one_per_second = spread(ones);
  out.all_per_second = spread(alls);
  out.speedup = spread(speedups).median;
  out.cpu_ratio = spread(costs).median;
  out.one_cpus = spread(one_cpus).median;
  out.all_cpus = spread(all_cpus).median;
  return out;
}

std::string to_json(const ThreadsMeasurement& m) {
  return fmt::format(
      R"({{"backend":"sendmmsg","threads":{},"destinations":{},"datagrams":{},"errors":{},"one_per_second":{:.0f},)"
      R"("all_per_second":{:.0f},"speedup":{:.3f},"cpu_ratio":{:.3f},"one_cpus":{:.2f},"all_cpus":{:.2f}}})",
      m.threads, m.destinations, m.datagrams, m.errors, m.one_per_second.median, m.all_per_second.median, m.speedup,
      m.cpu_ratio, m.one_cpus, m.all_cpus);
}

std::string to_text(const ThreadsMeasurement& m) {
  const auto line = [](std::uint32_t threads, const Spread& s, double cpus) {
    return fmt::format("{:>3} thread{:<2}{:>10.0f} datagrams/s {:>24} {:>6.2f} CPUs\n", threads,
                       threads == 1 ? "" : "s", s.median, fmt::format("({:.0f} .. {:.0f})", s.min, s.max), cpus);
  };
  return line(1, m.one_per_second, m.one_cpus) + line(m.threads, m.all_per_second, m.all_cpus) +
         fmt::format("{:.2f} times as many, at {:.2f} of the CPU a datagram; {} errors\n", m.speedup, m.cpu_ratio,
                     m.errors);
}

}  // namespace tiercast::measure
