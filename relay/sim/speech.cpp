#include "relay/sim/speech.hpp"

#include <algorithm>

#include "relay/base/bytes.hpp"

namespace tiercast::sim {

const Datagram& Speech::speak(Random& random) {
  const auto number = static_cast<std::uint32_t>(packets_.size());
  // RFC 6716 §3.1: configurations 8 to 11 are SILK wideband of 10, 20, 40 and 60 ms; 30 and 31 CELT of 10 and 20 ms.
  const int silk = frame_ms_ == 10 ? 8 : frame_ms_ == 20 ? 9 : frame_ms_ == 40 ? 10 : 11;
  const int configuration = frame_ms_ <= 20 && number % 3 == 0 ? silk + 22 : silk;
  Datagram packet(5 + 40 + random.below(120));
  random.fill(packet);
  packet[0] = static_cast<std::uint8_t>(configuration << 3);
  store_be<4>(packet.data() + 1, number);

  constexpr std::size_t kRtpHeader = 12;
  rtp_.assign(kRtpHeader, 0);
  rtp_[0] = 0x80;
  rtp_[1] = 97;
  store_be<2>(rtp_.data() + 2, number & 0xffff);
  store_be<4>(rtp_.data() + 4, (number * frame_ms_ * 48 + encoder_ * 123'456'789U) & 0xffffffff);
  store_be<4>(rtp_.data() + 8, 0xabcd + encoder_);
  rtp_.insert(rtp_.end(), packet.begin(), packet.end());
  packets_.push_back(std::move(packet));
  return rtp_;
}

std::optional<std::uint32_t> Speech::number_of(Bytes opus) const {
  if (opus.size() < 5) return std::nullopt;
  const auto number = static_cast<std::uint32_t>(load_be<4>(opus.data() + 1));
  if (number >= packets_.size()) return std::nullopt;
  const Datagram& sent = packets_[number];
  if (!std::equal(sent.begin(), sent.end(), opus.begin(), opus.end())) return std::nullopt;
  return number;
}

}  // namespace tiercast::sim
