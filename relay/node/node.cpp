#include "relay/node/node.hpp"

#include <pthread.h>
#include <signal.h>

#include "crypto/random.hpp"
#include "relay/base/exit_code.hpp"
#include "relay/net/passed_sockets.hpp"
#include "relay/node/feed_thread.hpp"
#include "relay/ops/log.hpp"
#include "relay/ops/passed_descriptors.hpp"
#include "relay/store/recording.hpp"

namespace tiercast::node {
namespace {

using Unit = tl::expected<void, net::Error>;

tl::unexpected<net::Error> failed(const std::string& text, int exit_code) {
  return tl::unexpected{net::Error{text, exit_code}};
}

std::vector<std::unique_ptr<Group>> make_groups(const config::Config& config) {
  std::vector<std::unique_ptr<Group>> groups;
  for (const auto& from : config.groups) {
    std::vector<forward::Source> sources;
    for (const auto& source : from.sources) sources.push_back({source.id, source.key});
    const GroupIndex index{static_cast<std::uint16_t>(groups.size())};
    groups.push_back(std::make_unique<Group>(index, from.id, from.name, std::chrono::milliseconds{from.frame_ms},
                                             std::move(sources)));
  }
  return groups;
}

// The origin's first epoch must be on disk before its first frame: saved here, before any thread runs.
tl::expected<std::unique_ptr<Origin>, net::Error> make_origin(const config::Group& group, const crypto::PrivateKey& key,
                                                              const store::OriginState& state, Random& random,
                                                              Moment now) {
  auto loaded = state.load(group.id, group.source->id);
  if (!loaded) return failed(loaded.error().text, loaded.error().exit_code);
  if (!loaded->warning.empty()) ops::log::warning("origin_state", {{"group", group.name}, {"reason", loaded->warning}});
  auto origin = std::make_unique<Origin>(Origin::Setup{group.id, group.source->id, group.frame_ms, &key,
                                                       loaded->state.epochs, loaded->state.last, group.rotate, &random},
                                         now);
  while (const auto job = origin->take_save(now.mono)) {
    const auto saved = state.save(group.id, group.source->id, {job->epochs, job->last});
    if (!saved) return failed(saved.error().text, saved.error().exit_code);
    origin->on_saved(true, now);
  }
  return origin;
}

// Built in the order in which things need each other; what fails says which.
class Builder {
 public:
  Builder(const config::Config& config, const crypto::PrivateKey& key,
          const std::vector<std::optional<crypto::PrivateKey>>& signing)
      : config_(config), key_(key), signing_(signing), groups_(make_groups(config)) {
    random_.fill(token_key_.bytes());
  }

  int run() {
    // The steps own what they make in setup_; the groups and keys outlive them all.
    std::optional<FeedThread> feed;
    auto opened = open_loop()
                      .and_then([&] { return open_public_ports(); })
                      .and_then([&] { return make_workers(); })
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
    if (!passed) return failed(passed.error(), ExitCode::os);
    if (!config_.listen && !passed->empty())
      return failed("sockets are passed in, and this configuration has no [listen]: disable the socket unit, or add it",
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

  Unit make_workers() {
    if (!config_.listen) return {};
    const config::Listen& listen = *config_.listen;
    for (unsigned w = 0; w < listen.workers; ++w) {
      WorkerThread::Setup setup;
      setup.lane = Lane{static_cast<std::uint8_t>(w)};
      setup.boot_tag = boot_tags_[w];
      setup.max_leases = std::max<std::uint32_t>(1, listen.max_leases / listen.workers);
      setup.token_key = &token_key_;
      setup.groups = groups_;
      setup.feed_bell = bell_.get();
      std::vector<net::UdpSocket> sockets;
      for (net::PublicSockets& port : public_) sockets.push_back(std::move(port.workers[w]));
      auto worker = WorkerThread::create(setup, std::move(sockets));
      if (!worker) return tl::unexpected{worker.error()};
      links_.push_back({setup.lane,
                        setup.boot_tag,
                        &(*worker)->commands(),
                        &(*worker)->reports(),
                        &(*worker)->secrets(),
                        FreeSlots{setup.max_leases},
                        {},
                        false,
                        false});
      workers_.push_back(std::move(*worker));
    }
    for (net::PublicSockets& port : public_) join_sockets_.push_back(std::move(port.join));
    return {};
  }

  Unit open_groups() {
    const Moment now = net::read_clocks();
    if (config_.is_origin()) {
      auto state = store::OriginState::open(config_.node.state);
      if (!state) return failed(state.error().text, state.error().exit_code);
      state_.emplace(std::move(*state));
    }
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      const config::Group& from = config_.groups[g];
      auto group = std::make_unique<FeedGroup>(*groups_[g], random_, workers_.size());
      group->pinned = from.pinned;
      if (from.source) {
        if (const auto opened = open_media(from, GroupIndex{static_cast<std::uint16_t>(g)}); !opened) return opened;
        auto origin = make_origin(from, *signing_[g], *state_, random_, now);
        if (!origin) return tl::unexpected{origin.error()};
        group->origin = std::move(*origin);
      }
      if (from.record) {
        auto file = store::Recording::create(*loop_, from.record->directory, from.name, now.wall);
        if (!file) return tl::unexpected{file.error()};
        ops::log::info("recording", {{"group", from.name}, {"file", (*file)->path()}});
        group->recording = &(*file)->counters();
        group->recorder =
            std::make_unique<Recorder>(*groups_[g], std::move(*file), static_cast<std::uint32_t>(random_.u64()));
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
    feed.groups = groups_;
    feed.feed_groups = std::move(feed_groups_);
    Duration silence = wire::kSilenceFloor;
    for (const auto& group : groups_) silence = std::max(silence, group->silence());
    const std::size_t parents = std::min(config_.upstreams.size(), static_cast<std::size_t>(config_.node.parents));
    for (std::size_t p = 0; p < parents; ++p) {
      control::ParentConfig parent;
      parent.key = config_.upstreams[p].public_key;
      parent.own_key = &key_;
      parent.request.role = wire::Role::relay;
      parent.silence = silence;
      feed.parents.push_back(parent);
    }
    for (const auto& downstream : config_.downstreams) feed.relay_keys.push_back(downstream.public_key);
    feed.workers = std::move(links_);
    return {&config_,          std::move(loop_),  std::move(bell_), std::move(join_sockets_), std::move(workers_),
            std::move(media_), std::move(state_), std::move(feed),  net::read_clocks()};
  }

  const config::Config& config_;
  const crypto::PrivateKey& key_;
  const std::vector<std::optional<crypto::PrivateKey>>& signing_;
  crypto::SystemRandom random_;
  crypto::MacKey token_key_;
  std::vector<std::unique_ptr<Group>> groups_;
  std::unique_ptr<net::Loop> loop_;
  std::unique_ptr<net::Wake> bell_;
  std::vector<std::uint16_t> boot_tags_;
  std::vector<net::PublicSockets> public_;  // one a listen address
  std::vector<net::UdpSocket> join_sockets_;
  std::vector<std::unique_ptr<WorkerThread>> workers_;
  std::vector<WorkerLink> links_;
  std::vector<std::unique_ptr<MediaThread>> media_;  // before the bell goes
  std::optional<store::OriginState> state_;
  std::vector<std::unique_ptr<FeedGroup>> feed_groups_;
};

}  // namespace

int run_node(const config::Config& config, const crypto::PrivateKey& key,
             const std::vector<std::optional<crypto::PrivateKey>>& signing) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);  // taken by the feed's signalfd; threads made later inherit this
  ::signal(SIGPIPE, SIG_IGN);
  return Builder{config, key, signing}.run();
}

}  // namespace tiercast::node
