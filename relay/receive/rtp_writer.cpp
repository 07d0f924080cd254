#include "relay/receive/rtp_writer.hpp"

namespace tiercast::receive {

RtpWriter::RtpWriter(std::chrono::milliseconds frame, Random& random, std::uint8_t payload_type)
    : samples_(static_cast<std::uint32_t>(frame.count()) * 48),
      payload_type_(payload_type & 0x7f),
      ssrc_(static_cast<std::uint32_t>(random.u64())),
      first_timestamp_(static_cast<std::uint32_t>(random.u64())),
      number_(static_cast<std::uint16_t>(random.u64())) {}

Bytes RtpWriter::write(const Played& played) {
  if (played.discontinuity || played.kind == PlayedKind::empty) marker_ = true;
  if (played.kind == PlayedKind::empty) return {};
  const std::uint16_t number = number_++;
  if (played.kind == PlayedKind::lost) {
    counters_.holes.add();
    return {};
  }
  // Modulo 2^32, as RTP's timestamps are.
  const auto timestamp = first_timestamp_ + static_cast<std::uint32_t>(played.sequence.value) * samples_;
  Writer out{packet_};
  out.u8(0x80)  // version 2
      .u8(payload_type_ | (marker_ ? 0x80u : 0u))
      .u16(number)
      .u32(timestamp)
      .u32(ssrc_)
      .bytes(played.opus);
  marker_ = false;
  counters_.packets.add();
  return out.written();
}

}  // namespace tiercast::receive
