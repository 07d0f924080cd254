// What a join costs the node that answers it: HELLO, RETRY, JOIN, ACCEPT, the lease at its worker, and the keepalive
// that confirms it, over loopback, by real initiators. The body of `tiercast bench join`.
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "relay/measure/spread.hpp"
#include "relay/net/error.hpp"

namespace tiercast::measure {

struct JoinBench {
  std::uint32_t joins = 4000;    // per round
  std::uint32_t rounds = 5;      // and a tenth of one before them
  std::uint32_t in_flight = 64;  // joiners at once, each with a socket of its own
};
/// Of all rounds together: a node remembers no more cookies than these for as long as each is good for.
inline constexpr std::uint32_t kMostJoins = 60000;

struct JoinMeasurement {
  std::uint32_t in_flight = 0;
  std::uint64_t joins = 0;     // in all rounds
  std::uint64_t repeated = 0;  // datagrams that a joiner had to send again
  Spread cpu_ns_per_join;      // of the node, all its threads, with the kernel's part
  Spread feed_ns_per_join;     // of that, its feed thread's
  Spread worker_ns_per_join;
  Spread handshake_ns;      // the responder's cryptography alone, in a loop
  Spread wall_ns_per_join;  // joiners and node share the machine
  double joins_per_second_and_core() const { return 1e9 / cpu_ns_per_join.median; }
};

/// Exit status 64 for a request that cannot be, 69 where the node does not accept, 71 where the kernel refuses.
tl::expected<JoinMeasurement, net::Error> measure_joins(const JoinBench& bench);

/// One JSON object, one line.
std::string to_json(const JoinMeasurement& measurement);
/// A table for people.
std::string to_text(const JoinMeasurement& measurement);

}  // namespace tiercast::measure
