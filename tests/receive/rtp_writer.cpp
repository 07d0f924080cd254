#include "relay/receive/rtp_writer.hpp"

#include <doctest/doctest.h>

#include <optional>

#include "tests/receive/opus_tone.hpp"
#include "tests/support/counting_allocator.hpp"

namespace tiercast::rtp_writer_test {

using namespace tiercast::test;
using receive::RtpWriter;

namespace {

struct Packet {
  bool marker;
  std::uint8_t type;
  std::uint16_t number;
  std::uint32_t timestamp;
  std::uint32_t ssrc;
  Datagram payload;
};

/// By hand, RFC 3550 §5.1: version 2, no padding, no extension, no CSRC.
std::optional<Packet> read(Bytes d) {
  if (d.empty()) return std::nullopt;
  REQUIRE(d.size() > 12);
  REQUIRE(d[0] == 0x80);
  Packet p;
  p.marker = (d[1] & 0x80) != 0;
  p.type = d[1] & 0x7f;
  p.number = static_cast<std::uint16_t>(load_be<2>(&d[2]));
  p.timestamp = static_cast<std::uint32_t>(load_be<4>(&d[4]));
  p.ssrc = static_cast<std::uint32_t>(load_be<4>(&d[8]));
  p.payload.assign(d.begin() + 12, d.end());
  return p;
}

}  // namespace

TEST_CASE("rtp writer: frames keep their bytes and time; a lost one is a hole, an empty one is DTX") {
  for (const auto frame : {10ms, 20ms, 40ms, 60ms}) {
    const auto packets = opus_tone(frame, 1, 20);
    SeededRandom random{1};
    RtpWriter writer{frame, random};
    const auto samples = static_cast<std::uint32_t>(frame.count()) * 48;
    std::vector<std::optional<Packet>> out;
    const auto played = ticks("fflfeefl|flef", packets);
    for (const auto& p : played) out.push_back(read(writer.write(p)));
    REQUIRE(out[0]);
    const Packet first = *out[0];
    std::string seen;
    std::vector<int> numbers;
    for (std::size_t i = 0; i < out.size(); ++i) {
      CHECK(out[i].has_value() == (played[i].kind == receive::PlayedKind::frame));
      if (!out[i]) continue;
      CHECK(out[i]->type == 96);
      CHECK(out[i]->ssrc == writer.ssrc());
      CHECK(out[i]->payload == Datagram(played[i].opus.begin(), played[i].opus.end()));
      const auto elapsed = played[i].sequence.value - played[0].sequence.value;
      CHECK(static_cast<std::uint32_t>(out[i]->timestamp - first.timestamp) ==
            static_cast<std::uint32_t>(elapsed) * samples);
      seen += out[i]->marker ? 'M' : '.';
      numbers.push_back(static_cast<std::uint16_t>(out[i]->number - first.number));
    }
    //                f  f l f  e e f  l | f  l e f
    CHECK(seen == "M..MMM");
    CHECK(numbers == std::vector<int>{0, 1, 3, 4, 6, 8});
    CHECK(writer.counters().packets.get() == 6);
    CHECK(writer.counters().holes.get() == 3);
  }
}

TEST_CASE("rtp writer: sequence numbers, timestamps and SSRC start at random and wrap") {
  SeededRandom one{1}, two{2};
  const auto packets = opus_tone(60ms, 1, 1);
  RtpWriter a{60ms, one}, b{60ms, two, 111};
  auto p = ticks("f", packets)[0];
  const Packet pa = *read(a.write(p)), pb = *read(b.write(p));
  CHECK(pa.ssrc != pb.ssrc);
  CHECK(pa.number != pb.number);
  CHECK(pa.timestamp != pb.timestamp);
  CHECK(pb.type == 111);
  Packet before = pa;
  for (std::uint32_t i = 0; i < 3 * 65536; ++i) {
    p.sequence = p.sequence.next();
    const Bytes d = a.write(p);
    const auto number = static_cast<std::uint16_t>(load_be<2>(&d[2]));
    const auto timestamp = static_cast<std::uint32_t>(load_be<4>(&d[4]));
    if (number != static_cast<std::uint16_t>(before.number + 1) || timestamp != before.timestamp + 2880) {
      FAIL("not consecutive");
    }
    before.number = number;
    before.timestamp = timestamp;
  }
}

TEST_CASE("rtp writer: nothing allocates per frame") {
  const auto packets = opus_tone(20ms, 2, 10);
  const auto played = ticks("fflfef", packets);
  SeededRandom random{1};
  RtpWriter writer{20ms, random};
  std::size_t bytes = 0;
  AllocationCount allocations;
  for (int i = 0; i < 100; ++i)
    for (const auto& p : played) bytes += writer.write(p).size();
  const std::uint64_t count = allocations.count();
  CHECK(count == 0);
  CHECK(bytes > 1000);
}

}  // namespace tiercast::rtp_writer_test
