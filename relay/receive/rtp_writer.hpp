// Played frames as RTP (RFC 3550 §5.1, Opus by RFC 7587): one packet a frame. Knows no socket.
#pragma once

#include <chrono>

#include "relay/base/counter.hpp"
#include "relay/base/random.hpp"
#include "relay/receive/playout.hpp"

namespace tiercast::receive {

inline constexpr std::uint8_t kRtpPayloadType = 96;

struct RtpWriterCounters {
  Counter packets, holes;
  template <class F>
  void each(F&& f) const {
    f("rtp_out_packets", packets);
    f("rtp_out_holes", holes);
  }
};

/// The timestamp is the sequence, in 48 kHz. A lost frame is a hole in RTP's sequence numbers, so that the receiver
/// conceals; an empty tick is DTX: time goes on, numbers do not (RFC 7587 §3.1.3), and so do skipped ticks. The marker
/// is set on the first packet of a talkspurt, that is after any of the latter (RFC 7587 §4.1, RFC 3551 §4.1).
class RtpWriter {
 public:
  static constexpr std::size_t kHeader = 12;

  RtpWriter(std::chrono::milliseconds frame, Random& random, std::uint8_t payload_type = kRtpPayloadType);

  /// The packet to send, valid until the next call; empty: none for this tick.
  Bytes write(const Played& played);
  std::uint32_t ssrc() const { return ssrc_; }
  const RtpWriterCounters& counters() const { return counters_; }

 private:
  const std::uint32_t samples_;
  const std::uint8_t payload_type_;
  std::uint32_t ssrc_;
  std::uint32_t first_timestamp_;
  std::uint16_t number_;
  bool marker_ = true;
  std::array<std::uint8_t, kHeader + wire::kMaxOpus> packet_{};
  RtpWriterCounters counters_;
};

}  // namespace tiercast::receive
