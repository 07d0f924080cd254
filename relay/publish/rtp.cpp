// Parses RTP headers. Every count and length that the sender states is checked against what arrived.
#include "relay/publish/rtp.hpp"

namespace tiercast::publish {

namespace {

constexpr std::size_t kFixedHeader = 12;
constexpr std::uint8_t kFirstDynamic = 96;
// RFC 5761 §4: RTP never uses 64..95, because with the marker bit they are RTCP's packet types 192..223.
constexpr std::uint8_t kFirstRtcp = 64;
constexpr std::uint8_t kLastRtcp = 95;

}  // namespace

tl::expected<RtpPacket, RtpError> parse_rtp(Bytes datagram) {
  if (datagram.size() < 2) return tl::unexpected(RtpError::truncated);
  if (datagram[0] >> 6 != 2) return tl::unexpected(RtpError::version);
  RtpPacket packet;
  packet.payload_type = payload_type_of(datagram);
  // RTCP first: its packets may be shorter than RTP's header.
  if (packet.payload_type >= kFirstRtcp && packet.payload_type <= kLastRtcp) return tl::unexpected(RtpError::rtcp);
  if (datagram.size() < kFixedHeader) return tl::unexpected(RtpError::truncated);
  if (packet.payload_type < kFirstDynamic) return tl::unexpected(RtpError::payload_type);

  const bool padded = (datagram[0] & 0x20) != 0;
  const bool extended = (datagram[0] & 0x10) != 0;
  const std::size_t contributing_sources = datagram[0] & 0x0f;
  packet.marker = (datagram[1] & 0x80) != 0;
  Reader in{datagram.subspan(2)};
  packet.sequence_number = in.u16();
  packet.timestamp = in.u32();
  packet.ssrc = in.u32();
  in.bytes(4 * contributing_sources);
  if (extended) {
    in.u16();  // the profile's own word
    in.bytes(std::size_t{4} * in.u16());
  }
  if (!in.ok()) return tl::unexpected(RtpError::truncated);
  packet.payload = in.all();
  if (padded) {
    // The last byte counts the padding, itself included.
    if (packet.payload.empty()) return tl::unexpected(RtpError::padding);
    const std::size_t padding = packet.payload.back();
    if (padding == 0 || padding > packet.payload.size()) return tl::unexpected(RtpError::padding);
    packet.payload = packet.payload.first(packet.payload.size() - padding);
  }
  return packet;
}

}  // namespace tiercast::publish
