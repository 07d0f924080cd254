// A node's file and the keys it names, read from the disk: what `check` and `run` both start with.
#pragma once

#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "config/config.hpp"
#include "crypto/keys.hpp"

namespace tiercast::cli {

/// Why a node cannot start: all reasons, a line each, without newlines.
struct LoadFailure {
  int exit_code = 0;
  std::vector<std::string> problems;
};

/// This machine: its usable CPUs and $CREDENTIALS_DIRECTORY.
config::Machine this_machine();

/// Reads and parses the file, and the list of edges that it names. Not readable: 66; not right: 78, the list 65.
/// `only_looked_at`: without a credentials directory, keys that are credentials are left as they are named.
tl::expected<config::Config, LoadFailure> load_config(const std::string& file, bool only_looked_at = false,
                                                      config::Machine machine = this_machine());

struct Keys {
  crypto::PrivateKey node;
  std::vector<std::optional<crypto::PrivateKey>> signing;  // one per Config::groups; present where it has a source
  std::vector<std::string> unread;                         // credentials that only the unit has; none in `run`
};

/// Opens every private key the configuration names, and checks it against the public keys in it: a signing key must be
/// that of its source id, and neither an upstream nor a downstream may be this node. Exit status 78; where one key file
/// alone is at fault, that one's own (77, 66, 65).
tl::expected<Keys, LoadFailure> load_keys(const config::Config& config);

}  // namespace tiercast::cli
