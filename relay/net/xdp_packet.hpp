// The headers of the xdp backend's packets, and their checksums in the parts that the eBPF program adds up. Pure.
#pragma once

#include <array>

#include "relay/base/endpoint.hpp"
#include "relay/net/xdp/layout.h"

namespace tiercast::net {

/// The ones'-complement sum of RFC 1071 over 16-bit words as they lie in memory, folded; an odd last byte is followed
/// by a zero.
std::uint16_t checksum_part(Bytes data);
std::uint16_t checksum_part(const std::array<std::uint8_t, 16>& ip);  // of 4 bytes where it is IPv4

/// What a socket would put into every datagram's headers.
struct XdpHeaders {
  std::uint16_t source_port = 0;
  std::uint8_t ttl = 64;  // or hop limit
  std::uint8_t tos = 0;   // or traffic class
};

/// Bytes before the payload.
inline constexpr std::size_t kXdpHeadersV4 = 14 + 20 + 8;
inline constexpr std::size_t kXdpHeadersV6 = 14 + 40 + 8;

/// All that is the same in one frame's packets to every destination of a family. `payload`: at most kMaxDatagram.
xdp_call make_xdp_call(bool v6, Bytes payload, const XdpHeaders& headers);

xdp_destination make_xdp_destination(const Endpoint& to, std::uint32_t way);
Endpoint endpoint_of(const xdp_destination& destination);

/// Of a VLAN; `protocol` 0x8100 or 0x88a8, 0: none.
struct VlanTag {
  std::uint16_t protocol = 0;
  std::uint16_t id = 0;
  bool operator==(const VlanTag&) const = default;
};

/// `device`: its index in the program.
xdp_way make_xdp_way(std::uint32_t device, const std::array<std::uint8_t, 6>& from_mac,
                     const std::array<std::uint8_t, 6>& to_mac, const std::array<std::uint8_t, 16>& source,
                     VlanTag tag = {});

}  // namespace tiercast::net
