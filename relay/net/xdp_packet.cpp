#include "relay/net/xdp_packet.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>

#include <cassert>
#include <cstring>

#include "relay/wire/limits.hpp"

namespace tiercast::net {
namespace {

std::uint16_t fold(std::uint32_t sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>((sum & 0xffff) + (sum >> 16));
}

}  // namespace

std::uint16_t checksum_part(Bytes data) {
  std::uint32_t sum = 0;  // of at most 64 KiB: no overflow
  std::size_t i = 0;
  for (; i + 1 < data.size(); i += 2) {
    std::uint16_t word = 0;
    std::memcpy(&word, data.data() + i, sizeof word);
    sum += word;
  }
  if (i < data.size()) {
    std::uint16_t word = 0;
    std::memcpy(&word, data.data() + i, 1);
    sum += word;
  }
  return fold(sum);
}

std::uint16_t checksum_part(const std::array<std::uint8_t, 16>& ip) {
  const Bytes all{ip};
  return checksum_part(Endpoint{ip, 0, 0}.is_v4() ? all.subspan(12) : all);
}

xdp_call make_xdp_call(bool v6, Bytes payload, const XdpHeaders& headers) {
  assert(payload.size() <= wire::kMaxDatagram);
  xdp_call out{};
  out.mode = v6 ? XDP_MODE_IPV6 : XDP_MODE_IPV4;
  const auto udp_length = static_cast<std::uint16_t>(payload.size() + 8);
  out.source_port = htons(headers.source_port);
  out.udp_length = htons(udp_length);
  // The length is in the UDP header and in the pseudo-header. IPv6's pseudo-header has it and the protocol in 32 bits;
  // the upper ones are zeros.
  out.udp_sum = std::uint32_t{checksum_part(payload)} + out.source_port + 2U * out.udp_length + htons(IPPROTO_UDP);
  if (v6) {
    out.header[0] = htonl(6U << 28 | std::uint32_t{headers.tos} << 20);
    out.header[1] = htonl(std::uint32_t{udp_length} << 16 | std::uint32_t{IPPROTO_UDP} << 8 | headers.ttl);
  } else {
    // Never a fragment, hence no identification (RFC 6864).
    out.header[0] = htonl(0x45U << 24 | std::uint32_t{headers.tos} << 16 | (udp_length + 20U));
    out.header[1] = htonl(0x4000U);
    out.header[2] = htonl(std::uint32_t{headers.ttl} << 24 | std::uint32_t{IPPROTO_UDP} << 16);
    out.header_sum = checksum_part(Bytes{reinterpret_cast<const std::uint8_t*>(out.header), sizeof out.header});
  }
  return out;
}

xdp_destination make_xdp_destination(const Endpoint& to, std::uint32_t way) {
  xdp_destination out{};
  std::memcpy(out.ip, to.ip.data(), sizeof out.ip);
  out.port = htons(to.port);
  out.sum = checksum_part(to.ip);
  out.way = way;
  return out;
}

Endpoint endpoint_of(const xdp_destination& destination) {
  Endpoint out;
  std::memcpy(out.ip.data(), destination.ip, sizeof destination.ip);
  out.port = ntohs(destination.port);
  return out;
}

xdp_way make_xdp_way(std::uint32_t device, const std::array<std::uint8_t, 6>& from_mac,
                     const std::array<std::uint8_t, 6>& to_mac, const std::array<std::uint8_t, 16>& source,
                     VlanTag tag) {
  xdp_way out{};
  std::array<std::uint8_t, 12> macs{};
  std::memcpy(macs.data(), to_mac.data(), to_mac.size());
  std::memcpy(macs.data() + 6, from_mac.data(), from_mac.size());
  std::memcpy(out.ethernet, macs.data(), macs.size());
  const bool v4 = Endpoint{source, 0, 0}.is_v4();
  out.ethertype = htons(v4 ? ETH_P_IP : ETH_P_IPV6);
  out.sum = checksum_part(source);
  out.device = device;
  out.tag_protocol = htons(tag.protocol);
  out.tag = htons(tag.id);
  std::memcpy(out.source, source.data(), sizeof out.source);
  return out;
}

}  // namespace tiercast::net
