#include "relay/node/worker_thread.hpp"

#include <pthread.h>

#include <algorithm>
#include <string>

#include "relay/ops/log.hpp"

namespace tiercast::node {
namespace {

// Frames of two seconds in a few hundred groups, or a flood of joins: what a stalled worker may leave waiting.
constexpr std::size_t kCommands = 8192;
constexpr std::size_t kReports = 8192;
// CONTROL datagrams a turn: repeated until a frame waits, so that a flood of them delays a frame by no more than these.
constexpr unsigned kControlPerTurn = 64;
// Datagrams that the kernel may hand over at once, of all sockets.
constexpr std::size_t kBuffers = 256;
// Frames that come faster than they can be sent must leave every turn something for timers and CONTROL: without these
// no lease would end, and nobody be any the faster for those who have gone.
constexpr Duration kObeyFor = 50ms;
// A turn at least so often, so that the watchdog sees a live worker.
constexpr Duration kHeartbeat = 1s;

}  // namespace

tl::expected<std::unique_ptr<WorkerThread>, net::Error> WorkerThread::create(
    const Setup& setup, std::vector<net::UdpSocket> sockets, std::optional<net::MulticastSender> multicast,
    std::unique_ptr<net::XdpSender> xdp) {
  auto loop = net::Loop::create();
  if (!loop) return tl::unexpected{loop.error()};
  auto bell = net::Wake::create();
  if (!bell) return tl::unexpected{bell.error()};
  return std::unique_ptr<WorkerThread>{new WorkerThread{setup, std::move(sockets), std::move(multicast), std::move(xdp),
                                                        std::move(*loop), std::move(*bell)}};
}

WorkerThread::WorkerThread(const Setup& setup, std::vector<net::UdpSocket> sockets,
                           std::optional<net::MulticastSender> multicast, std::unique_ptr<net::XdpSender> xdp,
                           net::Loop loop, std::unique_ptr<net::Wake> bell)
    : sockets_(std::move(sockets)),
      name_("worker " + std::to_string(setup.lane.value)),
      cpu_(setup.cpu),
      loop_(std::move(loop)),
      bell_(std::move(bell)),
      feed_bell_(setup.feed_bell),
      commands_(kCommands),
      reports_(kReports),
      secrets_(setup.max_leases),
      outlet_(sockets_),
      xdp_(std::move(xdp)),
      multicast_(std::move(multicast)),
      now_(net::read_clocks().mono) {
  Worker::Setup worker;
  worker.lane = setup.lane;
  worker.boot_tag = setup.boot_tag;
  worker.max_leases = setup.max_leases;
  worker.secrets = &secrets_;
  worker.token_key = setup.token_key;
  worker.outlet = &outlet_;
  worker.fan_outs = this;
  worker.spread = setup.spread;
  worker.sends_multicast = setup.sends_multicast;
  if (multicast_) worker.multicast = this;
  worker.reports = &reports_;
  worker_ = std::make_unique<Worker>(std::move(worker), now_);
  if (setup.busy_poll > 0) poll_busily(setup.busy_poll, loop_, sockets_, name_, placement_counters_);
}

WorkerThread::~WorkerThread() { stop(); }

std::vector<std::unique_ptr<forward::FanOut>> WorkerThread::make_fan_outs() {
  std::vector<std::unique_ptr<forward::FanOut>> out;
  for (const net::UdpSocket& socket : sockets_) {
    if (xdp_) {
      out.push_back(std::make_unique<net::XdpFanOut>(*xdp_, socket, &xdp_counters_, &fan_out_counters_));
    } else {
      out.push_back(std::make_unique<net::SendmmsgFanOut>(socket, &fan_out_counters_));
    }
  }
  return out;
}

void WorkerThread::start() {
  thread_ = std::thread{[this] { run(); }};
}

void WorkerThread::stop() {
  if (!thread_.joinable()) return;
  stop_.store(true, std::memory_order_release);
  bell_->signal();
  thread_.join();
}

void WorkerThread::run() {
  pthread_setname_np(pthread_self(), "worker");
  if (cpu_) bind_to_cpu(*cpu_, name_, placement_counters_);
  bool listens = bell_->listen(loop_, [] {}) == 0;
  for (std::size_t s = 0; listens && s < sockets_.size(); ++s) {
    const net::ReceiveOptions options{.buffers = static_cast<unsigned>(kBuffers / sockets_.size()),
                                      .socket = static_cast<std::uint8_t>(s)};
    listens = loop_.receive(sockets_[s].fd(), *this, options) == 0;
  }
  if (!listens) {
    ops::log::error("worker_failed", {{"reason", "the io_uring has no room for its sockets"}});
    return fail();
  }
  while (!stop_.load(std::memory_order_acquire)) {
    now_ = net::read_clocks().mono;
    obey_until_ = now_ + kObeyFor;
    const bool all = obey();
    send_some();
    worker_->on_timer(now_);
    if (worker_->take_reported()) feed_bell_->signal();  // of this turn and the last one's datagrams
    loop_.turn(all ? std::min(worker_->next_deadline(), now_ + kHeartbeat) : now_, kControlPerTurn);
  }
  for (const net::UdpSocket& socket : sockets_) loop_.cancel(socket.fd());
  loop_.cancel(bell_->fd());
  worker_->close();
}

// The thread's share of the processor is what sending costs; what others have of it meanwhile is not.
template <class Sends>
void WorkerThread::measure(Sends sends) {
  const Duration before = net::processor_time();
  if (!sends()) return;
  now_ = net::read_clocks().mono;
  worker_->sent_until(now_, net::processor_time() - before);
}

void WorkerThread::send_some() {
  if (now_ >= worker_->due()) measure([this] { return worker_->send_some(now_); });
}

// Before the datagrams of the turn: a lease that was just admitted may be speaking in them. False: more may wait.
bool WorkerThread::obey() {
  while (now_ < obey_until_) {
    const auto command = commands_.pop();
    if (!command) return true;
    measure([&] {
      worker_->on_command(*command, now_);
      return true;
    });
    send_some();
  }
  return false;
}

void WorkerThread::on_datagram(MutableBytes datagram, const Endpoint& from, const LocalAddress& local) {
  now_ = net::read_clocks().mono;  // the turn may have waited
  obey();
  worker_->on_datagram(datagram, from, local, now_);
}

void WorkerThread::on_error(int error) {
  const bool receives = std::all_of(sockets_.begin(), sockets_.end(),
                                    [this](const net::UdpSocket& socket) { return loop_.receives(socket.fd()); });
  if (receives) return;  // an ICMP answer to one of many
  ops::log::error("worker_socket_failed", {{"errno", error}});
  fail();
}

void WorkerThread::fail() {
  stop_.store(true, std::memory_order_release);
  failed_.store(true, std::memory_order_release);
  feed_bell_->signal();
}

}  // namespace tiercast::node
