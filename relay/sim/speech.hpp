// What a simulated encoder sends: Opus packets that each say which one they are, so that who hears one can be checked.
#pragma once

#include <optional>
#include <vector>

#include "relay/base/random.hpp"

namespace tiercast::sim {

using Datagram = std::vector<std::uint8_t>;

/// A talk of one group, packet by packet.
class Speech {
 public:
  explicit Speech(std::uint8_t frame_ms) : frame_ms_(frame_ms) {}
  /// The next packet: one SILK or CELT frame, its number, and as many random bytes as one more or less has. Its RTP
  /// datagram.
  const Datagram& speak(Random& random);
  /// Another SSRC and other timestamps from the next packet on.
  void new_encoder() { ++encoder_; }
  /// Which packet that is, bit by bit; nullopt: none that was spoken.
  std::optional<std::uint32_t> number_of(Bytes opus) const;
  std::size_t spoken() const { return packets_.size(); }

 private:
  std::uint8_t frame_ms_;
  std::uint32_t encoder_ = 0;
  std::vector<Datagram> packets_;
  Datagram rtp_;
};

}  // namespace tiercast::sim
