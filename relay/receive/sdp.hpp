// The session description (RFC 8866) with which ffmpeg and GStreamer open what rtp_writer makes.
#pragma once

#include <chrono>
#include <string>

#include "relay/base/endpoint.hpp"
#include "relay/receive/rtp_writer.hpp"

namespace tiercast::receive {

struct SdpConfig {
  std::string name;           // of the session: the group's
  Endpoint destination;       // where the packets go; unicast or multicast, IPv4 or IPv6
  std::uint8_t ttl = 1;       // of IPv4 multicast
  std::uint64_t session = 0;  // o='s session id: unique for this sender, such as unix seconds at the start
  std::chrono::milliseconds frame{20};
  bool stereo = true;  // what is sent may be (a decoder need not know)
  std::uint8_t payload_type = kRtpPayloadType;
};

std::string make_sdp(const SdpConfig& config);

}  // namespace tiercast::receive
