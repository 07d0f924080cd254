#include "relay/publish/rtp_stream.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <vector>

#include "relay/publish/rtp.hpp"
#include "tests/publish/rtp_input.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::rtp_stream_test {

using namespace tiercast::publish;
using namespace tiercast::test;

namespace {

constexpr std::uint8_t kFrameLengths[] = {10, 20, 40, 60};

struct Sender {
  SeededRandom random;
  RtpStream stream;
  std::array<std::uint8_t, RtpStream::kHeader + wire::kMaxOpus> buffer{};
  explicit Sender(std::uint64_t seed = 1, std::uint8_t frame_ms = 20) : random(seed), stream(frame_ms, random) {}
  Packet packet(const Packet& payload, std::uint64_t silence = 0) {
    const std::size_t size = stream.write({payload, silence}, buffer);
    return {buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(size)};
  }
};

}  // namespace

TEST_CASE("numbers are consecutive and timestamps advance by the frame, beyond both's ends") {
  for (const std::uint8_t frame_ms : kFrameLengths) {
    Sender sender{frame_ms, frame_ms};
    std::optional<RtpPacket> before;
    for (std::uint32_t n = 0; n < 70'000; ++n) {
      const Packet payload = opus(frame_ms, n);
      const std::uint64_t silence = n % 7 == 3 ? 5 : 0;
      const Packet bytes = sender.packet(payload, silence);
      const auto packet = parse_rtp(bytes);
      REQUIRE(packet);
      REQUIRE(std::equal(packet->payload.begin(), packet->payload.end(), payload.begin(), payload.end()));
      if (before) {
        REQUIRE(packet->sequence_number == static_cast<std::uint16_t>(before->sequence_number + 1));
        REQUIRE(packet->timestamp == static_cast<std::uint32_t>(before->timestamp + (silence + 1) * frame_ms * 48));
        REQUIRE(packet->ssrc == before->ssrc);
      }
      before = *packet;
    }
  }
}

TEST_CASE("two streams do not begin alike") {
  Sender a{1};
  Sender b{2};
  const Packet first = a.packet(opus(20, 0));
  const Packet second = b.packet(opus(20, 0));
  const auto one = parse_rtp(first);
  const auto other = parse_rtp(second);
  CHECK(one->ssrc != other->ssrc);
  CHECK(one->timestamp != other->timestamp);
  CHECK(one->sequence_number != other->sequence_number);
}

TEST_CASE("the ingest takes them: each packet its tick, silence as empty ones, and a stall loses nothing") {
  for (const std::uint8_t frame_ms : kFrameLengths) {
    CAPTURE(frame_ms);
    Sender sender{9, frame_ms};
    RtpInput input{frame_ms};
    const std::size_t from = input.out.size();
    const auto frame = std::chrono::milliseconds{frame_ms};
    input.run(100ms);
    for (std::uint32_t n = 0; n < 10; ++n, input.run(frame)) input.send(sender.packet(opus(frame_ms, n)));
    input.run(3 * frame);
    for (std::uint32_t n = 10; n < 12; ++n, input.run(frame))
      input.send(sender.packet(opus(frame_ms, n), n == 10 ? 3 : 0));
    input.run(1500ms);  // the pipe stalls
    for (std::uint32_t n = 12; n < 15; ++n, input.run(frame)) input.send(sender.packet(opus(frame_ms, n)));
    std::string audio = input.text(from);
    CHECK(audio.find("8 9 - - - 10 11 -") != std::string::npos);
    CHECK(audio.find("- 12 13 14") != std::string::npos);
    CHECK(input.ingest.health(input.now).lost == 0);
    input.end();
    CHECK((input.out.back().flags & wire::kFlagEnd) != 0);
  }
}

}  // namespace tiercast::rtp_stream_test
