// A node, put together from its configuration and keys, and run.
#pragma once

#include <optional>
#include <vector>

#include "config/config.hpp"
#include "crypto/keys.hpp"

namespace tiercast::node {

/// Runs until SIGTERM or SIGINT; the exit status. Errors at start go to the log. `signing`: one per Config::groups.
/// SIGTERM and SIGINT are blocked for the whole process.
int run_node(const config::Config& config, const crypto::PrivateKey& key,
             const std::vector<std::optional<crypto::PrivateKey>>& signing);

}  // namespace tiercast::node
