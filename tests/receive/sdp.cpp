#include "relay/receive/sdp.hpp"

#include <doctest/doctest.h>

namespace tiercast::sdp_test {

using receive::make_sdp;
using receive::SdpConfig;

namespace {
SdpConfig config_for(const char* destination) {
  SdpConfig config;
  config.name = "main";
  config.destination = parse_endpoint(destination).value();
  config.session = 1234;
  return config;
}
}  // namespace

TEST_CASE("sdp: IPv4 unicast, line for line") {
  SdpConfig config = config_for("127.0.0.1:5004");
  CHECK(make_sdp(config) ==
        "v=0\r\n"
        "o=- 1234 1 IN IP4 127.0.0.1\r\n"
        "s=main\r\n"
        "c=IN IP4 127.0.0.1\r\n"
        "t=0 0\r\n"
        "m=audio 5004 RTP/AVP 96\r\n"
        "a=rtpmap:96 opus/48000/2\r\n"
        "a=fmtp:96 sprop-stereo=1\r\n"
        "a=ptime:20\r\n");
  config.stereo = false;
  config.frame = 60ms;
  config.payload_type = 111;
  const std::string other = make_sdp(config);
  CHECK(other.find("RTP/AVP 111\r\n") != std::string::npos);
  CHECK(other.find("a=rtpmap:111 opus/48000/2\r\n") != std::string::npos);  // two channels even so: RFC 7587 §7
  CHECK(other.find("a=fmtp:111 sprop-stereo=0\r\n") != std::string::npos);
  CHECK(other.find("a=ptime:60\r\n") != std::string::npos);
}

TEST_CASE("sdp: only IPv4 multicast carries a TTL") {
  SdpConfig config = config_for("239.1.2.3:5004");
  config.ttl = 8;
  CHECK(make_sdp(config).find("c=IN IP4 239.1.2.3/8\r\n") != std::string::npos);
  CHECK(make_sdp(config_for("223.255.255.255:5004")).find("c=IN IP4 223.255.255.255\r\n") != std::string::npos);
  CHECK(make_sdp(config_for("240.0.0.1:5004")).find("c=IN IP4 240.0.0.1\r\n") != std::string::npos);
  const std::string six = make_sdp(config_for("[ff15::1]:5004"));
  CHECK(six.find("o=- 1234 1 IN IP6 ::1\r\n") != std::string::npos);
  CHECK(six.find("c=IN IP6 ff15::1\r\n") != std::string::npos);
  CHECK(six.find("m=audio 5004 ") != std::string::npos);
}

TEST_CASE("sdp: a zone is this machine's affair, and a name cannot add lines") {
  SdpConfig config = config_for("[fe80::1]:5004");
  config.destination.scope = 3;
  config.name = "a\r\nm=video 1 RTP/AVP 1";
  const std::string sdp = make_sdp(config);
  CHECK(sdp.find("c=IN IP6 fe80::1\r\n") != std::string::npos);
  CHECK(sdp.find("s=a  m=video") != std::string::npos);
  config.name.clear();
  CHECK(make_sdp(config).find("s= \r\n") != std::string::npos);
}

}  // namespace tiercast::sdp_test
