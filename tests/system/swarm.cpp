// Many real listeners in one process: each a node::Listener behind connected sockets of its own, one for each parent,
// driven by one epoll. Counts every sequence of every one and prints what they got as JSON, at the end or at SIGTERM;
// on request a frame log of all, in the form of `tiercast listen --frame-log` with the listener's number in front, and
// a file that is there once each has as many live parents as it wants and, if it knows more, one that stands by. A tool
// of tests, drills and benchmarks; decides nothing about the stream. "deaf" ones hold a lease like any other, but the
// kernel drops what is sent to them: for measuring a node with more listeners than this machine could be.
#include <linux/filter.h>
#include <signal.h>
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
#include "crypto/signature.hpp"
#include "relay/cli/arguments.hpp"
#include "relay/net/loop.hpp"
#include "relay/net/udp_socket.hpp"
#include "relay/node/listener.hpp"

namespace tiercast {
namespace {

constexpr Duration kJoinEvery = 1ms;  // on the average: as many a second as one processor of a node can admit

struct Counts {
  std::uint64_t frames = 0;    // ticks that came, with audio or without
  std::uint64_t missed = 0;    // ticks that did not, told as lost or left out, since its first one
  std::uint64_t before = 0;    // the same before its first one
  std::uint64_t twice = 0;     // not above the one before
  std::uint64_t repaired = 0;  // came after a later one
};

/// One of the swarm.
class Ear {
 public:
  virtual ~Ear() = default;
  virtual std::size_t sockets() const { return 1; }
  virtual int fd(std::size_t socket) const = 0;
  virtual Time due() const = 0;
  /// Its HELLO leaves now.
  virtual void start(Moment now) = 0;
  virtual void on_readable(std::size_t socket) = 0;
  virtual void on_timer(Moment now) = 0;
  virtual void leave() {}
  virtual bool joined() const = 0;
  /// It has all the parents that it is to have.
  virtual bool ready(Time) const { return joined(); }
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
    filtered_ = ::setsockopt(socket_.fd(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0;
  }
  bool filtered() const { return filtered_; }
  int fd(std::size_t) const override { return socket_.fd(); }
  Time due() const override { return parent_.next_deadline(); }
  bool joined() const override { return parent_.leased(); }
  void start(Moment now) override { on_timer(now); }
  void on_readable(std::size_t) override {
    std::array<std::uint8_t, 2048> buffer, records;
    while (true) {
      const ssize_t size = ::recv(socket_.fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
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

/// A line per tick of each ear; null: nobody wants any.
class FrameLog {
 public:
  bool open(const char* path) {
    file_ = std::fopen(path, "w");
    return file_ != nullptr;
  }
  ~FrameLog() {
    if (file_ != nullptr) std::fclose(file_);
  }
  void flush() {
    if (file_ != nullptr) std::fflush(file_);
  }
  void add(std::size_t ear, const receive::Played& played, Time now) {
    if (file_ == nullptr) return;
    const char* kind = played.kind == receive::PlayedKind::frame   ? "frame"
                       : played.kind == receive::PlayedKind::empty ? "empty"
                                                                   : "lost";
    std::array<char, 2 * sizeof(crypto::AttestHash) + 1> hash{};
    std::size_t at = 0;
    for (const std::uint8_t b : crypto::attest_hash(played.opus)) std::snprintf(&hash[2 * at++], 3, "%02x", b);
    const auto ms = [](Duration d) { return std::chrono::duration<double, std::milli>(d).count(); };
    std::fprintf(file_, "%zu %llu %s %zu %s %.3f %.3f\n", ear, static_cast<unsigned long long>(played.sequence.value),
                 kind, played.opus.size(), hash.data(), ms(now - played.arrived),
                 ms(played.arrived.time_since_epoch()));
  }

 private:
  std::FILE* file_ = nullptr;
};

class ListeningEar final : public Ear, private node::UplinkOutlet {
 public:
  ListeningEar(std::size_t number, node::Listener::Setup setup, std::vector<net::UdpSocket> sockets, FrameLog& log,
               Moment now)
      : number_(number), sockets_(std::move(sockets)), log_(log) {
    setup.uplinks = this;
    listener_.emplace(std::move(setup), now);
  }
  std::size_t sockets() const override { return sockets_.size(); }
  int fd(std::size_t socket) const override { return sockets_[socket].fd(); }
  Time due() const override { return listener_->next_deadline(); }
  bool joined() const override { return listener_->joined_at().has_value(); }
  /// As many as should bring frames, and of the others one stands by.
  bool ready(Time now) const override {
    const std::size_t wanted = std::min(sockets_.size(), listener_->choice().wanted());
    std::size_t live = 0, warm = 0;
    for (const control::Parent& parent : listener_->parents())
      if (parent.health(now) == control::Health::good) ++(parent.duty() == control::Duty::live ? live : warm);
    return first_frame() && live == wanted && (warm > 0 || wanted == sockets_.size());
  }
  std::optional<Duration> first_frame() const override {
    const auto at = listener_->first_frame_at();
    return at ? std::optional{*at - start_} : std::nullopt;
  }
  Counts counts() const override { return counts_; }
  void leave() override { listener_->leave(); }

  void on_readable(std::size_t socket) override {
    std::array<std::uint8_t, 2048> buffer;
    while (true) {
      const ssize_t size = ::recv(fd(socket), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (size < 0 && errno == ECONNREFUSED) {
        listener_->on_unreachable(socket, net::read_clocks());
        continue;
      }
      if (size < 0) return;
      const Moment now = net::read_clocks();
      listener_->on_datagram(socket, Bytes{buffer.data(), static_cast<std::size_t>(size)}, now);
      drain(now);
    }
  }
  void start(Moment now) override {
    start_ = now.mono;
    on_timer(now);
  }
  void on_timer(Moment now) override {
    // What waits in a socket, because this one process has a thousand, is no silence.
    for (std::size_t i = 0; i < sockets_.size(); ++i) on_readable(i);
    listener_->on_timer(now);
    drain(now);
  }

 private:
  void send_up(std::size_t parent, Bytes datagram) override { (void)sockets_[parent].send(datagram); }

  void drain(Moment now) {
    receive::Played played;
    while (listener_->next(played, now)) {
      log_.add(number_, played, now.mono);
      if (last_ && played.sequence.value <= last_->value) ++counts_.twice;
      if (last_ && !played.discontinuity && played.sequence.value > last_->value)
        counts_.missed += played.sequence.value - last_->value - 1;
      last_ = played.sequence;
      const bool lost = played.kind == receive::PlayedKind::lost;
      ++(!lost ? counts_.frames : counts_.frames > 0 ? counts_.missed : counts_.before);
      counts_.repaired += played.repaired ? 1 : 0;
    }
  }

  std::size_t number_;
  std::vector<net::UdpSocket> sockets_;
  FrameLog& log_;
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

volatile sig_atomic_t g_stop = 0;

struct Options {
  std::vector<Endpoint> edges;
  node::Listener::Setup setup;
  std::size_t count = 0;
  Duration length{0};
  bool deaf = false;
  const char* frames = nullptr;
  const char* ready = nullptr;  // made once everybody is
};

tl::expected<std::unique_ptr<Ear>, std::string> make_ear(std::size_t number, const Options& options, FrameLog& log) {
  net::SocketOptions socket_options;
  socket_options.packet_info = false;
  socket_options.receive_buffer = 1 << 18;
  std::vector<net::UdpSocket> sockets;
  for (const Endpoint& edge : options.edges) {
    auto socket = net::UdpSocket::connect(edge, socket_options);
    if (!socket) return tl::unexpected(socket.error().text);
    sockets.push_back(std::move(*socket));
  }
  if (!options.deaf)
    return std::make_unique<ListeningEar>(number, options.setup, std::move(sockets), log, net::read_clocks());
  auto ear = std::make_unique<DeafEar>(options.setup, std::move(sockets.front()), net::read_clocks());
  if (!ear->filtered()) return tl::unexpected(std::string{"SO_ATTACH_FILTER"});
  return ear;
}

void print(const std::vector<std::unique_ptr<Ear>>& ears) {
  Counts all;
  std::size_t joined = 0;
  std::size_t with_misses = 0;
  std::vector<Duration> first;
  for (const auto& ear : ears) {
    joined += ear->joined() ? 1 : 0;
    if (const auto after = ear->first_frame()) first.push_back(*after);
    const Counts counts = ear->counts();
    all.frames += counts.frames;
    all.missed += counts.missed;
    all.before += counts.before;
    all.twice += counts.twice;
    all.repaired += counts.repaired;
    with_misses += counts.missed > 0 ? 1 : 0;
  }
  std::sort(first.begin(), first.end());
  const auto number = [](std::uint64_t n) { return static_cast<unsigned long long>(n); };
  std::printf("{\"listeners\": %zu, \"joined\": %zu, \"heard\": %zu, \"frames\": %llu, ", ears.size(), joined,
              first.size(), number(all.frames));
  std::printf("\"missed\": %llu, \"listeners_that_missed\": %zu, \"missed_before_first\": %llu, \"twice\": %llu, ",
              number(all.missed), with_misses, number(all.before), number(all.twice));
  std::printf("\"repaired\": %llu, \"first_frame_ms_p50\": %.1f, \"first_frame_ms_p99\": %.1f}\n", number(all.repaired),
              quantile_ms(first, 0.5), quantile_ms(first, 0.99));
}

bool make_file(const char* path) {
  std::FILE* file = std::fopen(path, "w");
  return file != nullptr && std::fclose(file) == 0;
}

int swarm(const Options& options) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  struct sigaction action {};
  action.sa_handler = [](int) { g_stop = 1; };
  ::sigaction(SIGTERM, &action, nullptr);
  const net::Descriptor epoll{::epoll_create1(EPOLL_CLOEXEC)};
  if (!epoll) return fail("epoll_create1");
  FrameLog log;
  if (options.frames != nullptr && !log.open(options.frames))
    return fail(std::string{options.frames} + ": cannot be written");
  std::vector<std::unique_ptr<Ear>> ears;
  for (std::size_t i = 0; i < options.count; ++i) {
    auto ear = make_ear(i, options, log);
    if (!ear) return fail(ear.error());
    ears.push_back(std::move(*ear));
    for (std::size_t socket = 0; socket < ears[i]->sockets(); ++socket) {
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = socket << 32 | i;
      if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, ears[i]->fd(socket), &event) != 0) return fail("epoll_ctl");
    }
  }
  const Time begin = net::read_clocks().mono;
  const Time end = begin + options.length;
  std::size_t started = 0;
  bool told = options.ready == nullptr;
  std::array<epoll_event, 256> events;
  Time next_timers = Time::min();
  for (Moment now = net::read_clocks(); now.mono < end && g_stop == 0; now = net::read_clocks()) {
    const int ready = ::epoll_wait(epoll.get(), events.data(), static_cast<int>(events.size()), 1);
    for (int i = 0; i < ready; ++i) {
      const std::uint64_t of = events[static_cast<std::size_t>(i)].data.u64;
      ears[of & 0xffffffff]->on_readable(of >> 32);
    }
    const Moment after = net::read_clocks();
    for (; started < options.count && after.mono >= begin + kJoinEvery * static_cast<int>(started); ++started)
      ears[started]->start(after);
    if (after.mono < next_timers) continue;
    next_timers = after.mono + 5ms;
    log.flush();
    for (std::size_t i = 0; i < started; ++i)
      if (after.mono >= ears[i]->due()) ears[i]->on_timer(after);
    if (told || !std::all_of(ears.begin(), ears.end(), [&](const auto& ear) { return ear->ready(after.mono); }))
      continue;
    told = make_file(options.ready);
    if (!told) return fail(std::string{options.ready} + ": cannot be written");
  }
  for (const auto& ear : ears) ear->leave();
  print(ears);
  return 0;
}

constexpr const char* kUse =
    "use: swarm ADDRESS:PORT EDGE_KEY GROUP SOURCE_ID:KEY LISTENERS SECONDS [deaf | frames FILE | ready FILE | "
    "playout MS | parent ADDRESS:PORT EDGE_KEY | live N | source SOURCE_ID:KEY] ...";

/// The words from there on; false: one makes no sense.
bool parse_words(std::span<char*> words, Options& options) {
  while (!words.empty()) {
    const std::string_view word = words.front();
    const std::size_t takes = word == "deaf" ? 0 : word == "parent" ? 2 : 1;
    if (words.size() <= takes) return false;
    if (word == "deaf") {
      options.deaf = true;
    } else if (word == "frames") {
      options.frames = words[1];
    } else if (word == "ready") {
      options.ready = words[1];
    } else if (word == "live") {
      const auto live = cli::parse_number(words[1], 1, 8);
      if (!live) return false;
      options.setup.live_parents = *live;
    } else if (word == "playout") {
      const auto ms = cli::parse_number(words[1], 20, 8000);
      if (!ms) return false;
      options.setup.playout = std::chrono::milliseconds{*ms};
    } else if (word == "parent") {
      const auto edge = parse_endpoint(words[1]);
      const auto key = cli::parse_public_key(words[2], "tiercast pubkey");
      if (!edge || !key) return false;
      options.edges.push_back(*edge);
      options.setup.parents.push_back({*key});
    } else if (word == "source") {
      const auto source = cli::parse_source_key(words[1]);
      if (!source) return false;
      options.setup.sources.push_back({source->id, source->key});
    } else {
      return false;
    }
    words = words.subspan(1 + takes);
  }
  return true;
}

}  // namespace
}  // namespace tiercast

int main(int argc, char** argv) {
  using namespace tiercast;
  if (argc < 7) return fail(kUse);
  const auto edge = parse_endpoint(argv[1]);
  const auto key = cli::parse_public_key(argv[2], "tiercast pubkey");
  const auto group = cli::parse_number(argv[3], 1, 0xffffff);
  const auto source = cli::parse_source_key(argv[4]);
  const auto count = cli::parse_number(argv[5], 1, 100'000);
  const auto length = cli::parse_seconds(argv[6]);
  if (!edge || !key || !group || !source || !count || !length) return fail("an argument makes no sense");
  if (!crypto::initialise()) return fail("libsodium cannot start");
  crypto::SystemRandom random;
  Options options;
  options.edges = {*edge};
  options.count = *count;
  options.length = *length;
  options.setup.group = GroupId{static_cast<std::uint32_t>(*group)};
  options.setup.sources = {{source->id, source->key}};
  options.setup.parents = {{*key}};
  options.setup.random = &random;
  if (!parse_words({argv + 7, static_cast<std::size_t>(argc - 7)}, options)) return fail(kUse);
  return swarm(options);
}
