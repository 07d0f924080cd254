#include "relay/measure/refuse_bench.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <new>

#include "crypto/random.hpp"
#include "relay/base/exit_code.hpp"
#include "relay/measure/bench_node.hpp"
#include "relay/measure/flood.hpp"
#include "relay/net/address.hpp"
#include "relay/net/steering.hpp"

namespace tiercast::measure {
namespace {

constexpr std::size_t kDistinct = 64;
constexpr int kJoinBuffer = 1 << 20;  // as a node's join socket has it

/// recvmsg, again and again, in a process of its own.
class BareLoop {
 public:
  static tl::expected<BareLoop, net::Error> start(bool filtered) {
    void* shared = ::mmap(nullptr, sizeof(Count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return tl::unexpected(net::Error{std::string{"mmap: "} + std::strerror(errno)});
    std::unique_ptr<Count, Unmap> count{new (shared) Count{0}};
    auto socket = net::UdpSocket::open(AF_INET, {.reuse_port = true, .receive_buffer = kJoinBuffer});
    if (!socket) return tl::unexpected(socket.error());
    if (filtered && (net::attach_join_filter(socket->fd()) != 0 || net::attach_steering(socket->fd(), 1) != 0))
      return tl::unexpected(net::Error{"the kernel refuses a socket filter", ExitCode::os});
    if (auto bound = socket->bind_to(*parse_endpoint("127.0.0.1:0")); !bound) return tl::unexpected(bound.error());
    const Endpoint address = socket->local();
    const int fd = socket->fd();
    if (::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK) != 0)
      return tl::unexpected(net::Error{std::string{"fcntl: "} + std::strerror(errno)});
    auto process = ChildProcess::start([fd, to = count.get()] { return receive(fd, *to); });
    if (!process) return tl::unexpected(process.error());
    return BareLoop{std::move(count), std::move(*process), address};
  }
  const Endpoint& address() const { return address_; }
  std::uint64_t received() const { return count_->load(); }
  tl::expected<CpuTime, net::Error> cpu_time() const { return process_.cpu_time(); }

 private:
  using Count = std::atomic<std::uint64_t>;
  static_assert(Count::is_always_lock_free);
  struct Unmap {
    void operator()(Count* count) const { ::munmap(count, sizeof(Count)); }
  };
  BareLoop(std::unique_ptr<Count, Unmap> count, ChildProcess process, const Endpoint& address)
      : count_(std::move(count)), process_(std::move(process)), address_(address) {}

  static int receive(int fd, Count& count) {
    std::array<std::uint8_t, 2048> buffer;
    sockaddr_storage from;
    alignas(cmsghdr) std::array<std::uint8_t, net::kReceiveControl> control;
    iovec part{buffer.data(), buffer.size()};
    std::uint64_t so_far = 0;
    while (true) {
      msghdr message{};
      message.msg_name = &from;
      message.msg_namelen = sizeof from;
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      if (::recvmsg(fd, &message, 0) >= 0) count.store(++so_far, std::memory_order_relaxed);
    }
  }

  std::unique_ptr<Count, Unmap> count_;
  ChildProcess process_;
  Endpoint address_;
};

struct Receiver {
  std::string name;
  Flood flood;
  Endpoint address;
  std::function<tl::expected<std::uint64_t, net::Error>()> received;
  std::function<tl::expected<CpuTime, net::Error>()> cpu_time;
  bool filtered = false;  // it gets nothing: what is sent counts
  std::vector<double> cpu = {};
  std::uint64_t sent = 0, got = 0;
};

/// Until `all` came out of the queue, or for 200 ms nothing did: a receiver may have to wait for its turn on the
/// processor.
tl::expected<std::uint64_t, net::Error> settled(const Receiver& receiver, std::uint64_t all) {
  auto last = receiver.received();
  for (int tries = 0, still = 0; last && *last < all && still < 20 && tries < 1000; ++tries) {
    const timespec pause{0, 10'000'000};
    ::nanosleep(&pause, nullptr);
    auto now = receiver.received();
    if (!now) return now;
    still = *now == *last ? still + 1 : 0;
    last = now;
  }
  return last;
}

tl::expected<void, net::Error> run(Receiver& receiver, const std::vector<std::vector<std::uint8_t>>& datagrams,
                                   std::uint64_t count) {
  const auto got_before = receiver.received();
  if (!got_before) return tl::unexpected(got_before.error());
  const auto cpu_before = receiver.cpu_time();
  if (!cpu_before) return tl::unexpected(cpu_before.error());
  const auto sent = send_flood(receiver.address, datagrams, count);
  if (!sent) return tl::unexpected(sent.error());
  const auto got = settled(receiver, *got_before + *sent);
  if (!got) return tl::unexpected(got.error());
  const auto cpu = receiver.cpu_time();
  if (!cpu) return tl::unexpected(cpu.error());
  const std::uint64_t received = *got - *got_before;
  const std::uint64_t of = receiver.filtered ? *sent : received;
  if (of == 0) return tl::unexpected(net::Error{receiver.name + ": nothing came", ExitCode::unavailable});
  receiver.cpu.push_back(static_cast<double>((*cpu - *cpu_before).main_ns) / static_cast<double>(of));
  receiver.sent += *sent;
  receiver.got += received;
  return {};
}

}  // namespace

tl::expected<std::vector<RefuseMeasurement>, net::Error> measure_refusal(const RefuseBench& bench) {
  if (bench.datagrams == 0 || bench.rounds == 0)
    return tl::unexpected(net::Error{"datagrams and rounds must be at least 1", ExitCode::usage});
  const auto node = BenchNode::start(1000);
  if (!node) return tl::unexpected(node.error());
  const auto bare = BareLoop::start(true), open = BareLoop::start(false);
  if (!bare || !open) return tl::unexpected((bare ? open : bare).error());
  crypto::SystemRandom random;

  const auto of_node = [&](const char* counter) { return [&node, counter] { return node->counter(counter); }; };
  const auto of_loop = [](const BareLoop& loop) {
    return [&loop] { return tl::expected<std::uint64_t, net::Error>{loop.received()}; };
  };
  const auto node_cpu = [&] { return node->cpu_time(); };
  const auto loop_cpu = [](const BareLoop& loop) { return [&loop] { return loop.cpu_time(); }; };
  std::array<Receiver, 4> receivers{
      Receiver{"bare", Flood::bad_cookies, bare->address(), of_loop(*bare), loop_cpu(*bare)},
      Receiver{"node", Flood::bad_cookies, node->address(), of_node("join_drop_cookie"), node_cpu},
      Receiver{"bare-junk", Flood::junk, open->address(), of_loop(*open), loop_cpu(*open)},
      Receiver{"node-junk", Flood::junk, node->address(), of_node("join_drop_malformed"), node_cpu, true}};
  for (std::uint32_t round = 0; round < bench.rounds; ++round) {
    for (std::size_t i = 0; i < receivers.size(); ++i) {  // whoever goes first changes from round to round
      Receiver& receiver = receivers[(i + round) % receivers.size()];
      const auto issued = ask_issued(node->address(), random);
      if (!issued) return tl::unexpected(issued.error());
      const auto datagrams = make_flood(receiver.flood, *issued, kDistinct, random);
      if (auto ran = run(receiver, datagrams, bench.datagrams); !ran) return tl::unexpected(ran.error());
    }
  }

  std::vector<RefuseMeasurement> out;
  for (std::size_t i = 0; i < receivers.size(); ++i) {
    const Receiver& r = receivers[i];
    RefuseMeasurement m{r.name, r.sent, r.got, spread(r.cpu), std::nullopt};
    if (i % 2 == 1) {
      std::vector<double> ratios;
      for (std::size_t round = 0; round < r.cpu.size(); ++round)
        ratios.push_back(receivers[i - 1].cpu[round] / std::max(r.cpu[round], 0.001));
      m.rate_of_bare = spread(ratios).median;
    }
    out.push_back(m);
  }
  return out;
}

std::string to_json(const RefuseMeasurement& m) {
  std::string out = fmt::format(R"({{"receiver":"{}","sent":{},"received":{})", m.receiver, m.sent, m.received) +
                    json_members("cpu_ns_per_datagram", m.cpu_ns_per_datagram) +
                    fmt::format(R"(,"datagrams_per_second_and_core":{:.0f})", m.datagrams_per_second());
  if (m.rate_of_bare) out += fmt::format(R"(,"rate_of_bare":{:.4f})", *m.rate_of_bare);
  return out + "}";
}

std::string to_text(const std::vector<RefuseMeasurement>& measurements) {
  std::string out = fmt::format("{:<10} {:>10} {:>10} {:>9} {:>20} {:>14} {:>12}\n", "receiver", "sent", "received",
                                "CPU ns", "min .. max", "/s and core", "of bare loop");
  for (const RefuseMeasurement& m : measurements)
    out += fmt::format("{:<10} {:>10} {:>10} {:>9.1f} {:>20} {:>14.0f} {:>12}\n", m.receiver, m.sent, m.received,
                       m.cpu_ns_per_datagram.median, range_text(m.cpu_ns_per_datagram), m.datagrams_per_second(),
                       m.rate_of_bare ? fmt::format("{:.3f}", *m.rate_of_bare) : std::string{"-"});
  return out;
}

}  // namespace tiercast::measure
