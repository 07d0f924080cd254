#include "relay/node/make_group.hpp"

namespace tiercast::node {
namespace {
/// Of two.
const config::SourceKey& other_source(const config::Group& group) {
  return group.sources[group.sources[0].id == group.source->id ? 1 : 0];
}
}  // namespace

std::unique_ptr<AlignLink> make_align_link(const config::Group& group, const crypto::PrivateKey& own_key,
                                           Random& random, Moment now) {
  if (!group.source || !group.source->align) return nullptr;
  const config::SourceKey& other = other_source(group);
  const AlignLink::Setup setup{group.id,
                               std::chrono::milliseconds{group.frame_ms},
                               {other.id, other.key},
                               group.source->align->public_key,
                               &own_key,
                               &random};
  return std::make_unique<AlignLink>(setup, now.mono);
}

std::vector<config::Upstream> align_upstreams(const config::Config& config) {
  std::vector<config::Upstream> out;
  for (const config::Group& group : config.groups)
    if (group.source && group.source->align)
      out.push_back({group.source->align->address, group.source->align->public_key});
  return out;
}

std::unique_ptr<Group> make_group(const config::Group& from) {
  std::vector<forward::Source> sources;
  for (const auto& source : from.sources) sources.push_back({source.id, source.key});
  return std::make_unique<Group>(from.id, from.name, std::chrono::milliseconds{from.frame_ms}, std::move(sources));
}

store::SourceState to_state(const Origin::SaveJob& job) { return {job.epochs, job.last, job.at, job.point}; }

tl::expected<std::unique_ptr<Origin>, net::Error> make_origin(const config::Group& group, const crypto::PrivateKey& key,
                                                              const store::OriginState& state, Random& random,
                                                              Moment now) {
  auto loaded = state.load(group.id, group.source->id);
  if (!loaded) return net::fail(loaded.error().text, loaded.error().exit_code);
  if (!loaded->warning.empty()) ops::log::warning("origin_state", {{"group", group.name}, {"reason", loaded->warning}});
  // Another boot's clock, or a container's of its own, says nothing.
  const store::SourceState& before = loaded->state;
  const bool this_boot = before.last.value > 0 && before.at <= now.mono;
  Origin::Setup setup;
  setup.group = group.id;
  setup.source = group.source->id;
  setup.frame_ms = group.frame_ms;
  setup.signing_key = &key;
  setup.epochs = before.epochs;
  setup.last = before.last;
  if (this_boot) setup.since = now.mono - before.at;
  if (this_boot) setup.point = before.point;
  setup.rotate_every = group.rotate;
  setup.random = &random;
  if (group.source->align) setup.align = other_source(group).id;
  auto origin = std::make_unique<Origin>(setup, now);
  while (const auto job = origin->take_save(now.mono)) {
    const auto saved = state.save(group.id, group.source->id, to_state(*job));
    if (!saved) return net::fail(saved.error().text, saved.error().exit_code);
    origin->on_saved(true, now);
  }
  return origin;
}

store::RecordingPlace recording_place(const config::Group& group, const RecordingSetup& setup) {
  return {group.record->directory, group.name, setup.node, setup.tag};
}

tl::expected<std::unique_ptr<store::Recording>, net::Error> make_recording(const config::Group& group,
                                                                           const RecordingSetup& setup) {
  // By value: what is recorded now is finished as it was configured, whatever a reload says.
  const auto finished = [group, setup](const store::Recording::Finished& file) {
    run_finished_command(group, setup, file.path, file.why);
  };
  return store::Recording::create(*setup.loop, recording_place(group, setup), finished);
}

std::unique_ptr<Recorder> make_recorder(const config::Group& from, const Group& group,
                                        std::unique_ptr<store::Recording> files, Random& random, Time now) {
  const std::string node = files->place().node;
  auto recorder = std::make_unique<Recorder>(group, std::move(files), Recorder::Options{node, from.record->silence},
                                             static_cast<std::uint32_t>(random.u64()));
  recorder->await_leftover(now);
  return recorder;
}

void run_finished_command(const config::Group& group, const RecordingSetup& setup, const std::string& file,
                          receive::FinishedBy why) {
  if (group.record->finished.empty()) return;
  setup.commands->run({group.record->finished, file, group.name, setup.node, receive::to_text(why)});
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
