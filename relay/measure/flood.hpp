// Datagrams as fast as some threads can send them to a port of loopback, so many and no more.
#pragma once

#include <vector>

#include "relay/base/endpoint.hpp"
#include "relay/base/random.hpp"
#include "relay/net/error.hpp"

#include <tl/expected.hpp>

namespace tiercast::measure {

enum class Flood : std::uint8_t {
  bad_cookies,  // JOINs of the node's present time, each with a cookie that was never given out
  junk,         // of JOIN's length, and of no type that anybody sends to a public port
};

/// So many datagrams of a flood, to be sent again and again. `issued` is RETRY's.
std::vector<std::vector<std::uint8_t>> make_flood(Flood kind, std::uint32_t issued, std::size_t count, Random& random);

/// The clock of a node's cookies, as any stranger may ask for it.
tl::expected<std::uint32_t, net::Error> ask_issued(const Endpoint& node, Random& random);

/// By more threads than one receiver can keep up with on as many cores. How many were sent.
tl::expected<std::uint64_t, net::Error> send_flood(const Endpoint& to,
                                                   const std::vector<std::vector<std::uint8_t>>& datagrams,
                                                   std::uint64_t count);

}  // namespace tiercast::measure
