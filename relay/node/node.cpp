#include "relay/node/node.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>

#include "crypto/random.hpp"
#include "relay/base/exit_code.hpp"
#include "relay/net/passed_sockets.hpp"
#include "relay/node/feed_thread.hpp"
#include "relay/node/make_group.hpp"
#include "relay/ops/capabilities.hpp"
#include "relay/ops/log.hpp"
#include "relay/ops/passed_descriptors.hpp"

namespace tiercast::node {
namespace {

using Unit = tl::expected<void, net::Error>;

// Built in the order in which things need each other; what fails says which.
class Builder {
 public:
  Builder(const ConfigFiles& files, ReadConfig read)
      : config_(files.config), key_(files.key), signing_(files.signing), read_(std::move(read)) {
    random_.fill(token_key_.bytes());
  }

  int run() {
    // The steps own what they make in setup_; the keys outlive them all.
    std::optional<FeedThread> feed;
    auto opened = open_loop()
                      .and_then([&] { return open_public_ports(); })
                      .and_then([&] { return make_workers(); })
                      .and_then([&] { return drop_capabilities(); })
                      .and_then([&] { return open_groups(); })
                      .and_then([&]() -> Unit {
                        feed.emplace(make_setup());
                        return feed->open();
                      });
    if (!opened) {
      ops::log::error("cannot_start", {{"reason", opened.error().text}});
      return opened.error().exit_code;
    }
    return feed->run();
  }

 private:
  Unit open_loop() {
    auto loop = net::Loop::create();
    if (!loop) return tl::unexpected{loop.error()};
    loop_ = std::make_unique<net::Loop>(std::move(*loop));
    auto bell = net::Wake::create();
    if (!bell) return tl::unexpected{bell.error()};
    bell_ = std::move(*bell);
    return {};
  }

  // Sockets that a service manager has bound win over the configuration's addresses.
  Unit open_public_ports() {
    const auto passed = ops::take_passed_descriptors();
    if (!passed) return net::fail(passed.error(), ExitCode::os);
    if (!config_.listen && !passed->empty())
      return net::fail(
          "sockets are passed in, and this configuration has no [listen]: disable the socket unit, or add it",
          ExitCode::config);
    if (!config_.listen) return {};
    const config::Listen& listen = *config_.listen;
    for (unsigned w = 0; w < listen.workers; ++w) {
      std::uint16_t tag = 0;
      do tag = static_cast<std::uint16_t>(random_.u64());
      while (tag == 0 ||
             std::find(boot_tags_.begin(), boot_tags_.end(), tag) != boot_tags_.end());  // a lease names its worker
      boot_tags_.push_back(tag);
    }
    std::vector<net::PassedSocket> sockets;
    for (const auto& one : *passed) sockets.push_back({net::Descriptor{one.fd}, one.name});
    if (!sockets.empty()) {
      auto adopted = net::adopt_public(std::move(sockets), listen.addresses, boot_tags_);
      if (!adopted) return tl::unexpected{adopted.error()};
      public_ = std::move(*adopted);
      return {};
    }
    net::SocketOptions join_options;
    join_options.receive_buffer = 1 << 20;
    net::SocketOptions worker_options;
    worker_options.receive_buffer = 4 << 20;
    worker_options.send_buffer = 4 << 20;
    for (const Endpoint& address : listen.addresses) {
      auto bound = net::bind_public(address, boot_tags_, join_options, worker_options);
      if (!bound) return tl::unexpected{bound.error()};
      public_.push_back(std::move(*bound));
    }
    return {};
  }

  // Those who join at an address expect multicast from there too.
  static tl::expected<net::MulticastSender, net::Error> open_multicast(const config::Listen& listen) {
    net::MulticastSendOptions options;
    options.group = listen.multicast->group;
    options.interface = listen.multicast->interface;
    options.ttl = listen.multicast->ttl;
    options.send_buffer = 1 << 20;
    for (const Endpoint& address : listen.addresses) {
      if (net::family_of(address) != net::family_of(options.group) || net::is_unspecified(address.ip)) continue;
      options.from = Endpoint{address.ip, 0};
      break;
    }
    return net::MulticastSender::open(options);
  }

  /// One a worker, or of null pointers: sendmmsg sends.
  std::vector<std::unique_ptr<net::XdpSender>> open_backend(const config::Listen& listen) {
    std::vector<std::unique_ptr<net::XdpSender>> out(listen.workers);
    if (listen.backend == config::Backend::sendmmsg) {
      backend_ = {false, "as configured"};
    } else {
      backend_ = {true, {}};
      // Every group's part of each family is a multiple of a chunk.
      net::XdpOptions options;
      options.destinations =
          listen.max_leases / listen.workers + 2 * XDP_CHUNK * static_cast<std::uint32_t>(wire::kMaxGroups);
      for (auto& sender : out) {
        auto opened = net::XdpSender::open(options);
        if (opened) {
          sender = std::move(*opened);
          continue;
        }
        backend_ = {false, opened.error().text};
        out.clear();
        out.resize(listen.workers);
        break;
      }
    }
    // Asked for and not to be had is worth a look; that a node has no such privileges is as it mostly is.
    if (backend_.xdp) {
      ops::log::info("backend", {{"backend", "xdp"}});
    } else if (listen.backend == config::Backend::xdp) {
      ops::log::warning("backend", {{"backend", "sendmmsg"}, {"why", backend_.why}});
    } else if (listen.backend == config::Backend::automatic) {
      ops::log::info("backend", {{"backend", "sendmmsg"}, {"why", backend_.why}});
    }
    return out;
  }

  Unit make_workers() {
    if (!config_.listen) return {};
    const config::Listen& listen = *config_.listen;
    std::optional<net::MulticastSender> multicast;
    if (listen.multicast) {
      auto opened = open_multicast(listen);
      if (!opened) return tl::unexpected{opened.error()};
      multicast.emplace(std::move(*opened));
    }
    auto xdp = open_backend(listen);
    for (unsigned w = 0; w < listen.workers; ++w) {
      WorkerThread::Setup setup;
      setup.lane = Lane{static_cast<std::uint8_t>(w)};
      setup.boot_tag = boot_tags_[w];
      setup.max_leases = std::max<std::uint32_t>(1, listen.max_leases / listen.workers);
      setup.token_key = &token_key_;
      setup.feed_bell = bell_.get();
      setup.spread = listen.spread / 100.0;
      setup.sends_multicast = listen.multicast.has_value();
      if (!listen.cpus.empty()) setup.cpu = listen.cpus[w];
      setup.busy_poll = listen.busy_poll;
      std::vector<net::UdpSocket> sockets;
      for (net::PublicSockets& port : public_) sockets.push_back(std::move(port.workers[w]));
      auto worker =
          WorkerThread::create(setup, std::move(sockets), std::exchange(multicast, std::nullopt), std::move(xdp[w]));
      if (!worker) return tl::unexpected{worker.error()};
      links_.push_back({setup.lane,
                        setup.boot_tag,
                        &(*worker)->commands(),
                        &(*worker)->reports(),
                        &(*worker)->secrets(),
                        FreeSlots{setup.max_leases},
                        {},
                        {},
                        false,
                        false});
      workers_.push_back(std::move(*worker));
    }
    for (net::PublicSockets& port : public_) join_sockets_.push_back(std::move(port.join));
    return {};
  }

  // Before there is any other thread: what is loaded by now runs without them.
  Unit drop_capabilities() {
    if (const std::string why = ops::drop_bpf_capabilities(); !why.empty())
      ops::log::warning("capabilities_kept", {{"reason", why}});
    return {};
  }

  Unit open_groups() {
    const Moment now = net::read_clocks();
    auto commands = FinishedCommands::create();
    if (!commands) return tl::unexpected{commands.error()};
    commands_ = std::move(*commands);
    recordings_ = {loop_.get(), commands_.get(), config_.node.name,
                   fmt::format("{:08x}", static_cast<std::uint32_t>(random_.u64()))};
    if (config_.is_origin()) {
      auto state = store::OriginState::open(config_.node.state);
      if (!state) return net::fail(state.error().text, state.error().exit_code);
      state_.emplace(std::move(*state));
    }
    for (std::size_t g = 0; g < config_.groups.size(); ++g) {
      const config::Group& from = config_.groups[g];
      auto group = std::make_unique<FeedGroup>(make_group(from), random_);
      group->pinned = from.pinned;
      group->set_parity(from.parity);
      if (from.source) {
        if (const auto opened = open_media(from, GroupIndex{static_cast<std::uint16_t>(g)}); !opened) return opened;
        auto origin = make_origin(from, *signing_[g], *state_, random_, now);
        if (!origin) return tl::unexpected{origin.error()};
        group->origin = std::move(*origin);
        group->align = make_align_link(from, key_, random_, now);
      }
      if (from.record) {
        auto files = make_recording(from, recordings_);
        if (!files) return tl::unexpected{files.error()};
        group->recorder = make_recorder(from, group->group, std::move(*files), random_, now.mono);
      }
      feed_groups_.push_back(std::move(group));
    }
    return {};
  }

  // Before its origin, which uses up an epoch at each start.
  Unit open_media(const config::Group& group, GroupIndex index) {
    if (group.source->kind == config::InputKind::rtp) return {};
    auto file = MediaFile::open(*group.source, group.frame_ms);
    if (!file) return tl::unexpected{file.error()};
    const MediaThread::Setup setup{index, group.name, group.frame_ms, &random_, bell_.get()};
    media_.push_back(std::make_unique<MediaThread>(setup, std::move(*file)));
    return {};
  }

  FeedThread::Setup make_setup() {
    Feed::Setup feed;
    feed.key = &key_;
    feed.token_key = &token_key_;
    feed.random = &random_;
    feed.groups = std::move(feed_groups_);
    for (const auto& upstream : config_.upstreams) feed.parents.push_back(parent_of(upstream));
    feed.live_parents = static_cast<std::size_t>(config_.node.parents);
    for (const auto& downstream : config_.downstreams) feed.relay_keys.push_back(downstream.public_key);
    if (config_.edges) {
      feed.edges = keys_of(config_.edges->list);
      feed.elsewhere = config::told_of(*config_.edges, crypto::node_public_key(key_));
    }
    feed.workers = std::move(links_);
    return {config_,           std::move(read_),         std::move(loop_),
            std::move(bell_),  std::move(join_sockets_), std::move(workers_),
            std::move(media_), std::move(state_),        std::move(commands_),
            recordings_,       std::move(feed),          backend_,
            net::read_clocks()};
  }

  const config::Config& config_;
  const crypto::PrivateKey& key_;
  const std::vector<std::optional<crypto::PrivateKey>>& signing_;
  ReadConfig read_;
  crypto::SystemRandom random_;
  crypto::MacKey token_key_;
  std::unique_ptr<net::Loop> loop_;
  std::unique_ptr<net::Wake> bell_;
  std::vector<std::uint16_t> boot_tags_;
  std::vector<net::PublicSockets> public_;  // one a listen address
  std::vector<net::UdpSocket> join_sockets_;
  std::vector<std::unique_ptr<WorkerThread>> workers_;
  std::vector<WorkerLink> links_;
  Backend backend_;
  std::vector<std::unique_ptr<MediaThread>> media_;  // before the bell goes
  std::optional<store::OriginState> state_;
  std::unique_ptr<FinishedCommands> commands_;
  RecordingSetup recordings_;
  std::vector<std::unique_ptr<FeedGroup>> feed_groups_;
};

}  // namespace

int run_node(const ConfigFiles& files, ReadConfig read) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);  // taken by the feed's signalfd; threads made later inherit this
  ::signal(SIGPIPE, SIG_IGN);
  return Builder{files, std::move(read)}.run();
}

}  // namespace tiercast::node
