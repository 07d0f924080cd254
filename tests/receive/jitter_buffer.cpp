// The jitter buffer against networks of all kinds, in virtual time.
#include "relay/receive/jitter_buffer.hpp"

#include <doctest/doctest.h>

#include <set>

#include "tests/receive/jitter_rig.hpp"
#include "tests/support/counting_allocator.hpp"

namespace tiercast::jitter_buffer_test {

using namespace tiercast::test;
using Counters = receive::JitterBufferCounters;
using Turn = JitterTick::Turn;

namespace {

JitterRig::Delay constant(Duration delay) {
  return [=](std::uint64_t) { return delay; };
}
/// From `least` to `most`, each its own.
JitterRig::Delay uniform(Duration least, Duration most, SeededRandom& random) {
  return [=, &random](std::uint64_t) {
    return least +
           Duration{static_cast<Duration::rep>(random.u64() % static_cast<std::uint64_t>((most - least).count()))};
  };
}
/// Every `every` ticks nothing gets through for `span`, and then all of it.
JitterRig::Delay stalls(std::uint64_t every, Duration span, Duration frame = 20ms) {
  return [=](std::uint64_t n) {
    const Duration since = frame * static_cast<Duration::rep>(n % every);
    return 30ms + (n >= every && since < span ? span - since : Duration{0});
  };
}
Duration at_most_off(Duration a, Duration b) { return a > b ? a - b : b - a; }

}  // namespace

TEST_CASE("jitter buffer: on an even network each tick is played at the same delay, and nothing is corrected") {
  for (const auto frame : {10ms, 20ms, 40ms, 60ms}) {
    CAPTURE(frame.count());
    JitterBufferConfig config;
    config.frame = frame;
    JitterRig rig{config};
    rig.run(60s, constant(30ms));
    REQUIRE(rig.heard.size() > static_cast<std::size_t>(59s / frame));
    CHECK(rig.heard.front() == 0);
    CHECK(rig.whole());
    CHECK(rig.corrected == 0);
    for (std::size_t i = 0; i < rig.at.size(); ++i)
      REQUIRE(rig.at[i] == at(30ms + 2 * frame + 20ms + frame * static_cast<int>(i)));
    CHECK(rig.buffer.drift_ppm().has_value());
    CHECK(std::abs(*rig.buffer.drift_ppm()) < 0.01);
  }
}

TEST_CASE("jitter buffer: with ± 40 ms of jitter the delay grows to what it takes, and then nothing is lost") {
  SeededRandom random{1};
  JitterRig rig;
  rig.run(30s, uniform(20ms, 100ms, random));
  CHECK(rig.whole());  // while it learned, too: time stood still instead
  rig.forget();
  rig.run(300s, uniform(20ms, 100ms, random));
  CHECK(rig.whole());
  CHECK(rig.since(&Counters::concealed) == 0);
  CHECK(rig.since(&Counters::inserted) <= 1);
  CHECK(rig.buffer.target(rig.now) >= 80ms);
  CHECK(rig.buffer.target(rig.now) <= 95ms);
  CHECK(at_most_off(rig.buffer.delay(), rig.buffer.target(rig.now)) <= 15ms);
}

TEST_CASE("jitter buffer: a stall of 200 ms is heard once, the delay grows at once, and no tick is left out") {
  JitterRig rig;
  rig.run(15s, stalls(500, 200ms));
  CHECK(rig.since(&Counters::inserted) >= 7);
  CHECK(rig.since(&Counters::inserted) <= 9);
  CHECK(rig.buffer.target(rig.now) >= 200ms);
  rig.forget();
  rig.run(120s, stalls(500, 200ms));
  CHECK(rig.whole());
  CHECK(rig.since(&Counters::inserted) == 0);
  CHECK(rig.since(&Counters::concealed) == 0);
  CHECK(rig.buffer.counters().late.get() == 0);
  CHECK(rig.longest < 240ms);
}

TEST_CASE("jitter buffer: when the stalls are over the delay comes back, by a half of a percent of speech at most") {
  JitterRig rig;
  rig.run(25s, stalls(500, 200ms));
  rig.forget();
  rig.run(200s, constant(30ms));
  CHECK(rig.whole());
  CHECK(rig.since(&Counters::left_out) == 0);
  CHECK(rig.buffer.target(rig.now) == 60ms);
  CHECK(at_most_off(rig.buffer.delay(), 60ms) <= JitterBuffer::kBand);
  for (std::size_t i = 1; i < rig.at.size(); ++i) {
    REQUIRE(rig.at[i] - rig.at[i - 1] >= 19900us);
    REQUIRE(rig.at[i] - rig.at[i - 1] <= 20100us);
  }
}

TEST_CASE("jitter buffer: a delay that has become too long is shortened in the next silence, by quiet ticks left out") {
  JitterRig rig;
  rig.run(20s, constant(130ms));
  rig.run(1s, constant(30ms));
  CHECK(rig.buffer.counters().left_out.get() == 0);
  CHECK(rig.buffer.delay() > 140ms);
  rig.quiet = true;
  rig.run(100ms, constant(30ms));
  CHECK(rig.buffer.counters().left_out.get() >= 1);
  CHECK(rig.buffer.delay() <= rig.buffer.target(rig.now) + 20ms + JitterBuffer::kBand);
}

TEST_CASE("jitter buffer: a way that becomes 100 ms longer costs no tick, and the delay is the old one afterwards") {
  JitterRig rig;
  rig.run(30s, constant(20ms));
  rig.forget();
  rig.run(5s, constant(120ms));
  CHECK(rig.since(&Counters::inserted) >= 2);
  CHECK(rig.since(&Counters::inserted) <= 5);
  CHECK(rig.since(&Counters::concealed) == 0);
  rig.run(120s, constant(120ms));
  CHECK(rig.whole());
  CHECK(rig.buffer.target(rig.now) == 60ms);
  CHECK(at_most_off(rig.buffer.delay(), 60ms) <= JitterBuffer::kBand);

  // And shorter again.
  rig.forget();
  rig.run(120s, constant(20ms));
  CHECK(rig.whole());
  CHECK(rig.since(&Counters::inserted) == 0);
  CHECK(rig.since(&Counters::concealed) == 0);
  CHECK(at_most_off(rig.buffer.delay(), 60ms) <= JitterBuffer::kBand);
}

TEST_CASE("jitter buffer: two hours of a sender's clock that is 200 ppm off change nothing but some samples") {
  for (const double ppm : {200.0, -200.0}) {
    CAPTURE(ppm);
    SeededRandom random{7};
    JitterRig rig;
    rig.run(30s, uniform(20ms, 30ms, random), ppm);
    rig.forget();
    rig.run(2h, uniform(20ms, 30ms, random), ppm);
    CHECK(rig.whole());
    CHECK(rig.since(&Counters::concealed) == 0);
    CHECK(rig.since(&Counters::inserted) == 0);
    CHECK(rig.since(&Counters::left_out) == 0);
    CHECK(rig.since(&Counters::late) == 0);
    CHECK(rig.shortest >= 48ms);
    CHECK(rig.longest <= 75ms);
    CHECK(rig.corrected > 0);
    REQUIRE(rig.buffer.drift_ppm());
    CHECK(std::abs(*rig.buffer.drift_ppm() - ppm) < 2);
  }
}

TEST_CASE("jitter buffer: what is lost is concealed at its time, and the delay stays") {
  JitterRig rig;
  const auto one_in_ten = [](std::uint64_t n) { return n % 10 == 5 ? std::nullopt : std::optional<Duration>{30ms}; };
  rig.run(60s, one_in_ten);
  CHECK(rig.since(&Counters::concealed) >= 299);
  CHECK(rig.since(&Counters::concealed) <= 300);
  CHECK(rig.since(&Counters::inserted) == 0);
  for (std::size_t i = 0; i < rig.at.size(); ++i) REQUIRE(rig.at[i] == at(90ms + 20ms * static_cast<int>(i)));
}

TEST_CASE("jitter buffer: what comes too late is counted once, never played, and makes the delay longer") {
  JitterRig rig;
  const auto one_late = [](std::uint64_t n) { return n == 500 ? 150ms : 30ms; };
  rig.run(20s, one_late);
  CHECK(std::set(rig.heard.begin(), rig.heard.end()).size() == rig.heard.size());
  CHECK(std::find(rig.heard.begin(), rig.heard.end(), 500) == rig.heard.end());
  CHECK(rig.buffer.counters().concealed.get() == 1);
  CHECK(rig.buffer.counters().late.get() == 1);
  rig.arrive(500);
  CHECK(rig.buffer.counters().late.get() == 1);
  CHECK(rig.buffer.target(rig.now) == 130ms);
  rig.run(25s, constant(30ms));
  CHECK(at_most_off(rig.buffer.delay(), 130ms) <= JitterBuffer::kBand + 2ms);
}

TEST_CASE("jitter buffer: a missing tick's next packet is offered for its FEC") {
  JitterRig rig;
  rig.run(1s, [](std::uint64_t n) { return n == 25 ? std::nullopt : std::optional<Duration>{30ms}; });
  JitterBufferConfig config;
  JitterBuffer buffer{config};
  for (const std::uint64_t n : {0, 2}) buffer.on_ahead(rig.packet(n + 100), rig.now);
  JitterTick tick;
  REQUIRE(buffer.next(tick, false, buffer.next_deadline()));
  CHECK(tick.turn == Turn::play);
  buffer.on_output(20ms);
  REQUIRE(buffer.next(tick, false, buffer.next_deadline()));
  CHECK(tick.turn == Turn::conceal);
  CHECK(tick.played.kind == PlayedKind::lost);
  CHECK(tick.played.next_opus.size() == 1);
}

TEST_CASE("jitter buffer: after an outage it is where the stream is") {
  JitterRig rig;
  rig.run(100s, [](std::uint64_t n) { return n >= 1000 && n < 1250 ? std::nullopt : std::optional<Duration>{30ms}; });
  CHECK(rig.buffer.counters().concealed.get() + rig.buffer.counters().inserted.get() <= 265);
  CHECK(rig.heard.size() >= 4740);
  CHECK(rig.longest <= 320ms);  // it waited at most so long for what did not come
  CHECK(at_most_off(rig.buffer.delay(), 60ms) <= JitterBuffer::kBand);
}

TEST_CASE("jitter buffer: a fixed delay stays what it is; what is later is concealed") {
  SeededRandom random{3};
  JitterBufferConfig config;
  config.fixed = 70ms;
  JitterRig rig{config};
  rig.run(20s, uniform(20ms, 100ms, random));
  rig.forget();
  rig.run(60s, uniform(20ms, 100ms, random));
  CHECK(rig.buffer.target(rig.now) == 70ms);
  CHECK(rig.shortest >= 65ms);
  CHECK(rig.longest <= 75ms);
  CHECK(rig.since(&Counters::inserted) == 0);
  CHECK(rig.since(&Counters::left_out) == 0);
  CHECK(rig.since(&Counters::concealed) > 250);  // one in eight
  CHECK(rig.since(&Counters::concealed) < 500);
  CHECK(rig.since(&Counters::late) >= rig.since(&Counters::concealed) - 5);
}

TEST_CASE("jitter buffer: a fixed delay is kept for hours with a clock that drifts") {
  JitterBufferConfig config;
  config.fixed = 500ms;
  JitterRig rig{config};
  rig.run(30s, constant(30ms), 200);
  rig.forget();
  rig.run(2h, constant(30ms), 200);
  CHECK(rig.whole());
  CHECK(rig.since(&Counters::concealed) == 0);
  CHECK(rig.shortest >= 488ms);
  CHECK(rig.longest <= 512ms);
}

TEST_CASE("jitter buffer: the end is played, and then there is nothing to do until the broadcast goes on") {
  JitterRig rig;
  rig.run(1s, constant(30ms));
  const std::uint64_t last = 60;
  for (std::uint64_t n = rig.heard.back() + 1; n <= last; ++n) rig.arrive(n);
  Played end = rig.packet(last);
  end.end = true;
  rig.buffer.on_played(end, rig.now);
  CHECK_FALSE(rig.buffer.idle());
  while (!rig.buffer.idle()) {
    rig.now = rig.buffer.next_deadline();
    rig.play();
  }
  CHECK(rig.heard.back() == last);
  CHECK(rig.whole());
  CHECK(rig.buffer.next_deadline() == kNever);
  rig.buffer.on_ahead(rig.packet(last), rig.now);
  CHECK(rig.buffer.idle());
  rig.buffer.on_ahead(rig.packet(last + 1), rig.now);
  CHECK_FALSE(rig.buffer.idle());
}

TEST_CASE("jitter buffer: an end that is told after its tick was played is believed too") {
  JitterRig rig;
  rig.run(1s, [](std::uint64_t n) { return n > 40 ? std::nullopt : std::optional<Duration>{30ms}; });
  REQUIRE(rig.heard.back() == 40);
  Played end = rig.packet(40);
  end.end = true;
  rig.buffer.on_played(end, rig.now);
  CHECK(rig.buffer.idle());
}

TEST_CASE("jitter buffer: ticks that do not exist are passed over, and the decoder told") {
  for (const std::uint64_t to : {std::uint64_t{1000}, std::uint64_t{5}}) {  // ahead, or a place that was none
    CAPTURE(to);
    JitterRig rig;
    rig.run(1s, constant(30ms));
    Played first = rig.packet(to);
    first.expected = rig.now;
    first.discontinuity = true;
    rig.buffer.on_played(first, rig.now);
    rig.heard.clear();
    JitterTick tick;
    bool told = false;
    for (int i = 0; i < 20 && !told; ++i) {
      rig.now = rig.buffer.next_deadline();
      if (!rig.buffer.next(tick, false, rig.now)) continue;
      rig.buffer.on_output(20ms);
      if (tick.turn != Turn::play || tick.played.sequence.value != JitterRig::kFirst + to) continue;
      told = tick.played.discontinuity;
    }
    CHECK(told);
    CHECK(rig.buffer.delay() >= 50ms);
    CHECK(rig.buffer.delay() <= 75ms);
  }
}

TEST_CASE("jitter buffer: a player that stood still for long goes on with what is live") {
  JitterRig rig;
  rig.run(10s, constant(30ms));
  for (std::uint64_t n = 500; n < 600; ++n) rig.arrive(n);
  rig.now += 60s;
  for (std::uint64_t n = 3490; n < 3500; ++n) rig.arrive(n);
  rig.play();
  CHECK(rig.buffer.counters().skipped.get() > 2900);
  CHECK(rig.buffer.delay() <= 250ms);
}

TEST_CASE("jitter buffer: whatever comes, ticks are played in order, none twice, and time goes on evenly") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    SeededRandom random{seed};
    JitterBufferConfig config;
    if (seed % 4 == 0) config.fixed = 20ms * static_cast<int>(1 + random.u64() % 20);
    JitterRig rig{config};
    const auto weather = [&](std::uint64_t) -> std::optional<Duration> {
      if (random.u64() % 10 == 0) return std::nullopt;
      const Duration usual = 1us * static_cast<int>(random.u64() % 60'000);
      return random.u64() % 50 == 0 ? 10 * usual : usual;
    };
    for (int i = 0; i < 20; ++i) {
      rig.quiet = random.u64() % 2 == 0;
      rig.run(1us * static_cast<int>(random.u64() % 2'000'000), weather, 500);
      if (random.u64() % 8 == 0) rig.now += 1ms * static_cast<int>(random.u64() % 3000);
    }
    for (std::size_t i = 1; i < rig.heard.size(); ++i) REQUIRE(rig.heard[i] > rig.heard[i - 1]);
    CHECK(rig.buffer.counters().played.get() >= rig.heard.size());
  }
}

TEST_CASE("jitter buffer: after construction nothing allocates") {
  JitterRig rig;
  rig.run(1s, constant(30ms));
  const Played p = rig.packet(100);
  AllocationCount allocations;
  JitterTick tick;
  for (int i = 0; i < 100; ++i) {
    rig.buffer.on_ahead(p, rig.now);
    rig.now = rig.buffer.next_deadline();
    if (rig.buffer.next(tick, false, rig.now)) rig.buffer.on_output(20ms);
  }
  const std::uint64_t count = allocations.count();
  CHECK(count == 0);
}

}  // namespace tiercast::jitter_buffer_test
