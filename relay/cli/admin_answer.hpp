// One request to a running node, and its answer as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <tl/expected.hpp>

#include "relay/net/error.hpp"

namespace tiercast::cli {

/// Blocks, for at most some seconds, or until a signal. What the node refuses is an error too.
tl::expected<nlohmann::ordered_json, net::Error> ask_node(const std::string& socket, const std::string& request);

}  // namespace tiercast::cli
