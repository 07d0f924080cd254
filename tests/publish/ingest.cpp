#include "relay/publish/ingest.hpp"

#include "tests/publish/rtp_input.hpp"

namespace tiercast::publish::ingest_test {
namespace {

using test::Encoder;
using test::kLengths;
using test::Packet;
using test::RtpInput;
using test::talk;

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
  CHECK(ahead.out[0].flags == wire::kFlagDiscontinuity);
  ahead.run(1s);
  CHECK(ahead.out.size() == 51);
  RtpInput behind{20, Sequence{wall.value - 500}};
  CHECK(behind.out[0].sequence == wall);
  CHECK(behind.out[0].flags == wire::kFlagDiscontinuity);
}

TEST_CASE("a start that the wall is about to reach waits for it: what comes before only tells the sender's time") {
  RtpInput input{20, RtpInput{}.wall().plus(6)};
  CHECK(input.out.empty());
  Encoder encoder;
  for (int i = 0; i < 20; ++i) {
    input.run(20ms);
    input.send(encoder.next());
  }
  // The first packet's tick is the first after the start: 0 to 4 have no place any more.
  const auto& first = input.out.front();
  CHECK(first.sequence == RtpInput{}.wall().plus(6));
  CHECK(first.number == 5);
  CHECK(first.at == Time{} + 1000s + 120ms);
  CHECK(input.counter("ingest_drop_late") == 5);
  CHECK(input.text() == "5 6 7 8 9 10 11 12 13 14 15 16 17 18 19");
}

TEST_CASE("who must go on far above where another origin's numbers put it is silent for no time when it is alone") {
  RtpInput input{20, RtpInput{}.wall().plus(180'000)};
  input.ingest.hold_back();
  Encoder encoder;
  input.send(encoder.next());
  input.ingest.shift(-180'000);
  input.ingest.go_on(std::nullopt, input.moment());
  input.ingest.set_locked(true);
  const auto talk_for = [&](int packets) {
    const std::size_t before = input.mark();
    for (int i = 0; i < packets; ++i) {
      input.run(20ms);
      input.send(encoder.next());
    }
    return input.mark() - before;
  };
  talk_for(100);
  input.ingest.set_locked(false);  // the other one has died
  CHECK(talk_for(500) >= 499);
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

}  // namespace
}  // namespace tiercast::publish::ingest_test
