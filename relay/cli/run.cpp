// tiercast run: the daemon.
#include <cstdio>

#include "relay/base/exit_code.hpp"
#include "relay/cli/commands.hpp"
#include "relay/cli/load_config.hpp"
#include "relay/node/node.hpp"
#include "relay/ops/log.hpp"

namespace tiercast::cli {
namespace {

ops::log::Level level_of(config::LogLevel level) {
  switch (level) {
    case config::LogLevel::debug: return ops::log::Level::debug;
    case config::LogLevel::info: return ops::log::Level::info;
    case config::LogLevel::warning: return ops::log::Level::warning;
    case config::LogLevel::error: return ops::log::Level::error;
  }
  return ops::log::Level::info;
}

int give_up(const LoadFailure& failure) {
  for (const auto& problem : failure.problems) std::fprintf(stderr, "%s\n", problem.c_str());
  return failure.exit_code;
}

}  // namespace

int run(const RunOptions& options) {
  const auto config = load_config(options.config);
  if (!config) return give_up(config.error());
  const auto keys = load_keys(*config);
  if (!keys) return give_up(keys.error());
  ops::log::set_level(level_of(config->log_level));
  return node::run_node(*config, keys->node, keys->signing);
}

}  // namespace tiercast::cli
