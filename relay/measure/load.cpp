#include "relay/measure/load.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "crypto/random.hpp"
#include "relay/base/exit_code.hpp"
#include "relay/measure/load_counter.hpp"
#include "relay/measure/load_socket.hpp"
#include "relay/net/loop.hpp"
#include "relay/net/neighbours.hpp"

namespace tiercast::measure {
namespace {

constexpr int kBatchesAtOnce = 32;  // of received datagrams, before timers are looked at
constexpr Duration kSayEvery = 5s;
constexpr Duration kLeavePatience = 5s;

/// The kernel takes what is sent to these addresses for its own.
tl::expected<void, net::Error> check_local(const LoadAddresses& addresses, std::uint32_t listeners) {
  auto kernel = net::Neighbours::open();
  if (!kernel) return tl::unexpected(kernel.error());
  for (const std::uint32_t index : {0U, listeners - 1}) {
    net::RouteQuestion question;
    question.to = addresses.at(index);
    const auto route = kernel->route(question);
    if (route && !route->unicast) continue;
    const std::string prefix = addresses.text();
    return net::fail(
        fmt::format("--from {}: not addresses of this machine; make them so with `ip {}route add local {} dev lo`",
                    prefix, question.to.is_v4() ? "" : "-6 ", prefix),
        ExitCode::os);
  }
  return {};
}

double cpu_seconds() {
  rusage used{};
  if (getrusage(RUSAGE_SELF, &used) != 0) return 0;
  const auto of = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return of(used.ru_utime) + of(used.ru_stime);
}

double resident_bytes() {
  std::ifstream file{"/proc/self/statm"};
  double all = 0, resident = 0;
  return file >> all >> resident ? resident * static_cast<double>(sysconf(_SC_PAGESIZE)) : 0;
}

class Run final : private LoadCrowd::Outlet {
 public:
  Run(const LoadSetup& setup, LoadSocket socket, net::Descriptor signals, std::unique_ptr<LoadCounter> counter,
      const LoadAddresses& addresses)
      : setup_(setup),
        addresses_(addresses),
        socket_(std::move(socket)),
        signals_(std::move(signals)),
        counter_(std::move(counter)),
        memory_before_(resident_bytes()),
        own_accounts_(counter_ ? 0 : setup.plan.listeners),
        crowd_(setup.plan, counter_ ? counter_->accounts() : std::span{own_accounts_}, counter_ != nullptr, random_,
               *this, net::read_clocks().mono) {}

  LoadReport run();

 private:
  void send(std::uint32_t listener, Bytes datagram) override { socket_.send(addresses_.at(listener).ip, datagram); }
  void turn(Time until);
  void say(Time now);

  const LoadSetup& setup_;
  LoadAddresses addresses_;
  LoadSocket socket_;
  net::Descriptor signals_;
  std::unique_ptr<LoadCounter> counter_;
  crypto::SystemRandom random_;
  double memory_before_;
  std::vector<load_account> own_accounts_;
  LoadCrowd crowd_;
  bool stop_ = false;
  std::uint64_t drop_unknown_ = 0;  // to no listener's address
  Time next_say_ = net::read_clocks().mono + kSayEvery;
};

void Run::say(Time now) {
  if (now < next_say_) return;
  next_say_ = now + kSayEvery;
  std::fprintf(stderr, "tiercast load: %u of %u listeners have joined\n", crowd_.joined(), setup_.plan.listeners);
}

/// Timers, then what has come, waiting for that until then.
void Run::turn(Time until) {
  const Time now = net::read_clocks().mono;
  crowd_.on_timer(now);
  socket_.flush();
  const Duration wait =
      std::max<Duration>(Duration{0}, std::min(crowd_.next_deadline(), until) - net::read_clocks().mono);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(std::min<Duration>(wait, 1h));
  const timespec timeout{seconds.count(),
                         static_cast<long>(std::min<Duration>(wait, 1h).count() - Duration{seconds}.count())};
  std::array<pollfd, 2> ready{{{socket_.fd(), POLLIN, 0}, {signals_.get(), POLLIN, 0}}};
  if (::ppoll(ready.data(), ready.size(), &timeout, nullptr) <= 0) return;
  if ((ready[1].revents & POLLIN) != 0) {
    signalfd_siginfo info{};
    stop_ = ::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info) || stop_;
  }
  if (ready[0].revents == 0) return;
  Time at;
  const auto take = [&](const LoadSocket::Datagram& datagram) {
    const auto listener = addresses_.index_of(datagram.to);
    if (!listener || *listener >= setup_.plan.listeners) {
      ++drop_unknown_;
      return;
    }
    crowd_.on_datagram(*listener, datagram.bytes, at, datagram.arrived);
  };
  bool more = true;
  for (int batch = 0; more && batch < kBatchesAtOnce; ++batch) {
    at = net::read_clocks().mono;
    more = socket_.receive(take);
    socket_.flush();
  }
}

LoadReport Run::run() {
  while (!stop_ && !crowd_.complete_at()) {
    const Time now = net::read_clocks().mono;
    turn(now + kSayEvery);
    say(now);
  }
  if (!stop_)
    std::fprintf(stderr, "tiercast load: %u of %u listeners have joined, and are held for %.0f s\n", crowd_.joined(),
                 setup_.plan.listeners, std::chrono::duration<double>(setup_.seconds).count());
  LoadReport out;
  const Time begin = net::read_clocks().mono;
  const double cpu_before = cpu_seconds();
  for (Time now = begin; !stop_ && now < begin + setup_.seconds; now = net::read_clocks().mono)
    turn(begin + setup_.seconds);
  const Time end = net::read_clocks().mono;
  out.seconds = std::chrono::duration<double>(end - begin).count();
  if (out.seconds > 0) out.cpu_share = (cpu_seconds() - cpu_before) / out.seconds;
  out.memory_per_listener = std::max(0.0, resident_bytes() - memory_before_) / setup_.plan.listeners;
  out.interrupted = stop_;
  out.counted =
      counter_ ? fmt::format("below the stack of {} ({})", setup_.count_on, counter_->native() ? "native" : "generic")
               : std::string{"in the socket"};
  crowd_.report(out, end);
  out.socket_drops = socket_.drops();
  out.send_refused = socket_.send_refused();
  out.drop_foreign = socket_.drop_foreign() + drop_unknown_;
  out.drop_malformed += socket_.truncated();

  crowd_.leave(end);
  for (Time now = end; !crowd_.gone() && now < end + kLeavePatience; now = net::read_clocks().mono) {
    crowd_.on_timer(now);
    socket_.flush();
    const timespec pause{0, 1'000'000};
    ::nanosleep(&pause, nullptr);
  }
  return out;
}

}  // namespace

tl::expected<LoadReport, net::Error> run_load(const LoadSetup& setup) {
  LoadAddresses addresses{setup.from, setup.prefix};
  if (setup.edge.is_v4() != setup.from.is_v4())
    return net::fail(
        fmt::format("--from {}: the edge {} is of the other family", addresses.text(), to_string(setup.edge)),
        ExitCode::usage);
  if (addresses.size() < setup.plan.listeners)
    return net::fail(
        fmt::format("--from {}: has {} addresses for {} listeners, each of which has its own; use a wider one",
                    addresses.text(), addresses.size(), setup.plan.listeners),
        ExitCode::usage);
  if (auto local = check_local(addresses, setup.plan.listeners); !local) return tl::unexpected(local.error());
  auto socket = LoadSocket::open(setup.edge);
  if (!socket) return tl::unexpected(socket.error());
  Endpoint first = addresses.at(0);
  first.port = socket->port();
  std::unique_ptr<LoadCounter> counter;
  if (!setup.count_on.empty()) {
    auto attached =
        LoadCounter::attach({setup.count_on, setup.edge, first, setup.plan.listeners, setup.plan.group.value});
    if (!attached) return tl::unexpected(attached.error());
    counter = std::move(*attached);
    if (!counter->native())
      std::fprintf(stderr, "tiercast load: %s has no native XDP: counting in generic mode, which is slower\n",
                   setup.count_on.c_str());
  }
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  net::Descriptor signals{::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)};
  if (!signals) return net::fail(std::string{"cannot watch for signals: "} + std::strerror(errno), ExitCode::os);
  return Run{setup, std::move(*socket), std::move(signals), std::move(counter), addresses}.run();
}

}  // namespace tiercast::measure
