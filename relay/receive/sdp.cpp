#include "relay/receive/sdp.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace tiercast::receive {
namespace {

/// RFC 8866 §5.3: text without NUL, CR, LF; not empty.
std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return text.empty() ? " " : text;
}

/// The address alone, without port and zone.
std::string address_of(const Endpoint& endpoint) {
  Endpoint plain = endpoint;
  plain.scope = 0;
  std::string text = to_string(plain);
  text.erase(text.rfind(':'));
  if (text.front() == '[') text = text.substr(1, text.size() - 2);
  return text;
}

}  // namespace

std::string make_sdp(const SdpConfig& config) {
  const bool v4 = config.destination.is_v4();
  const std::string type = v4 ? "IN IP4" : "IN IP6";
  const std::string address = address_of(config.destination);
  // Only an IPv4 multicast address carries its TTL (RFC 8866 §5.7).
  const bool multicast_v4 = v4 && (config.destination.ip[12] & 0xf0) == 0xe0;
  return fmt::format(
      "v=0\r\n"
      "o=- {session} 1 {type} {origin}\r\n"
      "s={name}\r\n"
      "c={type} {address}{ttl}\r\n"
      "t=0 0\r\n"
      "m=audio {port} RTP/AVP {payload}\r\n"
      "a=rtpmap:{payload} opus/48000/2\r\n"  // RFC 7587 §7: always two channels
      "a=fmtp:{payload} sprop-stereo={stereo}\r\n"
      "a=ptime:{frame}\r\n",
      fmt::arg("session", config.session), fmt::arg("type", type), fmt::arg("origin", v4 ? "127.0.0.1" : "::1"),
      fmt::arg("name", one_line(config.name)), fmt::arg("address", address),
      fmt::arg("ttl", multicast_v4 ? fmt::format("/{}", config.ttl) : std::string{}),
      fmt::arg("port", config.destination.port), fmt::arg("payload", config.payload_type),
      fmt::arg("stereo", config.stereo ? 1 : 0), fmt::arg("frame", config.frame.count()));
}

}  // namespace tiercast::receive
