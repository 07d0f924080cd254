// Where a playout believes the stream to be: starts, jumps, discontinuities.
#include <doctest/doctest.h>

#include "tests/receive/playout_rig.hpp"

namespace tiercast::playout_place_test {

using namespace tiercast::test;
using receive::Played;
using receive::PlayedKind;
using receive::Playout;
using receive::PlayoutConfig;
using Rig = PlayoutRig;

TEST_CASE("playout: without a place to start from, three consecutive frames give it, and what lies just before") {
  Rig rig;
  rig.give(10);
  rig.give(13);
  CHECK(drain(rig.playout).empty());
  CHECK_FALSE(rig.playout.position());
  rig.give(12);
  rig.give(14);
  CHECK(rig.playout.position() == Sequence{10});
  CHECK(sequences(drain(rig.playout)) == Numbers{10});
  rig.give(11);
  CHECK(sequences(drain(rig.playout)) == Numbers{11, 12, 13, 14});
}

TEST_CASE("playout: without a place to start from, one attested frame gives it") {
  for (const bool strict : {false, true}) {
    Rig rig{strict};
    SUBCASE("the frame first") {
      rig.give(10);
      CHECK(drain(rig.playout).empty());
      rig.playout.on_attest(rig.one.attest({rig.make(10)}), rig.time_of(10));
    }
    SUBCASE("the attestation first") {
      rig.playout.on_attest(rig.one.attest({rig.make(10)}), rig.time_of(10));
      CHECK(drain(rig.playout).empty());
      rig.give(10);
    }
    CHECK(sequences(drain(rig.playout)) == Numbers{10});
  }
}

TEST_CASE("playout: a forged frame from the future neither moves the place nor gives up what comes") {
  for (const std::uint64_t ahead :
       {std::uint64_t{40}, std::uint64_t{490}, std::uint64_t{5000}, std::uint64_t{1} << 40}) {
    Rig rig;
    rig.playout.start_from(Sequence{1000});
    std::vector<Datagram> frames;
    std::uint64_t lost = 0, played = 0;
    for (std::uint64_t s = 1000; s < 1200; ++s) {
      rig.give(s);
      frames.push_back(rig.make(s));
      if (frames.size() == 25) {
        rig.playout.on_attest(rig.one.attest(frames), rig.time_of(s));
        frames.clear();
      }
      // Held by anyone with the group's key: three in a row, after the first second.
      if (s >= 1050 && s < 1053) rig.playout.on_frame(rig.make(s + ahead, 0, 0xff), rig.time_of(s));
      for (const Heard& h : drain(rig.playout)) {
        ++(h.kind == PlayedKind::lost ? lost : played);
        if (h.sequence.value < 1000 + ahead) CHECK((h.opus.empty() || h.opus == payload(h.sequence)));
      }
    }
    CAPTURE(ahead);
    CHECK(lost == 0);
    CHECK(played == 200);
  }
}

TEST_CASE("playout: a number of forged frames from the future does not hurry the deadlines of missing ones") {
  Rig rig;
  rig.playout.start_from(Sequence{1000});
  rig.give(1000);
  rig.give(1001);
  rig.playout.on_attest(rig.one.attest({rig.make(1000), rig.make(1001)}), rig.time_of(1001));
  drain(rig.playout);
  for (std::uint64_t s = 1100; s < 1120; ++s) rig.playout.on_frame(rig.make(s, 0, 0xff), rig.time_of(1001));
  CHECK(rig.playout.next_deadline() == rig.time_of(1002) + wire::kPlayout);
}

TEST_CASE("playout: without attestations, three consecutive frames make a jump; fewer or scattered ones do not") {
  Rig rig;
  rig.playout.start_from(Sequence{10});
  rig.give(10);
  drain(rig.playout);
  const auto now = rig.time_of(10) + 5s;
  for (std::uint64_t s : {90'000, 90'001, 90'003, 90'004, 90'010}) rig.playout.on_frame(rig.make(s), now);
  CHECK(drain(rig.playout).empty());
  rig.playout.on_frame(rig.make(90'005), now);
  const auto heard = drain(rig.playout);
  CHECK(sequences(heard) == Numbers{90'003, 90'004, 90'005});
  REQUIRE(!heard.empty());
  CHECK(heard[0].played.discontinuity);
  rig.playout.on_frame(rig.make(11), now);  // never backwards
  CHECK(drain(rig.playout).empty());
}

TEST_CASE("playout: three frames that agree only over seconds make no jump") {
  Rig rig;
  rig.playout.start_from(Sequence{10});
  rig.give(10);
  drain(rig.playout);
  for (std::uint64_t i = 0; i < 3; ++i)
    rig.playout.on_frame(rig.make(90'000 + i), rig.time_of(10) + 5s + 2001ms * static_cast<int>(i));
  CHECK(drain(rig.playout).empty());
  CHECK(rig.playout.counters().drop_ahead.get() == 2);
}

TEST_CASE("playout: after a jump, what is attested but did not come is waited for, and lost at its deadline") {
  Rig rig;
  rig.playout.start_from(Sequence{10});
  rig.give(10);
  const Time now = rig.time_of(11);
  rig.playout.on_frame(rig.make(100'000), now);
  rig.playout.on_attest(rig.one.attest(rig.run(100'000, 100'002)), now);
  CHECK(sequences(drain(rig.playout)) == Numbers{10, 100'000});
  CHECK(rig.playout.next_deadline() == now + 20ms + wire::kPlayout);
  rig.playout.on_timer(now + 40ms + wire::kPlayout);
  CHECK(sequences(drain(rig.playout)) == Numbers{100'001, 100'002});
  CHECK(rig.playout.counters().lost.get() == 2);
}

TEST_CASE("playout: normal mode, too, takes nothing beyond 3 s after the newest attested while attestations flow") {
  Rig rig;
  rig.playout.start_from(Sequence{10});
  rig.give(10);
  rig.playout.on_attest(rig.one.attest({rig.make(10)}), rig.time_of(10));
  drain(rig.playout);
  rig.playout.on_frame(rig.make(10 + 151), rig.time_of(10));
  CHECK(rig.playout.next_deadline() == kNever);
  rig.playout.on_frame(rig.make(10 + 150), rig.time_of(10));
  CHECK(rig.playout.next_deadline() != kNever);
}

TEST_CASE("playout: normal mode goes on when only old attestations come") {
  Rig rig;
  rig.playout.start_from(Sequence{1000});
  for (std::uint64_t s = 1000; s < 1200; ++s) rig.give(s);
  CHECK(drain(rig.playout).size() == 200);
  rig.playout.on_attest(rig.one.attest(rig.run(1000, 1024)), rig.time_of(1200));
  rig.give(1200);
  CHECK(sequences(drain(rig.playout)) == Numbers{1200});
}

TEST_CASE("playout: after a pause that skips fewer ticks than it lasted, deadlines follow the new time") {
  Rig rig;
  rig.playout.start_from(Sequence{10});
  rig.give(10);
  rig.playout.on_attest(rig.one.attest({rig.make(10)}), rig.time_of(10));
  drain(rig.playout);
  const Datagram jumping = rig.make(12, wire::kFlagDiscontinuity);
  const Time now = rig.time_of(12) + 5s;
  rig.playout.on_frame(jumping, now);
  rig.playout.on_attest(rig.one.attest({jumping}, wire::kFlagDiscontinuity), now);
  rig.playout.on_frame(rig.make(14), now + 40ms);
  drain(rig.playout);
  CHECK(rig.playout.position() == Sequence{13});
  CHECK(rig.playout.next_deadline() == now + 20ms + wire::kPlayout);
}

TEST_CASE("playout: strict mode never jumps on frames alone") {
  Rig rig{true};
  rig.playout.start_from(Sequence{10});
  for (std::uint64_t s = 90'000; s < 90'020; ++s) rig.playout.on_frame(rig.make(s), rig.time_of(10) + 5s);
  CHECK(drain(rig.playout).empty());
  CHECK(rig.playout.position() == Sequence{10});
}

TEST_CASE("playout: a wrong place to start from is left once the sources have signed another one") {
  Rig rig;
  rig.playout.start_from(Sequence{1'000'000});  // says a parent that lies
  for (std::uint64_t s = 1000; s < 1025; ++s) rig.give(s);
  CHECK(drain(rig.playout).empty());
  rig.playout.on_attest(rig.one.attest(rig.run(1000, 1024)), rig.time_of(1024));
  rig.give(1025);
  rig.playout.on_timer(rig.time_of(1025) + 1s);
  const auto heard = drain(rig.playout);
  REQUIRE(!heard.empty());
  CHECK(heard[0].sequence == Sequence{1000});
  CHECK(heard[0].played.discontinuity);
  CHECK(heard.back().sequence == Sequence{1025});
  CHECK(heard.back().kind == PlayedKind::frame);
  // From now on the place is sure: an old attestation, though truly signed, moves nothing.
  rig.playout.on_attest(rig.one.attest(rig.run(10, 30)), rig.time_of(1026));
  CHECK(rig.playout.position() == Sequence{1026});
  CHECK(rig.playout.counters().attest_drop_old.get() == 1);
}

TEST_CASE("playout: ticks that a discontinuity skips are neither lost nor waited for, once attested") {
  for (const bool strict : {false, true}) {
    CAPTURE(strict);
    Rig rig{strict};
    rig.playout.start_from(Sequence{10});
    rig.give(10);
    const Datagram jumping = rig.make(60, wire::kFlagDiscontinuity);
    rig.playout.on_attest(rig.one.attest({rig.make(10)}), rig.time_of(10));
    CHECK(sequences(drain(rig.playout)) == Numbers{10});
    rig.playout.on_frame(jumping, rig.time_of(12));
    CHECK(drain(rig.playout).empty());
    rig.playout.on_attest(rig.one.attest({jumping}, wire::kFlagDiscontinuity), rig.time_of(12));
    const auto heard = drain(rig.playout);
    CHECK(sequences(heard) == Numbers{60});
    REQUIRE(heard.size() == 1);
    CHECK(heard[0].played.discontinuity);
    CHECK(rig.playout.counters().lost.get() == 0);
    // Deadlines follow the new relation of ticks and time.
    rig.playout.on_frame(rig.make(62), rig.time_of(14));
    CHECK(rig.playout.next_deadline() == rig.time_of(13) + (strict ? wire::kStrictPlayout : wire::kPlayout));
  }
}

TEST_CASE("playout: the ticks that one source skips are the other one's until they would be given up") {
  Rig rig;
  rig.playout.start_from(Sequence{10});
  rig.give(10);
  rig.give(11);
  rig.playout.on_attest(rig.one.attest(rig.run(10, 11)), rig.time_of(11));
  CHECK(sequences(drain(rig.playout)) == Numbers{10, 11});
  const Datagram jumping = rig.two.seal(kEpoch, Sequence{14}, payload(Sequence{14}), wire::kFlagDiscontinuity);
  rig.playout.on_frame(jumping, rig.time_of(14));
  rig.playout.on_attest(rig.two.attest({jumping}, wire::kFlagDiscontinuity), rig.time_of(14));
  const Time given_up = rig.time_of(12) + wire::kPlayout;
  CHECK(drain(rig.playout).empty());
  CHECK(rig.playout.next_deadline() == given_up);
  SUBCASE("they come") {
    rig.playout.on_frame(rig.make(12), given_up - 2ns);
    rig.playout.on_frame(rig.make(13), given_up - 1ns);
    const auto heard = drain(rig.playout);
    REQUIRE(sequences(heard) == Numbers{12, 13, 14});
    CHECK_FALSE(heard[2].played.discontinuity);
  }
  SUBCASE("they do not") {
    rig.playout.on_timer(given_up - 1ns);
    CHECK(drain(rig.playout).empty());
    rig.playout.on_timer(given_up);
    const auto heard = drain(rig.playout);
    REQUIRE(sequences(heard) == Numbers{14});
    CHECK(heard[0].played.discontinuity);
    CHECK(rig.playout.counters().lost.get() == 0);
  }
}

TEST_CASE("playout: where there is one source, nobody else has the ticks that it skips") {
  const TestSource one{SourceId{1}};
  PlayoutConfig config;
  config.group = kGroup;
  config.sources = {one.key()};
  Playout playout{config};
  playout.on_epoch(one.record(kEpoch));
  playout.start_from(Sequence{10});
  const Datagram first = one.seal(kEpoch, Sequence{10}, payload(Sequence{10}));
  const Datagram jumping = one.seal(kEpoch, Sequence{14}, payload(Sequence{14}), wire::kFlagDiscontinuity);
  playout.on_frame(first, at(200ms));
  playout.on_attest(one.attest({first}), at(200ms));
  playout.on_frame(jumping, at(280ms));
  playout.on_attest(one.attest({jumping}, wire::kFlagDiscontinuity), at(280ms));
  CHECK(sequences(drain(playout)) == Numbers{10, 14});
}

TEST_CASE("playout: an unattested discontinuity flag skips nothing") {
  Rig rig;
  rig.playout.start_from(Sequence{10});
  rig.give(10);
  rig.playout.on_frame(rig.make(60, wire::kFlagDiscontinuity), rig.time_of(10));
  rig.give(11);
  CHECK(sequences(drain(rig.playout)) == Numbers{10, 11});
}

TEST_CASE(
    "playout: a jump is followed when attested, after what is held; never on frames alone while attestations flow") {
  for (const bool strict : {false, true}) {
    CAPTURE(strict);
    Rig rig{strict};
    rig.playout.start_from(Sequence{10});
    for (std::uint64_t s : {10, 11, 13}) rig.give(s);
    rig.playout.on_attest(rig.one.attest(rig.run(10, 13)), rig.time_of(13));
    CHECK(sequences(drain(rig.playout)) == Numbers{10, 11});
    std::vector<Datagram> far;
    for (std::uint64_t s = 100'000; s < 100'005; ++s) {
      far.push_back(rig.make(s, s == 100'000 ? wire::kFlagDiscontinuity : 0));
      rig.playout.on_frame(far.back(), rig.time_of(14));
    }
    CHECK(drain(rig.playout).empty());
    CHECK(rig.playout.position() == Sequence{12});
    CHECK(rig.playout.has(Sequence{100'004}));
    CHECK_FALSE(rig.playout.has(Sequence{100'005}));
    rig.playout.on_attest(rig.one.attest(far, wire::kFlagDiscontinuity), rig.time_of(15));
    const auto heard = drain(rig.playout);
    CHECK(sequences(heard) == Numbers{12, 13, 100'000, 100'001, 100'002, 100'003, 100'004});
    REQUIRE(heard.size() == 7);
    CHECK(heard[0].kind == PlayedKind::lost);
    CHECK(heard[1].kind == PlayedKind::frame);
    CHECK(heard[2].played.discontinuity);
    CHECK_FALSE(heard[3].played.discontinuity);
    CHECK(rig.playout.counters().discontinuities.get() == 1);
  }
}

}  // namespace tiercast::playout_place_test
