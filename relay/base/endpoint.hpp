// An IP address and port as plain bytes: IPv4 is held IPv4-mapped (RFC 4291 §2.5.5.2). Knows no socket.
#pragma once

#include <array>
#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "relay/base/types.hpp"

namespace tiercast {

struct Endpoint {
  std::array<std::uint8_t, 16> ip{};
  std::uint16_t port = 0;   // host order
  std::uint32_t scope = 0;  // interface index of a link-local IPv6 address, else 0
  auto operator<=>(const Endpoint&) const = default;
  bool is_v4() const;
};

/// Where a datagram came to, kept so that answers leave from there: the address it was sent to (IP_PKTINFO), and by
/// which of its receiver's sockets it came.
struct LocalAddress {
  std::array<std::uint8_t, 16> ip{};
  std::uint32_t interface = 0;
  std::uint8_t socket = 0;  // the number of the listen address
  auto operator<=>(const LocalAddress&) const = default;
  /// Answers leave the same way; by which interface is routing's affair.
  bool same_way(const LocalAddress& other) const { return ip == other.ip && socket == other.socket; }
};

/// "192.0.2.1:4800" or "[2001:db8::1]:4800".
std::string to_string(const Endpoint& endpoint);

/// Reads what to_string() writes; numeric only. A name (DNS) gives nullopt.
std::optional<Endpoint> parse_endpoint(std::string_view text);

/// Splits "HOST:PORT" or "[HOST]:PORT"; host may be a name. nullopt where the form is wrong or port is not 1..65535
/// (0 is allowed for "any port").
struct HostPort {
  std::string host;
  std::uint16_t port = 0;
  bool operator==(const HostPort&) const = default;
};
std::optional<HostPort> split_host_port(std::string_view text);

/// What that reads: an IPv6 address has its brackets.
std::string to_string(const HostPort& address);

}  // namespace tiercast
