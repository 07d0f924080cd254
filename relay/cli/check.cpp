// tiercast check: everything that would keep a node from starting, without starting it.
#include <cstdio>

#include "relay/base/exit_code.hpp"
#include "relay/cli/commands.hpp"
#include "relay/cli/load_config.hpp"

namespace tiercast::cli {
namespace {

std::string count(std::size_t n, const std::string& noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

/// "origin oslo (public key …): groups main, second; listens on …; 2 upstreams".
std::string summary(const config::Config& config, const crypto::PublicKey& key) {
  std::string out = (config.is_origin() ? "origin " : "relay ") + config.node.name + " (public key " +
                    crypto::to_base64(key) + "): " + (config.groups.size() == 1 ? "group" : "groups");
  for (std::size_t i = 0; i < config.groups.size(); ++i) out += (i == 0 ? " " : ", ") + config.groups[i].name;
  if (config.listen) {
    out += "; listens on " + to_string(config.listen->address) + " with " + count(config.listen->workers, "worker");
  }
  if (!config.upstreams.empty()) out += "; " + count(config.upstreams.size(), "upstream");
  if (!config.downstreams.empty()) out += "; " + count(config.downstreams.size(), "relay") + " below";
  return out;
}

int report(const LoadFailure& failure, int exit_code) {
  for (const std::string& problem : failure.problems) std::fprintf(stderr, "%s\n", problem.c_str());
  return exit_code;
}

}  // namespace

int run(const CheckOptions& options) {
  const auto config = load_config(options.config);
  if (!config) return report(config.error(), config.error().exit_code);
  const auto keys = load_keys(*config);
  if (!keys) return report(keys.error(), ExitCode::config);
  const std::string line = summary(*config, crypto::node_public_key(keys->node));
  std::printf("%s: ok: %s\n", options.config.c_str(), line.c_str());
  return std::fflush(stdout) == 0 ? ExitCode::ok : ExitCode::cannot_create;
}

}  // namespace tiercast::cli
