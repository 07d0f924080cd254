// A node, put together from its configuration and keys, and run.
#pragma once

#include "relay/node/reloader.hpp"

namespace tiercast::node {

/// Runs until SIGTERM or SIGINT; the exit status. Errors at start go to the log. SIGHUP and `tiercast reload`: what
/// `read` gives then is taken over. All three signals are blocked for the whole process.
int run_node(const ConfigFiles& files, ReadConfig read);

}  // namespace tiercast::node
