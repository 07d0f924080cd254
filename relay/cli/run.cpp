// tiercast run: the daemon.
#include <cstdio>

#include "relay/base/exit_code.hpp"
#include "relay/cli/commands.hpp"
#include "relay/cli/load_config.hpp"
#include "relay/node/make_group.hpp"
#include "relay/node/node.hpp"
#include "relay/ops/log.hpp"

namespace tiercast::cli {
namespace {

int give_up(const LoadFailure& failure) {
  for (const auto& problem : failure.problems) std::fprintf(stderr, "%s\n", problem.c_str());
  return failure.exit_code;
}

}  // namespace

int run(const RunOptions& options) {
  const config::Machine machine = this_machine();  // whole: later a thread may be bound to one of its CPUs
  auto config = load_config(options.config, false, machine);
  if (!config) return give_up(config.error());
  auto keys = load_keys(*config);
  if (!keys) return give_up(keys.error());
  ops::log::set_level(node::log_level(*config));
  // Credentials are in the unit's own directory for as long as it runs, so that they can be read again.
  const node::ReadConfig read = [file = options.config,
                                 machine]() -> tl::expected<node::ConfigFiles, std::vector<std::string>> {
    auto config_now = load_config(file, false, machine);
    if (!config_now) return tl::unexpected{std::move(config_now.error().problems)};
    auto keys_now = load_keys(*config_now);
    if (!keys_now) return tl::unexpected{std::move(keys_now.error().problems)};
    return node::ConfigFiles{std::move(*config_now), std::move(keys_now->node), std::move(keys_now->signing)};
  };
  return node::run_node({std::move(*config), std::move(keys->node), std::move(keys->signing)}, read);
}

}  // namespace tiercast::cli
