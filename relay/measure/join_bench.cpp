#include "relay/measure/join_bench.hpp"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "crypto/random.hpp"
#include "relay/base/exit_code.hpp"
#include "relay/control/parent.hpp"
#include "relay/measure/bench_node.hpp"
#include "relay/net/loop.hpp"
#include "relay/net/udp_socket.hpp"

namespace tiercast::measure {
namespace {

constexpr Duration kPatience = 20s;  // a round
constexpr Duration kTimersEvery = 5ms;

/// Joins, has its lease confirmed, forgets it, and joins anew.
class Joiner {
 public:
  Joiner(const BenchNode& node, net::UdpSocket socket, Random& random) : socket_(std::move(socket)), random_(random) {
    config_.key = node.key();
    config_.request.group = BenchNode::kGroup;
    config_.request.role = wire::Role::listener;
  }
  int fd() const { return socket_.fd(); }
  bool busy() const { return parent_.has_value(); }
  bool denied() const { return parent_ && parent_->denial(); }
  std::uint64_t repeated() const { return repeated_; }

  void start(Time now) {
    parent_.emplace(config_, random_, now);
    sent_ = 0;
    on_timer(now);
  }
  void on_timer(Time now) {
    if (!parent_ || now < parent_->next_deadline()) return;
    parent_->on_timer(now);
    pump(now);
  }
  /// True: it is through.
  bool on_readable() {
    std::array<std::uint8_t, 2048> buffer, records;
    while (true) {
      const ssize_t size = ::recv(fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (size < 0) return false;
      if (!parent_) continue;
      const Time now = net::read_clocks().mono;
      const auto input = parent_->on_datagram(Bytes{buffer.data(), static_cast<std::size_t>(size)}, records, now);
      if (input.came == control::Parent::Came::joined) (void)parent_->take_grant();
      if (parent_->lease() != nullptr && parent_->lease()->counters().keepalives_acknowledged.get() > 0) {
        repeated_ += sent_ - kDatagrams;
        parent_.reset();
        return true;
      }
      pump(now);
    }
  }

 private:
  static constexpr std::uint64_t kDatagrams = 3;  // HELLO, JOIN, keepalive
  void pump(Time now) {
    std::array<std::uint8_t, wire::kMaxDatagram> buffer;
    for (Bytes datagram = parent_->take_datagram({}, buffer, now); !datagram.empty();
         datagram = parent_->take_datagram({}, buffer, now)) {
      (void)socket_.send(datagram);  // lost: sent again
      ++sent_;
    }
  }
  net::UdpSocket socket_;
  Random& random_;
  control::ParentConfig config_;
  std::optional<control::Parent> parent_;
  std::uint64_t sent_ = 0, repeated_ = 0;
};

class Crowd {
 public:
  static tl::expected<Crowd, net::Error> make(const BenchNode& node, std::uint32_t size, Random& random) {
    Crowd out;
    out.epoll_ = net::Descriptor{::epoll_create1(EPOLL_CLOEXEC)};
    for (std::uint32_t i = 0; i < size; ++i) {
      auto socket = net::UdpSocket::connect(node.address(), {.packet_info = false});
      if (!socket) return tl::unexpected(socket.error());
      out.joiners_.emplace_back(node, std::move(*socket), random);
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = i;
      if (::epoll_ctl(out.epoll_.get(), EPOLL_CTL_ADD, out.joiners_.back().fd(), &event) != 0)
        return tl::unexpected(net::Error{std::string{"epoll_ctl: "} + std::strerror(errno)});
    }
    return out;
  }

  tl::expected<void, net::Error> join(std::uint32_t joins) {
    std::uint32_t started = 0, done = 0;
    const Time begin = net::read_clocks().mono;
    for (Joiner& joiner : joiners_)
      if (started < joins) joiner.start(begin), ++started;
    Time next_timers = begin + kTimersEvery;
    std::array<epoll_event, 64> events;
    while (done < joins) {
      const int ready = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 1);
      for (int i = 0; i < ready; ++i) {
        Joiner& joiner = joiners_[events[static_cast<std::size_t>(i)].data.u64];
        if (!joiner.on_readable()) continue;
        ++done;
        if (started < joins) joiner.start(net::read_clocks().mono), ++started;
      }
      const Time now = net::read_clocks().mono;
      if (now < next_timers) continue;
      next_timers = now + kTimersEvery;
      for (Joiner& joiner : joiners_) {
        joiner.on_timer(now);
        if (joiner.denied()) return tl::unexpected(net::Error{"the node denied a join", ExitCode::unavailable});
      }
      if (now > begin + kPatience)
        return tl::unexpected(net::Error{fmt::format("only {} of {} joins within {} s", done, joins, kPatience / 1s),
                                         ExitCode::unavailable});
    }
    return {};
  }
  std::uint64_t repeated() const {
    std::uint64_t all = 0;
    for (const Joiner& joiner : joiners_) all += joiner.repeated();
    return all;
  }

 private:
  net::Descriptor epoll_;
  std::vector<Joiner> joiners_;
};

/// What no responder can do without: message 1 read, message 2 written, the keys.
double handshake_ns(std::uint32_t times, Random& random) {
  const crypto::PrivateKey key = crypto::generate_private_key(random);
  const crypto::PublicKey public_key = crypto::node_public_key(key);
  const std::array<std::uint8_t, 134> prologue{};
  const std::array<std::uint8_t, 8> request{};
  const std::array<std::uint8_t, 450> answer{};
  std::array<std::uint8_t, wire::kMaxDatagram> first, second, payload;
  auto initiator = crypto::NoiseHandshake::initiator(wire::Pattern::nk, prologue, nullptr, public_key,
                                                     crypto::generate_private_key(random));
  const std::size_t length = initiator.write(request, first).value_or(0);
  const std::int64_t before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
  for (std::uint32_t i = 0; i < times; ++i) {
    auto responder = crypto::NoiseHandshake::responder(wire::Pattern::nk, prologue, key, public_key,
                                                       crypto::generate_private_key(random));
    if (!responder.read(Bytes{first}.first(length), payload) || !responder.write(answer, second)) return 0;
    (void)responder.split();
  }
  return static_cast<double>(clock_ns(CLOCK_THREAD_CPUTIME_ID) - before) / times;
}

}  // namespace

tl::expected<JoinMeasurement, net::Error> measure_joins(const JoinBench& bench) {
  if (bench.joins == 0 || bench.rounds == 0 || bench.in_flight == 0)
    return net::fail("joins, rounds and joiners at once must be at least 1", ExitCode::usage);
  const std::uint32_t before_all = (bench.joins + 9) / 10;
  if (std::uint64_t{bench.joins} * bench.rounds + before_all > kMostJoins)
    return net::fail(fmt::format("{} rounds of {} joins, and a tenth before: use {} in all at most", bench.rounds,
                                 bench.joins, kMostJoins),
                     ExitCode::usage);
  auto node = BenchNode::start(kMostJoins + 1);
  if (!node) return tl::unexpected(node.error());
  crypto::SystemRandom random;
  auto crowd = Crowd::make(*node, bench.in_flight, random);
  if (!crowd) return tl::unexpected(crowd.error());
  if (auto joined = crowd->join(before_all); !joined) return tl::unexpected(joined.error());

  JoinMeasurement out;
  out.in_flight = bench.in_flight;
  std::vector<double> cpu, feed, worker, wall, handshake;
  const auto per_join = [&](std::int64_t ns) { return static_cast<double>(ns) / bench.joins; };
  for (std::uint32_t round = 0; round < bench.rounds; ++round) {
    handshake.push_back(handshake_ns(500, random));
    const auto cpu_before = node->cpu_time();
    const std::int64_t wall_before = clock_ns(CLOCK_MONOTONIC);
    if (auto joined = crowd->join(bench.joins); !joined) return tl::unexpected(joined.error());
    wall.push_back(per_join(clock_ns(CLOCK_MONOTONIC) - wall_before));
    const auto cpu_after = node->cpu_time();
    if (!cpu_before || !cpu_after) return tl::unexpected(cpu_before ? cpu_after.error() : cpu_before.error());
    const CpuTime used = *cpu_after - *cpu_before;
    cpu.push_back(per_join(used.all_ns()));
    feed.push_back(per_join(used.main_ns));
    worker.push_back(per_join(used.workers_ns));
    out.joins += bench.joins;
  }
  out.repeated = crowd->repeated();
  out.cpu_ns_per_join = spread(cpu);
  out.feed_ns_per_join = spread(feed);
  out.worker_ns_per_join = spread(worker);
  out.handshake_ns = spread(handshake);
  out.wall_ns_per_join = spread(wall);
  return out;
}

std::string to_json(const JoinMeasurement& m) {
  return fmt::format(R"({{"in_flight":{},"joins":{},"repeated":{})", m.in_flight, m.joins, m.repeated) +
         json_members("cpu_ns_per_join", m.cpu_ns_per_join) + json_members("feed_ns_per_join", m.feed_ns_per_join) +
         json_members("worker_ns_per_join", m.worker_ns_per_join) + json_members("handshake_ns", m.handshake_ns) +
         json_members("wall_ns_per_join", m.wall_ns_per_join) +
         fmt::format(R"(,"joins_per_second":{:.0f},"joins_per_second_and_core":{:.0f}}})",
                     1e9 / m.wall_ns_per_join.median, m.joins_per_second_and_core());
}

std::string to_text(const JoinMeasurement& m) {
  std::string out = fmt::format("{} joins, {} at once, {} datagrams sent again\n", m.joins, m.in_flight, m.repeated);
  const auto line = [&out](const char* name, const Spread& s) {
    out += fmt::format("{:<34} {:>10.1f} {:>22}\n", name, s.median / 1000,
                       fmt::format("{:.1f} .. {:.1f}", s.min / 1000, s.max / 1000));
  };
  out += fmt::format("{:<34} {:>10} {:>22}\n", "us a join", "median", "min .. max");
  line("node, CPU", m.cpu_ns_per_join);
  line("  feed thread", m.feed_ns_per_join);
  line("  worker", m.worker_ns_per_join);
  line("the handshake's cryptography alone", m.handshake_ns);
  line("wall, joiners on the same machine", m.wall_ns_per_join);
  return out + fmt::format("joins per second and core of the node: {:.0f}; per second of wall: {:.0f}\n",
                           m.joins_per_second_and_core(), 1e9 / m.wall_ns_per_join.median);
}

}  // namespace tiercast::measure
