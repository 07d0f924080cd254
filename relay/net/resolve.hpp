// A name to addresses. Blocks: for start-up and helper threads, never for a loop's.
#pragma once

#include <tl/expected.hpp>
#include <vector>

#include "relay/base/endpoint.hpp"
#include "relay/net/error.hpp"

namespace tiercast::net {

/// At least one, in the system's order of preference (RFC 6724), each once. Exit status 69.
tl::expected<std::vector<Endpoint>, Error> resolve(const HostPort& where);

}  // namespace tiercast::net
