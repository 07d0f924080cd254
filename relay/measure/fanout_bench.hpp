// What one datagram to one listener costs: the relay's send backends beside the plainest loops over the same system
// calls, interleaved in one process so that they meet the same machine. The body of `tiercast bench fanout`.
#pragma once

#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "relay/base/endpoint.hpp"
#include "relay/measure/spread.hpp"
#include "relay/net/udp_socket.hpp"

namespace tiercast::measure {

struct FanOutBench {
  std::uint32_t destinations = 10000;
  std::uint32_t frames = 100;   // per round
  std::uint32_t payload = 180;  // bytes of a datagram
  std::uint32_t rounds = 5;     // of each backend, taking turns
  /// sendto: a call per destination; floor: the bare sendmmsg loop, nothing of ours in it; sendmmsg: the relay's. All
  /// three have a socket of the same options, bound to this machine's address towards the range. sendmmsg-wildcard: the
  /// relay's on 0.0.0.0 or [::], where each datagram must name the address that its listener joined at (4 to 5 % more).
  std::vector<std::string> backends = {"floor", "sendmmsg"};
  /// Destinations lie in this range, one address each, all on a port where a socket of our own drops everything.
  /// The default is this machine's loopback.
  Endpoint first = *parse_endpoint("127.0.0.0:0");
  unsigned prefix = 8;    // bits, of the address's own family
  std::string interface;  // empty: the route's
};

struct FanOutMeasurement {
  std::string backend;
  std::uint32_t destinations = 0;
  std::uint64_t datagrams = 0;  // sent, in all rounds
  std::uint64_t errors = 0;
  Spread cpu_ns_per_datagram;  // of the sending thread, with the kernel's part; the receiver's too on loopback
  Spread wall_ns_per_datagram;
  std::optional<double> ratio_to_floor;  // of CPU: the median of the rounds' ratios; where floor ran too
};

/// In the order of `backends`. Exit status 64 for a request that cannot be, 71 where the kernel refuses.
tl::expected<std::vector<FanOutMeasurement>, net::Error> measure_fan_out(const FanOutBench& bench);

/// Address number `index` of a range, skipping the network's own; nullopt past its last but one (broadcast).
std::optional<Endpoint> nth_address(const Endpoint& first, unsigned prefix, std::uint32_t index);

// What any bench of such a range begins with. Errors as above.

/// The socket that drops everything, on a port of its own.
tl::expected<net::UdpSocket, net::Error> open_sink(const FanOutBench& bench);
/// `count` of its destinations, from number `first` on.
tl::expected<std::vector<Endpoint>, net::Error> destinations_of(const FanOutBench& bench, std::uint16_t port,
                                                                std::uint32_t first, std::uint32_t count);

/// One JSON object, one line.
std::string to_json(const FanOutMeasurement& measurement);
/// A table for people.
std::string to_text(const std::vector<FanOutMeasurement>& measurements);

}  // namespace tiercast::measure
