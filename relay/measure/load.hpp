// Drives an edge with many listeners from one process: sockets, clocks, signals and the counter in the kernel around
// the crowd (load_crowd.hpp). The body of `tiercast load`.
#pragma once

#include <tl/expected.hpp>

#include "relay/base/endpoint.hpp"
#include "relay/measure/load_crowd.hpp"
#include "relay/net/error.hpp"

namespace tiercast::measure {

struct LoadSetup {
  LoadPlan plan;
  Endpoint edge;
  Endpoint from;         // the listeners' prefix, host bits cleared
  unsigned prefix = 0;   // bits, of its own family
  Duration seconds{};    // to hold all, once the last is in
  std::string count_on;  // interface; empty: frames are counted in the socket
};

/// Until the time is over or SIGINT or SIGTERM comes, which are blocked. Progress goes to stderr. Errors: what cannot
/// be (exit status 64), what the kernel refuses (71).
tl::expected<LoadReport, net::Error> run_load(const LoadSetup& setup);

}  // namespace tiercast::measure
