#include "relay/publish/ingest.hpp"

#include "tests/publish/rtp_input.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::publish {
namespace {

using test::Encoder;
using test::Packet;
using test::RtpInput;

constexpr std::uint8_t kLengths[] = {10, 20, 40, 60};

/// `count` packets, one a frame.
void talk(RtpInput& input, Encoder& encoder, int count) {
  for (int i = 0; i < count; ++i) {
    input.send(encoder.next());
    input.run(input.frame);
  }
}

TEST_CASE("before the talk there is an empty tick in each interval of the wall clock") {
  RtpInput input{20, Sequence{0}, 7ms};
  REQUIRE(input.out.size() == 1);
  CHECK(input.out[0].sequence == input.wall());
  CHECK(input.out[0].flags == wire::kFlagDiscontinuity);
  input.run(1s);
  REQUIRE(input.out.size() == 51);
  for (std::size_t i = 1; i < input.out.size(); ++i) {
    CHECK(input.out[i].at == Time{} + 1000s + static_cast<std::int64_t>(i) * 20ms);
    CHECK(input.out[i].flags == 0);
    CHECK(input.out[i].number == -1);
  }
  CHECK(input.out.back().sequence == input.wall());
}

TEST_CASE("a start never goes below what was sealed before") {
  const Sequence wall = RtpInput{}.wall();
  RtpInput ahead{20, wall.plus(500)};
  CHECK(ahead.out[0].sequence == wall.plus(500));
  CHECK(ahead.out[0].flags == 0);  // it follows
  ahead.run(1s);
  CHECK(ahead.out.size() == 51);
  RtpInput behind{20, Sequence{wall.value - 500}};
  CHECK(behind.out[0].sequence == wall);
  CHECK(behind.out[0].flags == wire::kFlagDiscontinuity);
}

TEST_CASE("packets in order leave on arrival, for every frame length") {
  for (const std::uint8_t frame_ms : kLengths) {
    CAPTURE(frame_ms);
    RtpInput input{frame_ms};
    input.run(33 * input.frame / 10);
    Encoder encoder;
    encoder.frame_ms = frame_ms;
    const std::size_t mark = input.mark();
    for (int i = 0; i < 10; ++i) {
      const Time sent = input.now;
      const std::size_t before = input.mark();
      input.send(encoder.next());
      REQUIRE(input.out.size() == before + 1);
      CHECK(input.out.back().at == sent);
      CHECK(input.out.back().ssrc == 0xabcd);
      CHECK(input.out.back().rtp_timestamp == 77'000u + static_cast<std::uint32_t>(i) * frame_ms * 48u);
      input.run(input.frame);
    }
    CHECK(input.text(mark) == "0 1 2 3 4 5 6 7 8 9");
    CHECK(input.out.back().sequence <= input.wall().next());
  }
}

TEST_CASE("reordered packets within the hold are put right") {
  RtpInput input;
  Encoder encoder;
  talk(input, encoder, 3);
  const std::size_t mark = input.mark();
  const Packet three = encoder.next(), four = encoder.next(), five = encoder.next(), six = encoder.next();
  input.send(four);
  CHECK(input.mark() == mark);
  input.run(20ms);
  input.send(six);
  input.run(20ms);
  input.send(five);
  CHECK(input.mark() == mark);
  input.send(three);
  CHECK(input.text(mark) == "3 4 5 6");
  CHECK(input.counter("ingest_reordered") == 2);
  CHECK(input.ingest.health(input.now).lost == 0);
}

TEST_CASE("a hole is held for 60 ms from the later packet, then empty") {
  for (const std::uint8_t frame_ms : kLengths) {
    CAPTURE(frame_ms);
    RtpInput input{frame_ms};
    Encoder encoder;
    encoder.frame_ms = frame_ms;
    talk(input, encoder, 3);
    encoder.next();
    const std::size_t mark = input.mark();
    input.run(input.frame);
    input.send(encoder.next());
    CHECK(input.mark() == mark);
    const Time arrived = input.now;
    const std::size_t after = input.mark();
    input.run(59'999us);
    CHECK(input.mark() == after);
    input.run(1us);
    CHECK(input.text(mark) == "- 4");
    CHECK(input.out.back().at == arrived + 60ms);
    CHECK(input.ingest.health(input.now).lost == 1);
  }
}

TEST_CASE("each hole has its own 60 ms") {
  RtpInput input;
  Encoder encoder;
  talk(input, encoder, 2);
  const std::size_t mark = input.mark();
  encoder.next();
  input.send(encoder.next());  // 3, at 0
  input.run(20ms);
  input.send(encoder.next());  // 4, at 20
  encoder.next();
  input.run(20ms);
  input.send(encoder.next());  // 6, at 40
  input.run(20ms);
  CHECK(input.text(mark) == "- 3 4");
  input.run(39ms);
  CHECK(input.text(mark) == "- 3 4");
  input.run(1ms);
  CHECK(input.text(mark).substr(0, 11) == "- 3 4 - 6");
}

TEST_CASE("duplicates are dropped, held ones and those that have left") {
  RtpInput input;
  Encoder encoder;
  const Packet zero = encoder.next();
  input.send(zero);
  const std::size_t mark = input.mark();
  input.send(zero);
  const Packet one = encoder.next(), two = encoder.next();
  input.send(two);
  input.send(two);
  input.send(one);
  input.send(one);
  CHECK(input.text(mark) == "1 2");
  CHECK(input.counter("ingest_drop_duplicate") == 3);
  CHECK(input.ingest.health(input.now).duplicates == 3);
  CHECK(input.ingest.health(input.now).lost == 0);
}

TEST_CASE("a packet whose tick has left is late: counted and dropped") {
  RtpInput input;
  Encoder encoder;
  talk(input, encoder, 3);
  const Packet three = encoder.next();
  input.run(20ms);
  talk(input, encoder, 5);
  const std::size_t mark = input.mark();
  input.send(three);
  CHECK(input.mark() == mark);
  CHECK(input.counter("ingest_drop_late") == 1);
  CHECK(input.counter("ingest_drop_duplicate") == 0);
}

TEST_CASE("without input the empty ticks come in each interval, a hold behind") {
  RtpInput input;
  Encoder encoder;
  talk(input, encoder, 50);
  const Time stopped = input.now - 20ms;  // when the last one came
  const Sequence last = input.of(49).sequence;
  const std::size_t mark = input.mark();
  input.run(1s);
  REQUIRE(input.mark() > mark + 40);
  for (std::size_t i = mark; i < input.mark(); ++i) {
    CHECK(input.out[i].sequence == last.plus(i - mark + 1));
    CHECK(input.out[i].at == stopped + static_cast<std::int64_t>(i - mark + 1) * 20ms + 60ms);
  }
}

TEST_CASE("DTX: a gap in the stamps alone is empty ticks on time, and the talk goes on without delay") {
  RtpInput input;
  Encoder encoder;
  talk(input, encoder, 10);
  const std::size_t mark = input.mark();
  encoder.silence(19);
  input.run(19 * 20ms);
  CHECK(input.mark() - mark == 17);
  const Time now = input.now;
  input.send(encoder.next());
  CHECK(input.text(mark) == "- - - - - - - - - - - - - - - - - - - 10");
  CHECK(input.of(10).at == now);
  CHECK(input.of(10).sequence == input.of(9).sequence.plus(20));
  CHECK(input.ingest.health(now).lost == 0);
}

TEST_CASE("an hour of DTX leaves no packet behind") {
  RtpInput input;
  Encoder encoder;
  talk(input, encoder, 10);
  encoder.silence(180'000);
  input.run(1h);
  talk(input, encoder, 10);
  CHECK(input.of(10).sequence == input.of(9).sequence.plus(180'001));
  CHECK(input.counter("ingest_drop_late") == 0);
  CHECK(input.counter("ingest_reanchored") == 0);
}

TEST_CASE("both RTP counters wrap without a trace") {
  RtpInput input;
  Encoder encoder;
  encoder.first_number = 65'530;
  encoder.first_stamp = 0xffffffff - 10 * 960;
  const std::size_t mark = input.mark();
  talk(input, encoder, 70'000);
  CHECK(input.mark() - mark == 70'000);
  CHECK(input.counter("ingest_tick_empty") == mark);
  CHECK(input.counter("ingest_packet") == 70'000);
  CHECK(input.ingest.health(input.now).lost == 0);
}

TEST_CASE("a sender whose clock drifts by 200 ppm loses nothing in six hours") {
  for (const std::int64_t ppm : {-200, 200}) {
    for (const Duration jitter : {0ms, 15ms}) {
      RtpInput input;
      Encoder encoder;
      test::SeededRandom random{7};
      input.run(5ms);
      const Time start = input.now;
      const std::size_t mark = input.mark();
      constexpr std::int64_t kPackets = 6 * 3600 * 50;
      input.out.reserve(kPackets + 100);
      Time before = start;
      for (std::int64_t i = 0; i < kPackets; ++i) {
        Time at = start + i * (Duration{20ms} - Duration{20ms} * ppm / 1'000'000);
        if (jitter > 0ms)
          at = std::max(before, at + Duration{random.u64() % static_cast<std::uint64_t>(jitter.count())});
        before = at;
        input.run_to(at);
        input.send(encoder.next());
      }
      REQUIRE(input.mark() - mark == kPackets);
      for (std::int64_t i = 0; i < kPackets; ++i) {
        if (input.out[mark + static_cast<std::size_t>(i)].number != i) FAIL("packet " << i << " is not its own tick");
      }
      // By now the sender's clock is 4.32 s, 216 frames, off the wall's.
      const auto off =
          static_cast<std::int64_t>(input.out.back().sequence.value) - static_cast<std::int64_t>(input.wall().value);
      CHECK(off * ppm > 0);
      CHECK(std::abs(off) > 210);
    }
  }
}

TEST_CASE("a step of the wall clock moves nothing") {
  for (const Duration step : {Duration{-3600s}, Duration{3600s}}) {
    RtpInput input;
    Encoder encoder;
    talk(input, encoder, 10);
    input.wall_step = step;
    const std::size_t mark = input.mark();
    talk(input, encoder, 10);
    input.run(1s);
    Encoder other;
    other.ssrc = 5;
    talk(input, other, 3);
    CHECK(input.counter("ingest_jump") == 0);
    for (std::size_t i = mark; i < input.mark(); ++i) CHECK(input.out[i].flags == 0);
    CHECK(input.out.back().sequence.value + 3 >= input.wall().value);
    CHECK(input.out.back().sequence.value <= input.wall().value + 3);
  }
}

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

TEST_CASE("stamps out of the order of their numbers are dropped, not played out of order") {
  RtpInput input;
  Encoder encoder;
  talk(input, encoder, 3);
  const std::size_t mark = input.mark();
  input.send(encoder.packet(5, 5));
  input.send(encoder.packet(4, 7));
  input.send(encoder.packet(3, 5));
  CHECK(input.counter("ingest_drop_late") == 2);
  input.send(encoder.packet(6, 6));
  input.send(encoder.packet(7, 7));
  CHECK(input.text(mark) == "- - 5 6 7");
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

TEST_CASE("a gap of more than two seconds before a packet is jumped too") {
  RtpInput input;
  Encoder encoder;
  talk(input, encoder, 10);
  const std::size_t mark = input.mark();
  input.pause(1500ms);
  encoder.silence(75 + 60);
  input.send(encoder.next());
  REQUIRE(input.mark() == mark + 1);
  CHECK(input.out[mark].number == 10);
  CHECK(input.out[mark].flags == wire::kFlagDiscontinuity);
  CHECK(input.out[mark].sequence == input.of(9).sequence.plus(136));
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

TEST_CASE("GStreamer's short first step is no loss and no doubled tick, for every frame length") {
  for (const std::uint8_t frame_ms : kLengths) {
    CAPTURE(frame_ms);
    RtpInput input{frame_ms};
    input.run(3ms);
    Encoder encoder;
    encoder.frame_ms = frame_ms;
    const std::size_t mark = input.mark();
    input.send(encoder.next());
    input.run(input.frame);
    encoder.first_stamp -= 312;  // opusenc takes its lookahead off the second stamp
    talk(input, encoder, 200);
    CHECK(input.counter("ingest_packet") == 201);
    CHECK(input.counter("ingest_drop_late") == 0);
    for (std::size_t i = mark; i < mark + 201; ++i) REQUIRE(input.out[i].number == static_cast<std::int64_t>(i - mark));
  }
}

TEST_CASE("a path that has become slower is followed within a quarter second") {
  for (const Duration slower : {Duration{80ms}, Duration{150ms}, Duration{1s}, Duration{10s}}) {
    CAPTURE(slower.count());
    RtpInput input;
    Encoder encoder;
    talk(input, encoder, 50);
    input.run(slower);
    const std::size_t mark = input.mark();
    talk(input, encoder, 100);
    CHECK(input.counter("ingest_drop_late") <= 13);
    CHECK(input.of(140, mark).at == input.now - 200ms);
    CHECK(input.counter("ingest_packet") + input.counter("ingest_drop_late") == 150);
  }
}

TEST_CASE("a slower path with jitter is followed as well: the clock goes by all packets, not by the early ones") {
  RtpInput input;
  Encoder encoder;
  test::SeededRandom random{4};
  talk(input, encoder, 50);
  const Time start = input.now;
  for (int i = 0; i < 500; ++i) {
    input.run_to(start + 70ms + i * 20ms + Duration{random.below(19'000'000)});
    input.send(encoder.next());
  }
  CHECK(input.counter("ingest_drop_late") < 20);
  CHECK(input.counter("ingest_reanchored") == 0);
}

TEST_CASE("short stalls now and then do not move the clock") {
  RtpInput input;
  Encoder encoder;
  for (int i = 0; i < 20; ++i) {
    talk(input, encoder, 20);
    input.run(120ms);  // a stall; then all at once
    for (int k = 0; k < 6; ++k) input.send(encoder.next());
  }
  CHECK(input.counter("ingest_drop_late") > 20);
  CHECK(input.counter("ingest_reanchored") == 0);
}

TEST_CASE("a few late packets far apart do not move the clock") {
  RtpInput input;
  Encoder encoder;
  talk(input, encoder, 20);
  for (int i = 0; i < 3; ++i) {  // DTX's comfort noise, each 100 ms late
    encoder.silence(20);
    input.run(i == 0 ? 500ms : 420ms);
    input.send(encoder.next());
  }
  CHECK(input.counter("ingest_drop_late") == 3);
  CHECK(input.counter("ingest_reanchored") == 0);
}

TEST_CASE("a burst after a stall loses what is too late, and moves nothing") {
  RtpInput input;
  Encoder encoder;
  talk(input, encoder, 50);
  input.run(500ms);
  for (int i = 0; i < 25; ++i) input.send(encoder.next());
  talk(input, encoder, 25);
  CHECK(input.counter("ingest_reanchored") == 0);
  CHECK(input.of(99).sequence == input.of(49).sequence.plus(50));
  const std::uint64_t late = input.counter("ingest_drop_late");
  CHECK(late > 15);
  CHECK(late <= 24);
}

TEST_CASE("after a hiccup of the process, what waits in the socket still gets its own tick") {
  RtpInput input;
  Encoder encoder;
  talk(input, encoder, 50);
  const std::size_t mark = input.mark();
  input.pause(1s);
  for (int i = 0; i < 50; ++i) input.send(encoder.next());
  input.run(0ms);
  talk(input, encoder, 10);
  CHECK(input.mark() - mark == 60);
  CHECK(input.counter("ingest_drop_late") == 0);
  for (std::size_t i = mark; i < input.mark(); ++i) CHECK(input.out[i].number >= 0);
}

TEST_CASE("after a long pause the clock jumps, flagged, and the talk goes on at once") {
  RtpInput input;
  Encoder encoder;
  talk(input, encoder, 50);
  const std::size_t mark = input.mark();
  const Sequence before = input.out.back().sequence;
  input.pause(30s);
  for (int i = 0; i < 100; ++i) input.send(encoder.next());  // what the socket's buffer kept
  encoder.made = encoder.stamps = 50 + 1500;                 // it was full then
  talk(input, encoder, 50);
  REQUIRE(input.mark() > mark);
  CHECK(input.out[mark].flags == wire::kFlagDiscontinuity);
  CHECK(input.mark() - mark < 60);
  CHECK(input.of(1550).sequence == before.plus(1501));
  CHECK(input.of(1550).at == input.now - 1s);
  for (std::size_t i = mark + 1; i < input.mark(); ++i) CHECK(input.out[i].flags == 0);
  CHECK(input.counter("ingest_jump") == 1);
  CHECK(input.counter("ingest_drop_late") == 100);
}

TEST_CASE("a pause without input jumps too, before and after the first packet") {
  RtpInput input;
  const std::size_t start = input.mark();
  input.pause(1h);
  input.run(1s);
  CHECK(input.mark() - start < 60);
  CHECK(input.out[start].flags == wire::kFlagDiscontinuity);
  CHECK(input.out.back().sequence == input.wall());
  Encoder encoder;
  talk(input, encoder, 10);
  const std::size_t mark = input.mark();
  input.pause(2100ms);
  input.run(1s);
  CHECK(input.counter("ingest_jump") == 2);
  CHECK(input.out[mark].flags == wire::kFlagDiscontinuity);
  CHECK(input.mark() - mark < 60);
}

TEST_CASE("a pause of less than two seconds is filled, not jumped") {
  RtpInput input;
  Encoder encoder;
  talk(input, encoder, 10);
  const std::size_t mark = input.mark();
  input.pause(1900ms);
  input.run(0ms);
  CHECK(input.counter("ingest_jump") == 0);
  CHECK(input.mark() - mark >= 90);
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

TEST_CASE("more than is ever held behind a hole gives the hole up") {
  RtpInput input{10};
  Encoder encoder;
  encoder.frame_ms = 10;
  talk(input, encoder, 3);
  const std::size_t mark = input.mark();
  encoder.next();
  for (int i = 0; i < 66; ++i) input.send(encoder.next());
  CHECK(input.counter("ingest_drop_full") == 1);
  CHECK(input.out[mark].number == -1);
  CHECK(input.of(4 + 63).sequence == input.out[mark].sequence.plus(64));
  CHECK(input.out.back().number == 4 + 65);
}

TEST_CASE("an end flushes what is held, then comes an empty tick, all flagged, and nothing more") {
  RtpInput input;
  Encoder encoder;
  talk(input, encoder, 3);
  const std::size_t mark = input.mark();
  encoder.next();
  input.send(encoder.next());
  input.end();
  CHECK(input.text(mark) == "- 4 -");
  for (std::size_t i = mark; i < input.mark(); ++i) CHECK(input.out[i].flags == wire::kFlagEnd);
  CHECK(input.ingest.next_deadline() == kNever);
  input.send(encoder.next());
  input.run(10s);
  input.end();
  CHECK(input.mark() == mark + 3);
  CHECK(input.counter("ingest_drop_ended") == 1);
}

TEST_CASE("health has age, bitrate and loss") {
  RtpInput input;
  Encoder encoder;
  talk(input, encoder, 200);
  for (int i = 0; i < 3; ++i) encoder.next();
  input.run(60ms);
  input.send(encoder.next());
  input.run(15ms);
  const IngestHealth health = input.ingest.health(input.now);
  CHECK(health.age == Duration{15ms});
  CHECK(health.packets == 201);
  CHECK(health.lost == 3);
  CHECK(health.bits_per_second >= 1600);  // 50 × 5 B
  CHECK(health.bits_per_second <= 2100);
  CHECK(input.ingest.health(input.now + 10s).bits_per_second == 0);
}

TEST_CASE("over any history of loss, delay, pauses and senders: dense, rising, nothing twice, near real time") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    test::SeededRandom random{seed};
    const std::uint8_t frame_ms = kLengths[seed % 4];
    RtpInput input{frame_ms};
    Encoder encoder;
    encoder.frame_ms = frame_ms;
    encoder.first_number = static_cast<std::uint16_t>(random.u64());
    encoder.first_stamp = static_cast<std::uint32_t>(random.u64());
    std::multimap<Time, Packet> wire;
    Time next_packet = input.now;
    std::uint64_t pauses = 0;
    const Time stop = input.now + 60s;
    while (input.now < stop) {
      if (next_packet <= input.now) {
        next_packet += input.frame;
        const Packet packet = encoder.next();
        const Duration delay = Duration{random.below(30'000'000)};
        if (random.below(20) != 0) wire.emplace(input.now + delay, packet);
        if (random.below(50) == 0) wire.emplace(input.now + 2 * delay, packet);
        if (random.below(50) == 0) {
          const auto frames = static_cast<std::uint32_t>(random.below(30));
          encoder.silence(frames);
          if (random.below(10) != 0) next_packet += frames * input.frame;  // else the stamps leap
        }
        if (random.below(300) == 0) {
          encoder.ssrc += 1;
          encoder.first_number = static_cast<std::uint16_t>(random.u64());
          encoder.first_stamp = static_cast<std::uint32_t>(random.u64());
        }
        if (random.below(200) == 0)
          encoder.first_number = static_cast<std::uint16_t>(encoder.first_number + random.below(40'000));
        if (random.below(500) == 0) {
          input.pause(Duration{random.below(5'000'000'000)});
          next_packet = input.now;
          ++pauses;
        }
      }
      while (!wire.empty() && wire.begin()->first <= input.now) {
        input.send(wire.begin()->second);
        wire.erase(wire.begin());
      }
      input.run_to(std::min(next_packet, wire.empty() ? kNever : std::max(input.now, wire.begin()->first)));
    }
    input.end();
    // drain() has checked that it is dense; numbers are unique as long as the encoder lives.
    std::map<std::int64_t, int> seen;
    std::uint64_t audio = 0;
    for (const auto& tick : input.out) {
      if (tick.number < 0) continue;
      ++audio;
      REQUIRE(++seen[tick.number] == 1);
    }
    CHECK(audio <= input.counter("ingest_packet"));
    CHECK(audio + 64 * input.counter("ingest_jump") >= input.counter("ingest_packet"));  // held when it jumped
    CHECK(audio > 60'000u / frame_ms / 4);
    CHECK(input.counter("ingest_jump") <= pauses);
    const auto off =
        static_cast<std::int64_t>(input.out.back().sequence.value) - static_cast<std::int64_t>(input.wall().value);
    CHECK(off * frame_ms < 3000 + 60'000 / 16);
    CHECK(off * frame_ms > -3000);
  }
}

TEST_CASE("random datagrams neither crash nor break the clock") {
  test::SeededRandom random{5};
  RtpInput input;
  for (int i = 0; i < 30'000; ++i) {
    Packet datagram(random.below(i % 100 == 0 ? 2000 : 40));
    random.fill(datagram);
    if (datagram.size() > 12 && i % 3 != 0) {
      datagram[0] = 0x80;
      datagram[1] = 97;
      if (i % 2 == 0) std::fill(datagram.begin() + 8, datagram.begin() + 11, std::uint8_t{0});
      datagram[12] = test::opus(20, 0)[0];
      datagram.resize(std::max<std::size_t>(datagram.size(), 17));
    }
    input.send(datagram);
    if (random.below(4) == 0) input.run(Duration{random.below(20'000'000)});
  }
  CHECK(input.counter("ingest_sender") > 1);
  const auto off =
      static_cast<std::int64_t>(input.out.back().sequence.value) - static_cast<std::int64_t>(input.wall().value);
  CHECK(off < 10'000 / 20);
  CHECK(off > -10'000 / 20);
}

}  // namespace
}  // namespace tiercast::publish
