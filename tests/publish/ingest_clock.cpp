#include "relay/publish/ingest.hpp"

#include "tests/publish/rtp_input.hpp"
#include "tests/support/seeded_random.hpp"
#include "tests/support/seeds.hpp"

namespace tiercast::publish::ingest_clock_test {
namespace {

using test::Encoder;
using test::kLengths;
using test::Packet;
using test::RtpInput;
using test::talk;

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
  const int hours = test::hours(6);
  for (const std::int64_t ppm : {-200, 200}) {
    for (const Duration jitter : {0ms, 15ms}) {
      RtpInput input;
      Encoder encoder;
      test::SeededRandom random{7};
      input.run(5ms);
      const Time start = input.now;
      const std::size_t mark = input.mark();
      const std::int64_t packets = hours * 3600 * 50;
      input.out.reserve(static_cast<std::size_t>(packets) + 100);
      Time before = start;
      for (std::int64_t i = 0; i < packets; ++i) {
        Time at = start + i * (Duration{20ms} - Duration{20ms} * ppm / 1'000'000);
        if (jitter > 0ms)
          at = std::max(before, at + Duration{random.u64() % static_cast<std::uint64_t>(jitter.count())});
        before = at;
        input.run_to(at);
        input.send(encoder.next());
      }
      REQUIRE(input.mark() - mark == static_cast<std::size_t>(packets));
      for (std::int64_t i = 0; i < packets; ++i) {
        if (input.out[mark + static_cast<std::size_t>(i)].number != i) FAIL("packet " << i << " is not its own tick");
      }
      // By now the sender's clock is 0.72 s an hour, 36 frames, off the wall's.
      const auto off =
          static_cast<std::int64_t>(input.out.back().sequence.value) - static_cast<std::int64_t>(input.wall().value);
      CHECK(off * ppm > 0);
      CHECK(std::abs(off) > 34 * hours);
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
  CHECK(input.counter("ingest_reanchored") <= 1);
}

TEST_CASE("short stalls now and then lose nothing") {
  RtpInput input;
  Encoder encoder;
  for (int i = 0; i < 20; ++i) {
    talk(input, encoder, 20);
    input.run(120ms);  // a stall; then all at once
    for (int k = 0; k < 6; ++k) input.send(encoder.next());
  }
  CHECK(input.counter("ingest_drop_late") == 0);
  CHECK(input.counter("ingest_reanchored") >= 1);
}

TEST_CASE("late packets far apart are taken: real audio is never dropped for its time") {
  RtpInput input;
  Encoder encoder;
  talk(input, encoder, 20);
  for (int i = 0; i < 3; ++i) {  // DTX's comfort noise, each 100 ms late
    encoder.silence(20);
    input.run(i == 0 ? 500ms : 420ms);
    input.send(encoder.next());
  }
  CHECK(input.counter("ingest_drop_late") == 0);
  CHECK(input.of(22).number == 22);
  CHECK(input.counter("ingest_reanchored") >= 1);
  CHECK(input.ingest.health(input.now).age == Duration{0});  // late, but there
}

TEST_CASE("a burst after a stall loses nothing: it takes the ticks that are due") {
  RtpInput input;
  Encoder encoder;
  talk(input, encoder, 50);
  input.run(500ms);
  for (int i = 0; i < 25; ++i) input.send(encoder.next());
  talk(input, encoder, 25);
  CHECK(input.counter("ingest_reanchored") == 1);
  CHECK(input.counter("ingest_drop_late") == 0);
  for (int number = 50; number < 99; ++number) CHECK(input.of(number + 1).sequence == input.of(number).sequence.next());
  CHECK(input.of(50).sequence > input.of(49).sequence.plus(20));  // the empty ticks of the stall lie between
}

TEST_CASE("stalls of the same length do not add up: the clock remembers the first") {
  RtpInput input;
  Encoder encoder;
  talk(input, encoder, 50);
  for (int stall = 0; stall < 50; ++stall) {
    input.run(120ms);
    for (int i = 0; i < 6; ++i) input.send(encoder.next());
  }
  CHECK(input.counter("ingest_drop_late") == 0);
  CHECK(input.counter("ingest_reanchored") <= 2);
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

TEST_CASE("after a hiccup of the process a hole may still be filled from the socket") {
  RtpInput input;
  Encoder encoder;
  talk(input, encoder, 10);
  const std::size_t mark = input.mark();
  const Packet ten = encoder.next();
  input.send(encoder.next());
  input.pause(200ms);
  input.send(encoder.next());
  CHECK(input.mark() == mark);
  input.send(ten);
  CHECK(input.text(mark) == "10 11 12");
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
  CHECK(input.mark() - mark < 160);  // those, and the talk
  CHECK(input.of(1550).sequence >= before.plus(1501));
  CHECK(input.of(1550).at == input.now - 1s);
  for (std::size_t i = mark + 1; i < input.mark(); ++i) CHECK(input.out[i].flags == 0);
  CHECK(input.counter("ingest_jump") == 1);
  CHECK(input.counter("ingest_drop_late") == 0);
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
}  // namespace tiercast::publish::ingest_clock_test
