// Who has which address in the simulated network: nodes are 10.0.0.0/9, listeners 10.128.0.0/9, counted from 1.
#pragma once

#include "relay/base/endpoint.hpp"

namespace tiercast::sim {

inline constexpr std::uint16_t kPublicPort = 4800;         // of a node
inline constexpr std::uint16_t kMulticastPort = 4801;      // where a node's IP multicast leaves from
inline constexpr std::uint16_t kUplinkPort = 10'000;       // of the socket towards the first parent
inline constexpr std::uint16_t kAlignPort = 50'000;        // of an origin's first socket towards the other origin
inline constexpr std::uint16_t kMulticastInPort = 60'000;  // where the first node's IP multicast comes to

/// A process with an address: a node or a listener.
struct Host {
  bool node = true;
  std::uint32_t index = 0;
  auto operator<=>(const Host&) const = default;
  /// One number for each, below 2^24.
  std::uint32_t number() const { return index | (node ? 0U : 1U << 23); }
};

inline Endpoint endpoint_of(Host host, std::uint16_t port) {
  const std::uint32_t at = host.index + 1;
  Endpoint e;
  e.ip = {0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
          0xff,
          0xff,
          10,
          static_cast<std::uint8_t>((at >> 16) | (host.node ? 0U : 0x80U)),
          static_cast<std::uint8_t>(at >> 8),
          static_cast<std::uint8_t>(at)};
  e.port = port;
  return e;
}

inline Host host_of(const Endpoint& e) {
  const std::uint32_t at =
      std::uint32_t{e.ip[13] & 0x7fU} << 16 | std::uint32_t{e.ip[14]} << 8 | std::uint32_t{e.ip[15]};
  return {e.ip[13] < 0x80, at - 1};
}

}  // namespace tiercast::sim
