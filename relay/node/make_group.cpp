#include "relay/node/make_group.hpp"

namespace tiercast::node {
namespace {
tl::unexpected<net::Error> failed(const std::string& text, int exit_code) {
  return tl::unexpected{net::Error{text, exit_code}};
}
}  // namespace

std::unique_ptr<Group> make_group(const config::Group& from) {
  std::vector<forward::Source> sources;
  for (const auto& source : from.sources) sources.push_back({source.id, source.key});
  return std::make_unique<Group>(from.id, from.name, std::chrono::milliseconds{from.frame_ms}, std::move(sources));
}

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

ops::log::Level log_level(const config::Config& config) {
  switch (config.log_level) {
    case config::LogLevel::debug: return ops::log::Level::debug;
    case config::LogLevel::info: return ops::log::Level::info;
    case config::LogLevel::warning: return ops::log::Level::warning;
    case config::LogLevel::error: return ops::log::Level::error;
  }
  return ops::log::Level::info;
}

tl::expected<net::UdpSocket, net::Error> bind_rtp(const Endpoint& at) {
  net::SocketOptions options;
  options.packet_info = false;
  options.receive_buffer = 1 << 20;
  options.patience = 2s;
  return net::UdpSocket::bind(at, options);
}

}  // namespace tiercast::node
