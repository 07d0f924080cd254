// tiercast check: everything that would keep a node from starting, without starting it.
#include <cstdio>
#include <filesystem>

#include "relay/base/exit_code.hpp"
#include "relay/cli/commands.hpp"
#include "relay/cli/load_config.hpp"
#include "relay/node/media_file.hpp"

namespace tiercast::cli {
namespace {

std::string count(std::size_t n, const std::string& noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

/// "origin oslo (public key …): groups main, second; listens on …; 2 upstreams".
std::string summary(const config::Config& config, const crypto::PrivateKey& key) {
  std::string out = (config.is_origin() ? "origin " : "relay ") + config.node.name;
  if (!key.view().empty() && !config.node.key.path.starts_with("credential:"))
    out += " (public key " + crypto::to_base64(crypto::node_public_key(key)) + ")";
  out += config.groups.size() == 1 ? ": group" : ": groups";
  for (std::size_t i = 0; i < config.groups.size(); ++i) out += (i == 0 ? " " : ", ") + config.groups[i].name;
  if (config.listen) {
    out += "; listens on " + to_string(config.listen->address) + " with " + count(config.listen->workers, "worker");
  }
  if (!config.upstreams.empty()) out += "; " + count(config.upstreams.size(), "upstream");
  if (!config.downstreams.empty()) out += "; " + count(config.downstreams.size(), "relay") + " below";
  return out;
}

/// Opens what is a file. Not a pipe: its writer would see that it is closed again.
LoadFailure check_media(const config::Config& config) {
  LoadFailure out;
  for (const config::Group& group : config.groups) {
    if (!group.source || group.source->kind == config::InputKind::rtp || group.source->reads_standard_input()) continue;
    std::error_code unknown;  // opening it says more
    const auto status = std::filesystem::status(group.source->file, unknown);
    if (std::filesystem::is_other(status)) continue;
    if (const auto file = node::MediaFile::open(*group.source, group.frame_ms); !file) {
      out.exit_code = file.error().exit_code;
      out.problems.push_back(file.error().text);
    }
  }
  return out;
}

int report(const LoadFailure& failure, int exit_code) {
  for (const std::string& problem : failure.problems) std::fprintf(stderr, "%s\n", problem.c_str());
  return exit_code;
}

}  // namespace

int run(const CheckOptions& options) {
  const auto config = load_config(options.config, true);
  if (!config) return report(config.error(), config.error().exit_code);
  const auto keys = load_keys(*config);
  if (!keys) return report(keys.error(), ExitCode::config);
  if (const LoadFailure media = check_media(*config); !media.problems.empty()) return report(media, media.exit_code);
  for (const std::string& key : keys->unread)
    std::fprintf(stderr, "%s: note: %s is not looked at: only the unit with its LoadCredential= has it\n",
                 options.config.c_str(), key.c_str());
  const std::string line = summary(*config, keys->node);
  std::printf("%s: ok: %s\n", options.config.c_str(), line.c_str());
  return std::fflush(stdout) == 0 ? ExitCode::ok : ExitCode::cannot_create;
}

}  // namespace tiercast::cli
