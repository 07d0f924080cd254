// What a playout makes of its sources' word: strict mode, attestations, ends.
#include <doctest/doctest.h>

#include "tests/receive/playout_rig.hpp"

namespace tiercast::playout_attested_test {

using namespace tiercast::test;
using receive::Played;
using receive::PlayedKind;
using receive::Playout;
using receive::PlayoutConfig;
using Rig = PlayoutRig;

TEST_CASE("playout: an attested version takes the place of an unattested one of another source") {
  for (const bool strict : {false, true}) {
    CAPTURE(strict);
    Rig rig{strict};
    rig.playout.start_from(Sequence{9});
    for (const auto mark : {std::uint8_t{0xfe}, std::uint8_t{0xff}})
      rig.playout.on_frame(rig.two.seal(kEpoch, Sequence{10}, payload(Sequence{10}, mark)), rig.time_of(10));
    rig.playout.on_attest(rig.one.attest(rig.run(9, 10)), rig.time_of(10));
    rig.give(10);
    rig.give(9);
    const auto heard = drain(rig.playout);
    REQUIRE(sequences(heard) == Numbers{9, 10});
    CHECK(heard[1].opus == payload(Sequence{10}));
  }
}

TEST_CASE("playout: strict mode plays what its source has signed, at once when it has, and nothing else") {
  Rig rig{true};
  rig.playout.start_from(Sequence{10});
  const Datagram forged = rig.make(11, 0, 0xff);
  rig.give(10);
  rig.playout.on_frame(forged, rig.time_of(11));  // with the group's key, and first
  rig.give(11);
  rig.give(12);
  CHECK(drain(rig.playout).empty());
  rig.playout.on_attest(rig.one.attest(rig.run(10, 12)), rig.time_of(12));
  const auto heard = drain(rig.playout);
  REQUIRE(sequences(heard) == Numbers{10, 11, 12});
  CHECK(heard[1].opus == payload(Sequence{11}));
  CHECK(rig.playout.counters().drop_not_as_attested.get() == 1);
  // The attestation came first.
  rig.playout.on_attest(rig.one.attest({rig.make(13)}), rig.time_of(13));
  rig.playout.on_frame(rig.make(13, 0, 0xff), rig.time_of(13));
  CHECK(drain(rig.playout).empty());
  rig.give(13);
  CHECK(sequences(drain(rig.playout)) == Numbers{13});
}

TEST_CASE("playout: strict mode holds two versions, not more, and makes room when one proves false") {
  Rig rig{true};
  rig.playout.start_from(Sequence{10});
  rig.playout.on_frame(rig.make(10, 0, 0xfe), rig.time_of(10));
  rig.playout.on_frame(rig.make(10, 0, 0xff), rig.time_of(10));
  rig.give(10);
  CHECK(rig.playout.counters().drop_third_version.get() == 1);
  CHECK(rig.playout.has(Sequence{10}));
  rig.playout.on_attest(rig.one.attest({rig.make(10)}), rig.time_of(10));
  CHECK(rig.playout.counters().drop_not_as_attested.get() == 2);
  CHECK_FALSE(rig.playout.has(Sequence{10}));  // so that it is asked for
  rig.give(10);
  CHECK(sequences(drain(rig.playout)) == Numbers{10});
}

TEST_CASE("playout: strict mode, two sources: each one's signature counts for itself") {
  Rig rig{true};
  rig.playout.start_from(Sequence{10});
  const Datagram of_two = rig.two.seal(kEpoch, Sequence{10}, payload(Sequence{10}, 2));
  rig.playout.on_frame(of_two, rig.time_of(10));
  rig.give(10);
  // Source two signs a statement about source one's frame: it does not count.
  Datagram crossed = rig.two.attest({of_two});
  crossed[2] = 1;
  rig.playout.on_attest(crossed, rig.time_of(10));
  CHECK(rig.playout.counters().attest_drop_forged.get() == 1);
  CHECK(drain(rig.playout).empty());
  rig.playout.on_attest(rig.two.attest({of_two}), rig.time_of(10));
  const auto heard = drain(rig.playout);
  REQUIRE(sequences(heard) == Numbers{10});
  CHECK(heard[0].played.source == SourceId{2});
}

TEST_CASE("playout: strict mode gives up at the deadline what nobody signed, and counts it apart") {
  Rig rig{true};
  rig.playout.start_from(Sequence{10});
  rig.give(10);
  const Time deadline = rig.time_of(10) + wire::kStrictPlayout;
  CHECK(rig.playout.next_deadline() == deadline);
  rig.playout.on_timer(deadline - 1ns);
  CHECK(drain(rig.playout).empty());
  rig.playout.on_timer(deadline);
  const auto heard = drain(rig.playout);
  REQUIRE(sequences(heard) == Numbers{10});
  CHECK(heard[0].kind == PlayedKind::lost);
  CHECK(rig.playout.counters().lost_unattested.get() == 1);
}

TEST_CASE("playout: strict mode waits for the attestations of a stream that goes on late, after a silence") {
  Rig rig{true};
  rig.playout.start_from(Sequence{10});
  for (std::uint64_t s = 10; s < 35; ++s) rig.give(s);
  rig.playout.on_attest(rig.one.attest(rig.run(10, 34)), rig.time_of(34));
  CHECK(drain(rig.playout).size() == 25);
  constexpr Duration kLater = 2240ms;  // than the playout delay
  for (std::uint64_t s = 35; s < 60; ++s) {
    rig.playout.on_frame(rig.make(s), rig.time_of(s) + kLater);
    CHECK(drain(rig.playout).empty());
  }
  CHECK(rig.playout.next_deadline() == rig.time_of(35) + kLater + wire::kStrictPlayout);
  rig.playout.on_attest(rig.one.attest(rig.run(35, 59)), rig.time_of(59) + kLater);
  CHECK(drain(rig.playout).size() == 25);
  CHECK(rig.playout.counters().lost.get() == 0);
}

TEST_CASE("playout: after a silence, what is missing of a stream that did not wait is given up by its own time") {
  Rig rig{true};
  rig.playout.start_from(Sequence{10});
  for (std::uint64_t s = 10; s < 35; ++s) rig.give(s);
  rig.playout.on_attest(rig.one.attest(rig.run(10, 34)), rig.time_of(34));
  drain(rig.playout);
  // What was lost in an outage of the network comes again first, then what is new, in time.
  rig.playout.on_frame(rig.make(36), rig.time_of(100));
  CHECK(rig.playout.next_deadline() == rig.time_of(99) + wire::kStrictPlayout);
  rig.playout.on_frame(rig.make(101), rig.time_of(101));
  CHECK(rig.playout.next_deadline() <= rig.time_of(101));
  rig.playout.on_timer(rig.time_of(101));
  CHECK(drain(rig.playout).front().kind == PlayedKind::lost);
}

TEST_CASE("playout: strict mode takes nothing beyond 3 s after the newest attested") {
  Rig rig{true};
  rig.playout.start_from(Sequence{10});
  rig.playout.on_frame(rig.make(10 + 150), rig.time_of(10));
  CHECK(rig.playout.next_deadline() != kNever);  // taken: there is something to wait for
  Rig other{true};
  other.playout.start_from(Sequence{10});
  other.playout.on_frame(other.make(10 + 151), other.time_of(10));
  CHECK(other.playout.next_deadline() == kNever);
  other.playout.on_attest(other.one.attest({other.make(11)}), other.time_of(10));
  CHECK(other.playout.next_deadline() != kNever);
}

TEST_CASE("playout: an attestation that comes after a gap was resent still finds its frames") {
  Rig rig{true};
  rig.playout.start_from(Sequence{10});
  for (std::uint64_t s = 10; s < 40; ++s) rig.give(s);
  rig.playout.on_attest(rig.one.attest(rig.run(25, 39)), rig.time_of(39));
  CHECK(drain(rig.playout).empty());
  CHECK_FALSE(rig.playout.attested(Sequence{10}));
  rig.playout.on_attest(rig.one.attest(rig.run(10, 24)), rig.time_of(40));
  CHECK(rig.playout.attested(Sequence{10}));
  CHECK(drain(rig.playout).size() == 30);
}

TEST_CASE("playout: an attestation is verified once; what is forged, old or foreign is dropped by its reason") {
  Rig rig;
  rig.playout.start_from(Sequence{1000});
  const auto& counters = rig.playout.counters();
  const Datagram good = rig.one.attest(rig.run(1000, 1003));
  Datagram bad = good;
  bad.back() ^= 1;
  rig.playout.on_attest(bad, rig.time_of(1003));
  CHECK(counters.attest_drop_forged.get() == 1);
  rig.playout.on_attest(good, rig.time_of(1003));
  rig.playout.on_attest(good, rig.time_of(1003));
  rig.playout.on_attest(bad, rig.time_of(1003));  // says nothing new: not even looked at
  CHECK(counters.attest_drop_duplicate.get() == 2);
  CHECK(counters.attest_drop_forged.get() == 1);
  rig.playout.on_attest(Bytes{good}.first(good.size() - 1), rig.time_of(1003));
  CHECK(counters.attest_drop_malformed.get() == 1);
  const TestSource foreign{SourceId{1}, GroupId{8}}, unlisted{SourceId{3}};
  rig.playout.on_attest(foreign.attest({foreign.seal(kEpoch, Sequence{1000}, {})}), rig.time_of(1003));
  CHECK(counters.attest_drop_other_group.get() == 1);
  rig.playout.on_attest(unlisted.attest({unlisted.seal(kEpoch, Sequence{1000}, {})}), rig.time_of(1003));
  CHECK(counters.attest_drop_unknown_source.get() == 1);
}

TEST_CASE("playout: an end is believed only when attested") {
  Rig rig;
  rig.playout.start_from(Sequence{10});
  rig.give(10);
  const Datagram last = rig.make(11, wire::kFlagEnd);
  SUBCASE("attested: told with its frame") {
    rig.playout.on_frame(last, rig.time_of(11));
    CHECK(sequences(drain(rig.playout)) == Numbers{10});
    rig.playout.on_attest(rig.one.attest({last}), rig.time_of(11));
    const auto heard = drain(rig.playout);
    REQUIRE(sequences(heard) == Numbers{11});
    CHECK(heard[0].played.end);
    CHECK(rig.playout.ended());
  }
  SUBCASE("never attested: played at its deadline, no end") {
    rig.playout.on_frame(last, rig.time_of(11));
    CHECK(sequences(drain(rig.playout)) == Numbers{10});
    const Time deadline = rig.time_of(11) + wire::kPlayout;
    CHECK(rig.playout.next_deadline() == deadline);
    rig.playout.on_timer(deadline);
    const auto heard = drain(rig.playout);
    REQUIRE(sequences(heard) == Numbers{11});
    CHECK_FALSE(heard[0].played.end);
    CHECK_FALSE(rig.playout.ended());
    // Late, but true.
    rig.playout.on_attest(rig.one.attest({last}), deadline + 1s);
    CHECK(rig.playout.ended());
    rig.playout.on_frame(rig.make(12), deadline + 2s);
    drain(rig.playout);
    CHECK_FALSE(rig.playout.ended());
  }
  SUBCASE("forged: the true frame of that sequence says otherwise") {
    rig.playout.on_frame(last, rig.time_of(11));
    rig.playout.on_attest(rig.one.attest({rig.make(11)}), rig.time_of(11));
    rig.give(11);
    const auto heard = drain(rig.playout);
    REQUIRE(sequences(heard) == Numbers{10, 11});
    CHECK_FALSE(heard[1].played.end);
    CHECK_FALSE(rig.playout.ended());
  }
  SUBCASE("the true end comes after a forgery took its place") {
    rig.playout.on_frame(rig.make(11, 0, 0xff), rig.time_of(11));
    CHECK(sequences(drain(rig.playout)) == Numbers{10, 11});
    rig.playout.on_frame(last, rig.time_of(11));
    CHECK_FALSE(rig.playout.ended());
    rig.playout.on_attest(rig.one.attest({last}), rig.time_of(11));
    CHECK(rig.playout.ended());
  }
  SUBCASE("the last frame is lost, its attestation says that it was the end") {
    rig.playout.on_attest(rig.one.attest({last}, wire::kFlagEnd), rig.time_of(11));
    CHECK(sequences(drain(rig.playout)) == Numbers{10});
    rig.playout.on_timer(rig.time_of(11) + wire::kPlayout);
    const auto heard = drain(rig.playout);
    REQUIRE(sequences(heard) == Numbers{11});
    CHECK(heard[0].kind == PlayedKind::lost);
    CHECK(heard[0].played.end);
    CHECK(rig.playout.ended());
  }
}

TEST_CASE("playout: normal mode drops an unplayed frame that its source has not signed, and takes the true one") {
  Rig rig;
  rig.playout.start_from(Sequence{10});
  rig.playout.on_frame(rig.make(11, 0, 0xff), rig.time_of(11));
  rig.playout.on_attest(rig.one.attest(rig.run(10, 11)), rig.time_of(11));
  CHECK_FALSE(rig.playout.has(Sequence{11}));
  rig.give(10);
  rig.give(11);
  const auto heard = drain(rig.playout);
  REQUIRE(sequences(heard) == Numbers{10, 11});
  CHECK(heard[1].opus == payload(Sequence{11}));
}

}  // namespace tiercast::playout_attested_test
