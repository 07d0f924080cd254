// Many real listeners in one process: each a node::Listener behind a connected socket of its own, driven by one epoll.
// Counts every sequence of every one and prints what they got as JSON. A tool of tests and benchmarks; decides nothing
// about the stream. "deaf" ones hold a lease like any other, but the kernel drops what is sent to them: for measuring a
// node with more listeners than this machine could be.
#include <linux/filter.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <vector>

#include "crypto/random.hpp"
#include "crypto/secret.hpp"
#include "relay/cli/arguments.hpp"
#include "relay/net/loop.hpp"
#include "relay/net/udp_socket.hpp"
#include "relay/node/listener.hpp"

namespace tiercast {
namespace {

constexpr Duration kJoinEvery = 1ms;  // on the average: as many a second as one processor of a node can admit

struct Counts {
  std::uint64_t frames = 0;  // ticks that came, with audio or without
  std::uint64_t missed = 0;  // ticks that did not, told as lost or left out, since its first one
  std::uint64_t before = 0;  // the same before its first one
  std::uint64_t twice = 0;   // not above the one before
};

/// One of the swarm.
class Ear {
 public:
  virtual ~Ear() = default;
  virtual int fd() const = 0;
  virtual Time due() const = 0;
  /// Its HELLO leaves now.
  virtual void start(Moment now) = 0;
  virtual void on_readable() = 0;
  virtual void on_timer(Moment now) = 0;
  virtual void leave() {}
  virtual bool joined() const = 0;
  virtual std::optional<Duration> first_frame() const { return std::nullopt; }
  virtual Counts counts() const { return {}; }
};

/// Keeps its lease, and hears nothing of the stream.
class DeafEar final : public Ear {
 public:
  DeafEar(const node::Listener::Setup& setup, net::UdpSocket socket, Moment now)
      : socket_(std::move(socket)), parent_(config(setup), *setup.random, now.mono) {
    std::array<sock_filter, 4> program{sock_filter BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8),  // behind the UDP header
                                       sock_filter BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x20, 0, 1),
                                       sock_filter BPF_STMT(BPF_RET | BPF_K, 0),
                                       sock_filter BPF_STMT(BPF_RET | BPF_K, 0xffff)};
    const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
    filtered_ = ::setsockopt(fd(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0;
  }
  bool filtered() const { return filtered_; }
  int fd() const override { return socket_.fd(); }
  Time due() const override { return parent_.next_deadline(); }
  bool joined() const override { return parent_.leased(); }
  void start(Moment now) override { on_timer(now); }
  void on_readable() override {
    std::array<std::uint8_t, 2048> buffer, records;
    while (true) {
      const ssize_t size = ::recv(fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (size < 0) return;
      const Time now = net::read_clocks().mono;
      const auto input = parent_.on_datagram(Bytes{buffer.data(), static_cast<std::size_t>(size)}, records, now);
      if (input.came == control::Parent::Came::joined) (void)parent_.take_grant();
      pump(now);
    }
  }
  void on_timer(Moment now) override {
    parent_.on_timer(now.mono);
    pump(now.mono);
  }

 private:
  static control::ParentConfig config(const node::Listener::Setup& setup) {
    control::ParentConfig config;
    config.key = setup.parents.front().key;
    config.request.group = setup.group;
    config.request.role = wire::Role::listener;
    return config;
  }
  void pump(Time now) {
    std::array<std::uint8_t, wire::kMaxDatagram> buffer;
    for (Bytes datagram = parent_.take_datagram({}, buffer, now); !datagram.empty();
         datagram = parent_.take_datagram({}, buffer, now))
      (void)socket_.send(datagram);
  }
  net::UdpSocket socket_;
  control::Parent parent_;
  bool filtered_ = false;
};

class ListeningEar final : public Ear, private node::UplinkOutlet {
 public:
  ListeningEar(node::Listener::Setup setup, net::UdpSocket socket, Moment now) : socket_(std::move(socket)) {
    setup.uplinks = this;
    listener_.emplace(std::move(setup), now);
  }
  int fd() const override { return socket_.fd(); }
  Time due() const override { return listener_->next_deadline(); }
  bool joined() const override { return listener_->joined_at().has_value(); }
  std::optional<Duration> first_frame() const override {
    const auto at = listener_->first_frame_at();
    return at ? std::optional{*at - start_} : std::nullopt;
  }
  Counts counts() const override { return counts_; }
  void leave() override { listener_->leave(); }

  void on_readable() override {
    std::array<std::uint8_t, 2048> buffer;
    while (true) {
      const ssize_t size = ::recv(fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (size < 0 && errno == ECONNREFUSED) continue;
      if (size < 0) return;
      const Moment now = net::read_clocks();
      listener_->on_datagram(0, Bytes{buffer.data(), static_cast<std::size_t>(size)}, now);
      drain(now);
    }
  }
  void start(Moment now) override {
    start_ = now.mono;
    on_timer(now);
  }
  void on_timer(Moment now) override {
    on_readable();  // what waits in the socket, because this one process has a thousand, is no silence
    listener_->on_timer(now);
    drain(now);
  }

 private:
  void send_up(std::size_t, Bytes datagram) override { (void)socket_.send(datagram); }

  void drain(Moment now) {
    receive::Played played;
    while (listener_->next(played, now)) {
      if (last_ && played.sequence.value <= last_->value) ++counts_.twice;
      if (last_ && !played.discontinuity && played.sequence.value > last_->value)
        counts_.missed += played.sequence.value - last_->value - 1;
      last_ = played.sequence;
      const bool lost = played.kind == receive::PlayedKind::lost;
      ++(!lost ? counts_.frames : counts_.frames > 0 ? counts_.missed : counts_.before);
    }
  }

  net::UdpSocket socket_;
  Time start_;
  std::optional<node::Listener> listener_;
  std::optional<Sequence> last_;
  Counts counts_;
};

double quantile_ms(std::vector<Duration>& sorted, double q) {
  if (sorted.empty()) return -1;
  const auto at = static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1));
  return std::chrono::duration<double, std::milli>(sorted[at]).count();
}

int fail(const std::string& text) {
  std::fprintf(stderr, "swarm: %s\n", text.c_str());
  return 1;
}

int swarm(const Endpoint& edge, const node::Listener::Setup& setup, std::size_t count, Duration length, bool deaf) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  const net::Descriptor epoll{::epoll_create1(EPOLL_CLOEXEC)};
  if (!epoll) return fail("epoll_create1");
  net::SocketOptions options;
  options.packet_info = false;
  options.receive_buffer = 1 << 18;
  std::vector<std::unique_ptr<Ear>> ears;
  for (std::size_t i = 0; i < count; ++i) {
    auto socket = net::UdpSocket::connect(edge, options);
    if (!socket) return fail(socket.error().text);
    if (deaf) {
      auto ear = std::make_unique<DeafEar>(setup, std::move(*socket), net::read_clocks());
      if (!ear->filtered()) return fail("SO_ATTACH_FILTER");
      ears.push_back(std::move(ear));
    } else {
      ears.push_back(std::make_unique<ListeningEar>(setup, std::move(*socket), net::read_clocks()));
    }
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = i;
    if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, ears.back()->fd(), &event) != 0) return fail("epoll_ctl");
  }
  const Time begin = net::read_clocks().mono;
  const Time end = begin + length;
  std::size_t started = 0;
  std::array<epoll_event, 256> events;
  Time next_timers = Time::min();
  for (Moment now = net::read_clocks(); now.mono < end; now = net::read_clocks()) {
    const int ready = ::epoll_wait(epoll.get(), events.data(), static_cast<int>(events.size()), 1);
    for (int i = 0; i < ready; ++i) ears[events[static_cast<std::size_t>(i)].data.u64]->on_readable();
    const Moment after = net::read_clocks();
    for (; started < count && after.mono >= begin + kJoinEvery * static_cast<int>(started); ++started)
      ears[started]->start(after);
    if (after.mono < next_timers) continue;
    next_timers = after.mono + 5ms;
    for (std::size_t i = 0; i < started; ++i)
      if (after.mono >= ears[i]->due()) ears[i]->on_timer(after);
  }
  Counts all;
  std::size_t joined = 0;
  std::size_t with_misses = 0;
  std::vector<Duration> first;
  for (auto& ear : ears) {
    ear->leave();
    joined += ear->joined() ? 1 : 0;
    if (const auto after = ear->first_frame()) first.push_back(*after);
    all.frames += ear->counts().frames;
    all.missed += ear->counts().missed;
    all.before += ear->counts().before;
    all.twice += ear->counts().twice;
    with_misses += ear->counts().missed > 0 ? 1 : 0;
  }
  std::sort(first.begin(), first.end());
  const auto number = [](std::uint64_t n) { return static_cast<unsigned long long>(n); };
  std::printf("{\"listeners\": %zu, \"joined\": %zu, \"heard\": %zu, \"frames\": %llu, ", count, joined, first.size(),
              number(all.frames));
  std::printf("\"missed\": %llu, \"listeners_that_missed\": %zu, \"missed_before_first\": %llu, \"twice\": %llu, ",
              number(all.missed), with_misses, number(all.before), number(all.twice));
  std::printf("\"first_frame_ms_p50\": %.1f, \"first_frame_ms_p99\": %.1f}\n", quantile_ms(first, 0.5),
              quantile_ms(first, 0.99));
  return 0;
}

}  // namespace
}  // namespace tiercast

int main(int argc, char** argv) {
  using namespace tiercast;
  const bool deaf = argc == 8 && std::string_view{argv[7]} == "deaf";
  if (argc != 7 && !deaf) return fail("use: swarm ADDRESS:PORT EDGE_KEY GROUP SOURCE_ID:KEY LISTENERS SECONDS [deaf]");
  const auto edge = parse_endpoint(argv[1]);
  const auto key = cli::parse_public_key(argv[2], "tiercast pubkey");
  const auto group = cli::parse_number(argv[3], 1, 0xffffff);
  const auto source = cli::parse_source_key(argv[4]);
  const auto count = cli::parse_number(argv[5], 1, 100'000);
  const auto length = cli::parse_seconds(argv[6]);
  if (!edge || !key || !group || !source || !count || !length) return fail("an argument makes no sense");
  if (!crypto::initialise()) return fail("libsodium cannot start");
  crypto::SystemRandom random;
  node::Listener::Setup setup;
  setup.group = GroupId{static_cast<std::uint32_t>(*group)};
  setup.sources = {{source->id, source->key}};
  setup.parents = {{*key}};
  setup.random = &random;
  return swarm(*edge, setup, *count, *length, deaf);
}
