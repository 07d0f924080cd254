// RTP packets as a sender makes them (RFC 3550 §5.1, RFC 7587), for sources inside the process: they enter the ingest
// like everybody else's. Must not know: sockets, where the Opus comes from.
#pragma once

#include "relay/base/bytes.hpp"
#include "relay/base/random.hpp"
#include "relay/publish/media_packet.hpp"

namespace tiercast::publish {

class RtpStream {
 public:
  static constexpr std::size_t kHeader = 12;
  static constexpr std::uint8_t kPayloadType = 96;

  RtpStream(std::uint8_t frame_ms, Random& random)
      : step_(std::uint32_t{frame_ms} * 48),
        ssrc_(static_cast<std::uint32_t>(random.u64())),
        timestamp_(static_cast<std::uint32_t>(random.u64())),
        number_(static_cast<std::uint16_t>(random.u64())) {}

  /// Into `out`, of kHeader bytes more than the packet; the length. Silence before it is time without numbers, as in
  /// discontinuous transmission (RFC 7587 §3.1.3).
  std::size_t write(const MediaPacket& packet, MutableBytes out) {
    timestamp_ += static_cast<std::uint32_t>(packet.silence) * step_;
    Writer writer{out};
    writer.u8(0x80).u8(kPayloadType).u16(number_++).u32(timestamp_).u32(ssrc_).bytes(packet.opus);
    timestamp_ += step_;
    return writer.ok() ? writer.size() : 0;
  }

 private:
  const std::uint32_t step_;
  const std::uint32_t ssrc_;
  std::uint32_t timestamp_;
  std::uint16_t number_;
};

}  // namespace tiercast::publish
