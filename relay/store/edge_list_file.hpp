// The operator's list of edges, from the disk.
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "config/edge_list.hpp"
#include "relay/net/error.hpp"

namespace tiercast::store {

/// Reads and verifies it. Not readable: exit status 66; not right: 65.
tl::expected<config::EdgeList, net::Error> read_edge_list(const std::string& path,
                                                          const crypto::PublicKey& operator_key);

}  // namespace tiercast::store
