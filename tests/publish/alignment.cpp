// A frame has one sequence at both origins, whenever either starts, whatever restarts, however clocks drift.
#include "relay/publish/alignment.hpp"

#include <doctest/doctest.h>

#include "tests/publish/two_origins.hpp"
#include "tests/support/seeds.hpp"

namespace tiercast::alignment_test {

using publish::Aligned;
using test::TwoOrigins;

namespace {

const publish::Alignment& of(const TwoOrigins& two, std::size_t s) { return *two.sides[s].alignment; }

/// Both agree, and have given all packets of `d` their one number.
void check_together(TwoOrigins& two, Duration d) {
  two.apart = 0;
  const auto before = std::min(two.sides[0].packets, two.sides[1].packets);
  two.run(d);
  CHECK(two.apart == 0);
  CHECK(of(two, 0).agree());
  CHECK(of(two, 1).agree());
  CHECK(std::min(two.sides[0].packets, two.sides[1].packets) - before + 20 > static_cast<std::uint64_t>(d / two.frame));
}

}  // namespace

TEST_CASE("an origin that starts late gives frames the live one's numbers, from its first one on") {
  for (const std::uint8_t ms : test::kLengths) {
    for (const bool same_ssrc : {true, false}) {
      for (const std::size_t late : {0U, 1U}) {
        CAPTURE(int{ms});
        CAPTURE(same_ssrc);
        CAPTURE(late);
        TwoOrigins two{late + ms, ms};
        if (!same_ssrc) two.sides[1].ssrc_xor = 0x55555555;
        two.sides[late].wall_off = late == 0 ? 700ms : -300ms;  // its own clock is of no use
        two.start(1 - late);
        two.run(20s);
        two.start(late);
        two.run(3s);
        CHECK(two.apart == 0);
        check_together(two, 10s);
        CHECK(of(two, late).counters().announced.get() == (same_ssrc ? 1 : 0));
        CHECK(of(two, 1 - late).counters().shifts.get() == 0);  // who was there stays
      }
    }
  }
}

TEST_CASE("two that start at once agree, before the encoder or while it runs, and then it restarts") {
  for (const bool same_ssrc : {true, false}) {
    for (const bool talking : {true, false}) {
      CAPTURE(same_ssrc);
      CAPTURE(talking);
      TwoOrigins two{7};
      if (!same_ssrc) two.sides[1].ssrc_xor = 0x55555555;
      two.sides[1].wall_off = 130ms;
      two.talking = talking;
      two.start(0);
      two.start(1);
      two.run(10s);
      two.talking = true;
      two.run(1s);
      two.apart = 0;
      check_together(two, 5s);
      for (const Duration pause : {Duration{0}, Duration{100ms}, Duration{3s}}) {
        CAPTURE(pause.count());
        two.talking = false;
        two.run(pause);
        two.talking = true;
        two.restart_encoder();
        two.run(2s);
        check_together(two, 5s);
      }
      CHECK(of(two, 0).counters().shifts.get() <= 1);  // it leads
    }
  }
}

TEST_CASE("two whose waits for each other would end in the same moment begin one after the other") {
  for (int i = -20; i <= 20; ++i) {
    CAPTURE(i);
    TwoOrigins two{29};
    two.between = 20ms;
    two.sides[1].wall_off = 130ms;
    two.run(100ms);
    two.start(1);
    two.run(500ms + i * 2ms);
    two.start(0);
    two.run(3s);
    CHECK(two.apart == 0);
    CHECK(of(two, 0).counters().shifts.get() == 0);
    check_together(two, 3s);
  }
}

TEST_CASE("each may be restarted, again and again, without leaving the numbers") {
  for (const bool same_ssrc : {true, false}) {
    CAPTURE(same_ssrc);
    TwoOrigins two{11};
    if (!same_ssrc) two.sides[1].ssrc_xor = 0x55555555;
    for (auto& side : two.sides) side.rtp_jitter = 10ms;
    two.sides[1].wall_off = -250ms;
    two.start(0);
    two.run(5s);
    two.start(1);
    two.run(5s);
    two.apart = 0;
    for (int i = 0; i < 12; ++i) {
      CAPTURE(i);
      const std::size_t s = i % 3 == 1 ? 1 : 0;
      two.stop(s);
      two.run(std::chrono::milliseconds{50 + 700 * (i % 4)});
      two.start(s);
      two.run(3s);
      CHECK(two.apart == 0);
      check_together(two, 3s);
    }
  }
}

TEST_CASE("a primary that was restarted in a pause of the encoder takes the place that the other one tells of") {
  for (int i = 0; i < 8; ++i) {
    CAPTURE(i);
    TwoOrigins two{static_cast<std::uint64_t>(20 + i)};
    two.start(0);
    two.start(1);
    two.run(5s);
    two.talking = false;
    two.run(500ms);
    two.stop(0);
    two.run(200ms);
    two.start(0);
    two.run(2s + i * 3ms);
    two.apart = 0;
    two.talking = true;
    check_together(two, 5s);
  }
}

TEST_CASE("packets that come late at one origin only cost that one these packets, and no number changes") {
  TwoOrigins two{13};
  two.start(0);
  two.start(1);
  two.run(5s);
  check_together(two, 5s);
  for (const std::size_t s : {0U, 1U}) {
    for (const Duration stall : {Duration{150ms}, Duration{600ms}, Duration{1500ms}}) {
      CAPTURE(s);
      CAPTURE(stall.count());
      // Whatever is under way is late, and all that comes then a little.
      std::multimap<Time, test::Packet> later;
      two.sides[s].rtp_delay = stall;
      two.run(stall);
      two.sides[s].rtp_delay = 20ms;
      two.run(2s);
      CHECK(two.apart == 0);
      check_together(two, 3s);
    }
  }
}

TEST_CASE("lost RTP at either origin leaves the numbers of what comes") {
  TwoOrigins two{17};
  for (auto& side : two.sides) {
    side.rtp_loss = 0.1;
    side.rtp_jitter = 30ms;
  }
  two.start(0);
  two.start(1);
  two.run(10s);
  two.apart = 0;
  two.run(60s);
  CHECK(two.apart == 0);
  CHECK(of(two, 1).agree());
  CHECK(two.sides[1].packets > 60 * 50 * 8 / 10);
}

TEST_CASE("the same packet again and again says nothing") {
  publish::Alignment alignment{20ms, false, Time{1h}};
  Time now{1h};
  publish::Ingest ingest{20, Sequence{0}, {now, WallTime{1'700'000'000s}}};
  ingest.hold_back();
  for (std::uint64_t i = 0; i < 200; ++i) {
    now += 20ms;
    alignment.on_frame(Sequence{5000 + i}, 77, now);
    alignment.on_packet({1, static_cast<std::uint32_t>(i * 960), Sequence{9000 + i}, {}, i == 0}, 77, now);
    alignment.run(ingest, {now, WallTime{1'700'000'000s}});
  }
  CHECK_FALSE(alignment.agree());
  CHECK(alignment.counters().matched.get() == 0);
}

TEST_CASE("alone it goes on after a second, and is aligned when the other one comes, who follows") {
  TwoOrigins two{19};
  two.start(1);
  two.run(1490ms);
  CHECK(two.sides[1].packets == 0);
  two.run(510ms);
  CHECK(two.sides[1].packets > 60);  // also those of the second before
  CHECK(of(two, 1).state() == Aligned::alone);
  two.run(60s);
  CHECK(two.sides[1].packets > 61 * 50);
  two.start(0);
  two.run(3s);
  CHECK(two.apart == 0);
  check_together(two, 5s);
  two.stop(0);
  two.run(2s);
  CHECK(of(two, 1).state() == Aligned::alone);
}

TEST_CASE("where only the standby aligns, it follows a primary that was restarted elsewhere") {
  TwoOrigins two{23};
  two.sides[0].aligns = false;
  two.sides[0].wall_off = 400ms;
  two.start(0);
  two.run(5s);
  two.start(1);
  two.run(3s);
  CHECK(two.apart == 0);
  two.stop(0);
  two.run(500ms);
  two.start(0);
  two.run(10s);
  two.apart = 0;
  two.run(5s);
  CHECK(two.apart == 0);
  CHECK(of(two, 1).agree());
}

TEST_CASE("in six hours a drift of 200 ppm between the encoder's crystal and the clocks parts nothing") {
  const int hours = test::hours(6);
  for (const auto& [drift, same_ssrc] : {std::pair{200e-6, true}, {-200e-6, false}}) {
    CAPTURE(drift);
    CAPTURE(same_ssrc);
    TwoOrigins two{29};
    two.drift = drift;
    if (!same_ssrc) two.sides[1].ssrc_xor = 0x55555555;
    for (auto& side : two.sides) side.rtp_jitter = 8ms;
    two.sides[1].wall_off = 90ms;
    two.start(0);
    two.start(1);
    two.run(3s);
    two.apart = 0;
    for (int hour = 0; hour < hours; ++hour) {
      const std::uint64_t before[] = {two.sides[0].packets, two.sides[1].packets};
      two.run(58min);
      for (const std::size_t s : {0U, 1U}) CHECK(two.sides[s].packets - before[s] > 58 * 60 * 50 - 45);
      // Then something restarts: the numbers go on where the clock by the RTP is, seconds from the wall's.
      if (hour % 3 == 0) two.restart_encoder();
      if (hour % 3 != 0) {
        const std::size_t s = hour % 3 == 1 ? 0 : 1;
        two.stop(s);
        two.run(5s);
        two.start(s);
      }
      two.run(115s);
      CHECK(two.apart == 0);
      two.run(5s);
      CHECK(of(two, 0).agree());
      CHECK(of(two, 1).agree());
    }
    const Sequence wall{static_cast<std::uint64_t>(two.moment(two.sides[0]).wall.time_since_epoch() / two.frame)};
    const auto off = static_cast<std::int64_t>(two.sides[0].last.value - wall.value);
    CHECK((off > 0) == (drift > 0));
    CHECK((off < 0 ? -off : off) > 33 * hours);  // 0.72 s an hour
    CHECK((off < 0 ? -off : off) < 38 * hours + 2);
  }
}

}  // namespace tiercast::alignment_test
