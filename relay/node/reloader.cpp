#include "relay/node/reloader.hpp"

#include <pthread.h>

#include <algorithm>
#include <system_error>

namespace tiercast::node {

Reloader::~Reloader() {
  if (thread_.joinable()) thread_.join();
}

void Reloader::start(const config::Config& running, const config::EdgeSerials& seen) try {
  thread_ = std::thread{[this, running, seen] {
    pthread_setname_np(pthread_self(), "reload");
    PreparedReload prepared = prepare(running, seen);
    {
      const std::lock_guard lock{mutex_};
      done_ = std::move(prepared);
    }
    setup_.bell->signal();
  }};
} catch (const std::system_error& error) {
  PreparedReload refused;  // a limit of threads must not end what runs
  refused.problems.push_back(std::string{"no thread to read the file by: "} + error.what());
  done_ = std::move(refused);
  setup_.bell->signal();
}

std::optional<PreparedReload> Reloader::take() {
  std::optional<PreparedReload> done;
  {
    const std::lock_guard lock{mutex_};
    done = std::exchange(done_, std::nullopt);
  }
  if (done && thread_.joinable()) thread_.join();  // it has nothing left to do
  return done;
}

PreparedReload Reloader::prepare(const config::Config& running, const config::EdgeSerials& seen) const {
  PreparedReload out;
  const auto files = setup_.read();
  if (!files) {
    out.problems = files.error();
    return out;
  }
  out.changes = config::changes(running, files->config, seen);
  if (crypto::node_public_key(files->key) != setup_.own_key && running.node.key == files->config.node.key)
    out.changes.restart.push_back("node.key: " + running.node.key.path + " holds another key now");
  prepare_groups(*files, out);
  if (!out.problems.empty()) discard(out);
  return out;
}

void Reloader::discard(PreparedReload& prepared) { prepared.groups.clear(); }

void Reloader::prepare_groups(const ConfigFiles& files, PreparedReload& out) const {
  const Moment now = net::read_clocks();
  const auto record = [&](const config::Group& group, PreparedGroup& prepared) {
    if (!group.record) return;
    auto file = make_recording(group, setup_.recordings);
    if (!file) return out.problems.push_back("group \"" + group.name + "\": " + file.error().text);
    prepared.recording = std::move(*file);
  };
  for (std::size_t g = 0; g < files.config.groups.size(); ++g) {
    const config::Group& group = files.config.groups[g];
    const auto& added = out.changes.groups_added;
    if (std::find(added.begin(), added.end(), group.id) == added.end()) continue;
    PreparedGroup prepared{group.id, make_group(group), nullptr, std::nullopt, nullptr};
    if (group.source) {
      auto socket = bind_rtp(group.source->rtp);  // before the origin, which uses up an epoch
      if (!socket) return out.problems.push_back("group \"" + group.name + "\": " + socket.error().text);
      prepared.rtp = std::move(*socket);
      auto origin = make_origin(group, *files.signing[g], *setup_.state, *setup_.random, now);
      if (!origin) return out.problems.push_back("group \"" + group.name + "\": " + origin.error().text);
      prepared.origin = std::move(*origin);
    }
    record(group, prepared);
    out.groups.push_back(std::move(prepared));
  }
  for (const config::GroupChange& change : out.changes.groups_changed) {
    if (!change.record) continue;
    PreparedGroup prepared{change.id, nullptr, nullptr, std::nullopt, nullptr};
    record(*config::find_group(out.changes.result, change.id), prepared);
    out.groups.push_back(std::move(prepared));
  }
}

}  // namespace tiercast::node
