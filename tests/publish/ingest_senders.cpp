#include "relay/publish/ingest.hpp"

#include "tests/publish/rtp_input.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::publish::ingest_senders_test {
namespace {

using test::Encoder;
using test::Packet;
using test::RtpInput;
using test::talk;

TEST_CASE("a new SSRC is a new sender, and the clock goes on") {
  RtpInput input;
  Encoder first;
  talk(input, first, 10);
  const std::size_t mark = input.mark();
  Encoder second;
  second.ssrc = 0x1111;
  second.first_number = 4;
  second.first_stamp = 0x80000000;
  talk(input, second, 3);
  CHECK(input.text(mark) == "0 1 2");
  CHECK(input.out[mark].ssrc == 0x1111);
  CHECK(input.counter("ingest_sender") == 2);
  input.send(first.next());  // a straggler of the first
  CHECK(input.counter("ingest_drop_other_sender") == 1);
  CHECK(input.ingest.health(input.now).ssrc == 0x1111);
  CHECK(input.ingest.health(input.now).lost == 0);
}

TEST_CASE("what the old sender left behind a hole leaves before the new one's first packet") {
  RtpInput input;
  Encoder first;
  talk(input, first, 3);
  const std::size_t mark = input.mark();
  first.next();
  input.run(20ms);
  input.send(first.next());
  Encoder second;
  second.ssrc = 2;
  second.first_number = 60'000;
  input.run(40ms);
  input.send(second.next());
  CHECK(input.text(mark) == "- 4 - 0");
  CHECK(input.ingest.health(input.now).lost == 1);
}

TEST_CASE("a sender that comes back after silence takes the tick that is due: no lag adds up") {
  RtpInput input;
  test::SeededRandom random{2};
  for (std::uint32_t i = 1; i <= 400; ++i) {
    Encoder encoder;
    encoder.ssrc = i;
    talk(input, encoder, 5);
    input.run(500ms + Duration{random.below(20'000'000)});
  }
  Encoder last;
  last.ssrc = 1000;
  input.send(last.next());
  const auto off =
      static_cast<std::int64_t>(input.out.back().sequence.value) - static_cast<std::int64_t>(input.wall().value);
  CHECK(std::abs(off) <= 15);  // half a frame each time at most, in both directions; 60 ms each would be 1,200
  CHECK(input.counter("ingest_drop_late") == 0);
}

TEST_CASE("the same SSRC that starts again goes on with the clock from its second packet") {
  RtpInput input;
  Encoder encoder;
  talk(input, encoder, 10);
  input.run(500ms);
  Encoder again;
  again.first_number = 50'000;
  again.first_stamp = 3'000'000'000;
  const std::size_t mark = input.mark();
  talk(input, again, 5);
  CHECK(input.text(mark).find("1 2 3 4") != std::string::npos);
  CHECK(input.counter("ingest_drop_jump_unconfirmed") == 1);
  CHECK(input.out.back().sequence.value + 4 >= input.wall().value);
  CHECK(input.out.back().sequence.value <= input.wall().value + 4);
}

TEST_CASE("stamps that leap, forwards or backwards, do not move the clock") {
  for (const std::int32_t leap : {48'000 * 100, -48'000 * 100}) {
    RtpInput input;
    Encoder encoder;
    talk(input, encoder, 10);
    const std::size_t mark = input.mark();
    encoder.first_stamp += static_cast<std::uint32_t>(leap);
    talk(input, encoder, 20);
    CHECK(input.text(mark) == "10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29");
    CHECK(input.ingest.health(input.now).lost == 0);
  }
}

TEST_CASE("stamps that leap again and again cannot outrun real time") {
  RtpInput input;
  Encoder encoder;
  for (int i = 0; i < 120; ++i) {
    talk(input, encoder, 25);
    encoder.silence(75);
  }
  const auto ahead = (input.out.back().sequence.value - input.wall().value) * 20;
  CHECK(ahead < 3000 + 60'000 / 16 + 500);
}

TEST_CASE("two senders at one port: one speaks, the clock keeps real time") {
  RtpInput input;
  Encoder a, b;
  b.ssrc = 2;
  for (int i = 0; i < 500; ++i) {
    input.send(a.next());
    input.run(10ms);
    input.send(b.next());
    input.run(10ms);
  }
  CHECK(input.counter("ingest_sender") == 2);
  CHECK(input.counter("ingest_drop_other_sender") > 490);
  CHECK(input.out.back().sequence.value <= input.wall().value + 2);
}

TEST_CASE("ever new SSRCs cannot drive the clock ahead") {
  RtpInput input;
  for (std::uint32_t i = 1; i <= 1000; ++i) {
    Encoder encoder;
    encoder.ssrc = i;
    input.send(encoder.next());
    input.run(10ms);
  }
  CHECK(input.counter("ingest_sender") < 60);
  CHECK(input.out.back().sequence.value <= input.wall().value + 5);
}

TEST_CASE("what is refused is counted by reason, its tick is empty, and nothing waits for it") {
  struct Case {
    Packet payload;
    RefusalReason reason;
    std::uint32_t detail;
    const char* counter;
  };
  Packet longest = test::opus(20, 1);
  longest.resize(wire::kMaxOpus);
  Packet too_long = longest;
  too_long.push_back(0);
  const std::vector<Case> cases{
      {too_long, RefusalReason::too_long, 1081, "ingest_drop_too_long"},
      {{0x0b, 0}, RefusalReason::not_opus, 0, "ingest_drop_not_opus"},
      {{}, RefusalReason::not_opus, 0, "ingest_drop_not_opus"},
      {test::opus(60, 1), RefusalReason::other_duration, 2880, "ingest_drop_other_duration"},
      {test::opus(10, 1), RefusalReason::other_duration, 480, "ingest_drop_other_duration"},
  };
  for (const Case& one : cases) {
    RtpInput input;
    Encoder encoder;
    talk(input, encoder, 3);
    const std::size_t mark = input.mark();
    encoder.next();
    input.send(test::rtp(1003, 77'000 + 3 * 960, 0xabcd, one.payload));
    input.run(20ms);
    const Time now = input.now;
    input.send(encoder.next());
    CHECK(input.text(mark) == "- 4");
    CHECK(input.of(4).at == now);
    CHECK(input.counter(one.counter) == 1);
    CHECK(input.ingest.health(now).last_refusal == Refusal{one.reason, one.detail});
    CHECK(input.ingest.health(now).lost == 0);
  }
  RtpInput input;
  input.send(test::rtp(1, 1, 1, longest));
  CHECK(input.out.back().number == 1);
}

TEST_CASE("no sender is made from what is refused") {
  RtpInput input;
  input.send(test::rtp(1, 1, 1, test::opus(10, 1)));
  Packet pcm = test::rtp(1, 1, 1, test::opus(20, 1));
  pcm[1] = 11;
  input.send(pcm);
  pcm[1] = 0x80 | 72;
  input.send(pcm);
  input.send({1, 2, 3});
  CHECK(input.counter("ingest_sender") == 0);
  CHECK(input.counter("ingest_drop_payload_type") == 1);
  CHECK(input.counter("ingest_rtcp") == 1);
  CHECK(input.counter("ingest_drop_malformed") == 1);
  CHECK_FALSE(input.ingest.health(input.now).age);
}

TEST_CASE("a sender that switches to another frame length leaves the clock alone") {
  RtpInput input;
  Encoder encoder;
  talk(input, encoder, 10);
  for (std::uint16_t i = 0; i < 100; ++i) {
    input.send(test::rtp(static_cast<std::uint16_t>(1010 + i), 77'000 + 9600 + i * 480u, 0xabcd, test::opus(10, 1)));
    input.run(10ms);
  }
  CHECK(input.out.back().sequence.value <= input.wall().value);
  CHECK(input.out.back().sequence.value + 5 >= input.wall().value);
}

TEST_CASE("each change of reason is told once, at most once a second") {
  RtpInput input;
  const Packet other = test::rtp(1, 1, 1, test::opus(10, 1));
  const Packet junk{1, 2, 3};
  input.send(other);
  const auto told = input.ingest.take_refusal(input.now);
  REQUIRE(told);
  CHECK(to_text(*told, 20).find("10 ms arrive, but the group has frame_ms = 20") != std::string::npos);
  int more = 0;
  for (int i = 0; i < 100; ++i) {
    input.run(20ms);
    input.send(other);
    if (input.ingest.take_refusal(input.now)) ++more;
  }
  CHECK(more == 0);
  for (int i = 0; i < 100; ++i) {
    input.run(10ms);
    input.send(i % 2 == 0 ? other : junk);
    if (input.ingest.take_refusal(input.now)) ++more;
    input.run(10ms);
  }
  CHECK(more >= 1);
  CHECK(more <= 3);
}

TEST_CASE("a sender without a real-time brake is held to real time, and told so") {
  RtpInput input;
  Encoder encoder;
  for (int i = 0; i < 3000; ++i) {
    input.send(encoder.next());
    if (i % 10 == 0) input.run(5ms);
  }
  CHECK(input.ingest.health(input.now).last_refusal->reason == RefusalReason::too_fast);
  CHECK(input.mark() < 400);
  CHECK(input.out.back().sequence.value <= input.wall().value + 300);
}

TEST_CASE("a sender that starts with two seconds at once loses nothing") {
  RtpInput input;
  Encoder encoder;
  const std::size_t mark = input.mark();
  for (int i = 0; i < 100; ++i) input.send(encoder.next());
  talk(input, encoder, 100);
  CHECK(input.counter("ingest_packet") == 200);
  for (std::size_t i = 0; i < 200; ++i) REQUIRE(input.out[mark + i].number == static_cast<std::int64_t>(i));
}

}  // namespace
}  // namespace tiercast::publish::ingest_senders_test
