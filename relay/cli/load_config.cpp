#include "relay/cli/load_config.hpp"

#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "relay/base/exit_code.hpp"
#include "relay/store/edge_list_file.hpp"
#include "relay/store/key_file.hpp"
#include "relay/store/text_file.hpp"

namespace tiercast::cli {
namespace {

constexpr std::size_t kMostRead = (std::size_t{1} << 20) + 1;  // one more than parse() takes: it says what is wrong

/// Collects why keys cannot be used.
class KeyProblems {
 public:
  void add(std::string text, int exit_code) {
    exit_code_ = texts_.empty() ? exit_code : static_cast<int>(ExitCode::config);
    texts_.push_back(std::move(text));
  }
  bool empty() const { return texts_.empty(); }
  LoadFailure take() { return {exit_code_, std::move(texts_)}; }

 private:
  int exit_code_ = 0;
  std::vector<std::string> texts_;
};

/// Reads the list that it names, if it names one.
std::optional<LoadFailure> load_edges(config::Config& config, const std::string& file) {
  if (!config.edges) return std::nullopt;
  config::Edges& edges = *config.edges;
  auto list = store::read_edge_list(edges.file, edges.operator_key);
  if (!list) return LoadFailure{list.error().exit_code, {list.error().text}};
  edges.list = std::move(*list);
  LoadFailure failure{ExitCode::config, {}};
  for (const HostPort& address : edges.elsewhere) {
    const auto& all = edges.list.edges;
    const bool there =
        std::any_of(all.begin(), all.end(), [&](const auto& edge) { return edge && edge->address == address; });
    if (!there)
      failure.problems.push_back(file + ": edges.elsewhere: " + to_string(address) + " is not in " + edges.file +
                                 "; write it as it stands there");
  }
  if (failure.problems.empty()) return std::nullopt;
  return failure;
}

void check_neighbours(const config::Config& config, const crypto::PublicKey& own, KeyProblems& problems) {
  const std::string whose = ": public_key is this node's own (of " + config.node.key.path + "); use the other's";
  for (const config::Upstream& upstream : config.upstreams) {
    if (upstream.public_key == own) problems.add("upstream " + upstream.address.host + whose, ExitCode::config);
  }
  for (const config::Downstream& downstream : config.downstreams) {
    if (downstream.public_key == own) problems.add("downstream " + downstream.name + whose, ExitCode::config);
  }
  for (const config::Group& group : config.groups) {
    if (group.source && group.source->align && group.source->align->public_key == own)
      problems.add("group \"" + group.name + "\": align_key is this node's own (of " + config.node.key.path +
                       "); use the other origin's",
                   ExitCode::config);
  }
}

void check_signing_key(const config::Group& group, const crypto::PrivateKey& key, KeyProblems& problems) {
  const auto named = std::find_if(group.sources.begin(), group.sources.end(),
                                  [&](const config::SourceKey& source) { return source.id == group.source->id; });
  const crypto::PublicKey own = crypto::signing_public_key(key);
  if (named != group.sources.end() && named->key == own) return;
  problems.add(group.source->signing_key.path + ": not the key of source " + std::to_string(group.source->id.value) +
                   " of group \"" + group.name + "\", whose listeners would refuse every frame; its public key is " +
                   crypto::to_base64(own),
               ExitCode::config);
}

}  // namespace

config::Machine this_machine() {
  config::Machine machine;
  cpu_set_t usable;
  CPU_ZERO(&usable);
  if (::sched_getaffinity(0, sizeof usable, &usable) == 0) {
    machine.cpus = static_cast<unsigned>(CPU_COUNT(&usable));
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &usable)) machine.usable.push_back(cpu);
  }
  if (const char* directory = std::getenv("CREDENTIALS_DIRECTORY")) machine.credentials_directory = directory;
  return machine;
}

tl::expected<config::Config, LoadFailure> load_config(const std::string& file, bool only_looked_at,
                                                      config::Machine machine) {
  const auto text = store::read_text_file(file, kMostRead);
  if (!text) {
    const std::string reason = std::strerror(text.error());
    return tl::unexpected(LoadFailure{ExitCode::no_input, {file + ": cannot read the configuration: " + reason}});
  }
  machine.outside_its_unit = only_looked_at;
  config::Loaded loaded = config::parse(*text, file, machine);
  if (loaded.config) {
    if (auto failure = load_edges(*loaded.config, file)) return tl::unexpected(std::move(*failure));
    return std::move(*loaded.config);
  }
  LoadFailure failure{ExitCode::config, {}};
  for (config::Problem& problem : loaded.problems) failure.problems.push_back(std::move(problem.text));
  return tl::unexpected(std::move(failure));
}

tl::expected<Keys, LoadFailure> load_keys(const config::Config& config) {
  KeyProblems problems;
  Keys keys;
  if (config.node.key.unavailable) {
    keys.unread.push_back(config.node.key.path);
  } else if (auto node = store::read_private_key(config.node.key)) {
    keys.node = std::move(*node);
    check_neighbours(config, crypto::node_public_key(keys.node), problems);
  } else {
    problems.add(node.error().text, node.error().exit_code);
  }
  for (const config::Group& group : config.groups) {
    auto& slot = keys.signing.emplace_back();
    if (!group.source) continue;
    if (group.source->signing_key.unavailable) {
      keys.unread.push_back(group.source->signing_key.path);
    } else if (auto signing = store::read_private_key(group.source->signing_key)) {
      check_signing_key(group, *signing, problems);
      slot = std::move(*signing);
    } else {
      problems.add(signing.error().text, signing.error().exit_code);
    }
  }
  if (!problems.empty()) return tl::unexpected(problems.take());
  return keys;
}

}  // namespace tiercast::cli
