// What a flood at the public port costs the node that refuses it, beside a bare recvmsg loop at sockets of the same
// options that drops what it receives. Over loopback, taking turns. The body of `tiercast bench refuse`.
#pragma once

#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "relay/measure/spread.hpp"
#include "relay/net/error.hpp"

namespace tiercast::measure {

struct RefuseBench {
  std::uint32_t datagrams = 500'000;  // sent per round, of each kind to each receiver
  std::uint32_t rounds = 5;
};

struct RefuseMeasurement {
  /// node: JOINs that are well-formed and in time, with cookies that are not this node's. bare: the same to the loop.
  /// node-junk: what the join socket's filter drops. bare-junk: the same to the loop, at a socket without the filter.
  std::string receiver;
  std::uint64_t sent = 0;      // in all rounds
  std::uint64_t received = 0;  // the rest found the socket's queue full, or was filtered
  /// Of the node's feed thread, or the loop, with the kernel's part: by what it received, of node-junk by what was
  /// sent.
  Spread cpu_ns_per_datagram;
  /// Its rate per core, of the bare loop's: the median of the rounds' ratios.
  std::optional<double> rate_of_bare;
  double datagrams_per_second() const { return 1e9 / cpu_ns_per_datagram.median; }
};

/// Exit status 64 for a request that cannot be, 71 where the kernel refuses.
tl::expected<std::vector<RefuseMeasurement>, net::Error> measure_refusal(const RefuseBench& bench);

/// One JSON object, one line.
std::string to_json(const RefuseMeasurement& measurement);
/// A table for people.
std::string to_text(const std::vector<RefuseMeasurement>& measurements);

}  // namespace tiercast::measure
