// RTP's fixed header with CSRC list, extension and padding (RFC 3550 §5.1, §5.3.1): bytes -> view or error.
// Must not know: sockets, order, time, Opus.
#pragma once

#include <tl/expected.hpp>

#include "relay/base/bytes.hpp"

namespace tiercast::publish {

enum class RtpError : std::uint8_t {
  rtcp,          // not an error of the sender's: RTCP on the same port (RFC 5761)
  truncated,     // shorter than its header, CSRC list or extension say
  version,       // not 2
  padding,       // the padding count is zero or larger than what is there
  payload_type,  // not one of the dynamic ones, 96..127
};

struct RtpPacket {
  bool marker = false;
  std::uint8_t payload_type = 0;
  std::uint16_t sequence_number = 0;
  std::uint32_t timestamp = 0;
  std::uint32_t ssrc = 0;
  Bytes payload;  // view into the datagram, padding removed; may be empty
};

tl::expected<RtpPacket, RtpError> parse_rtp(Bytes datagram);

/// Byte 1 without the marker bit: what a refused datagram named as its payload type. 0 when there is none.
inline std::uint8_t payload_type_of(Bytes datagram) {
  return datagram.size() < 2 ? std::uint8_t{0} : static_cast<std::uint8_t>(datagram[1] & 0x7f);
}

}  // namespace tiercast::publish
