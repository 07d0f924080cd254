#include "relay/receive/playout.hpp"

#include <doctest/doctest.h>

#include "tests/receive/stream.hpp"
#include "tests/support/counting_allocator.hpp"

using namespace tiercast;
using namespace tiercast::test;
using receive::Played;
using receive::PlayedKind;
using receive::Playout;
using receive::PlayoutConfig;

namespace {

constexpr Epoch kEpoch{1000};

struct Rig {
  explicit Rig(bool strict = false, std::chrono::milliseconds length = 20ms, std::optional<Duration> delay = {})
      : playout(config(strict, length, delay)), frame(length) {
    playout.on_epoch(one.record(kEpoch));
    playout.on_epoch(two.record(kEpoch));
  }
  PlayoutConfig config(bool strict, std::chrono::milliseconds length, std::optional<Duration> delay) const {
    PlayoutConfig c;
    c.group = kGroup;
    c.frame = length;
    c.strict = strict;
    c.delay = delay;
    c.sources = {one.key(), two.key()};
    return c;
  }
  Datagram make(std::uint64_t s, std::uint8_t flags = 0, std::uint8_t mark = 0) const {
    return one.seal(kEpoch, Sequence{s}, payload(Sequence{s}, mark), flags);
  }
  std::vector<Datagram> run(std::uint64_t first, std::uint64_t last) const {
    std::vector<Datagram> out;
    for (std::uint64_t s = first; s <= last; ++s) out.push_back(make(s));
    return out;
  }
  /// The time at which a sequence arrives when nothing delays it.
  Time time_of(std::uint64_t s) const { return at(frame * static_cast<int>(s)); }
  void give(std::uint64_t s, std::uint8_t flags = 0, std::uint8_t mark = 0) {
    playout.on_frame(make(s, flags, mark), time_of(s));
  }

  TestSource one{SourceId{1}}, two{SourceId{2}};
  Playout playout;
  std::chrono::milliseconds frame;
};

std::vector<std::uint64_t> sequences(const std::vector<Heard>& heard) {
  std::vector<std::uint64_t> out;
  for (const Heard& h : heard) out.push_back(h.sequence.value);
  return out;
}

using Numbers = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("playout: frames in order are played at once, bit for bit") {
  Rig rig;
  rig.playout.start_from(Sequence{10});
  for (std::uint64_t s = 10; s < 20; ++s) {
    rig.give(s);
    const auto heard = drain(rig.playout);
    REQUIRE(heard.size() == 1);
    CHECK(heard[0].sequence == Sequence{s});
    CHECK(heard[0].kind == PlayedKind::frame);
    CHECK(heard[0].opus == payload(Sequence{s}));
    CHECK(heard[0].played.source == SourceId{1});
    CHECK(heard[0].played.arrived == rig.time_of(s));
    CHECK_FALSE(heard[0].played.repaired);
    CHECK_FALSE(heard[0].played.discontinuity);
  }
  CHECK(rig.playout.next_deadline() == kNever);
}

TEST_CASE("playout: an empty frame is a tick without audio") {
  Rig rig;
  rig.playout.start_from(Sequence{10});
  rig.playout.on_frame(rig.one.seal(kEpoch, Sequence{10}, {}), rig.time_of(10));
  const auto heard = drain(rig.playout);
  REQUIRE(heard.size() == 1);
  CHECK(heard[0].kind == PlayedKind::empty);
  CHECK(heard[0].opus.empty());
}

TEST_CASE("playout: a missing frame is waited for until its time and the delay, not less and not more") {
  Rig rig;
  rig.playout.start_from(Sequence{10});
  rig.give(10);
  rig.give(12);
  rig.give(13);
  CHECK(sequences(drain(rig.playout)) == Numbers{10});
  const Time deadline = rig.time_of(11) + wire::kPlayout;
  CHECK(rig.playout.next_deadline() == deadline);
  CHECK_FALSE(rig.playout.has(Sequence{11}));
  CHECK(rig.playout.has(Sequence{12}));
  rig.playout.on_timer(deadline - 1ns);
  CHECK(drain(rig.playout).empty());
  SUBCASE("it comes") {
    rig.playout.on_frame(rig.make(11), deadline - 1ns);
    const auto heard = drain(rig.playout);
    CHECK(sequences(heard) == Numbers{11, 12, 13});
    CHECK(heard[0].played.repaired);
    CHECK_FALSE(heard[1].played.repaired);
  }
  SUBCASE("it does not") {
    rig.playout.on_timer(deadline);
    const auto heard = drain(rig.playout);
    CHECK(sequences(heard) == Numbers{11, 12, 13});
    CHECK(heard[0].kind == PlayedKind::lost);
    CHECK(heard[1].kind == PlayedKind::frame);
    rig.playout.on_frame(rig.make(11), deadline);
    CHECK(drain(rig.playout).empty());
    CHECK(rig.playout.counters().drop_late.get() == 1);
    CHECK(rig.playout.counters().lost.get() == 1);
  }
}

TEST_CASE("playout: a stream that falls silent is waited for, however long") {
  Rig rig;
  rig.playout.start_from(Sequence{10});
  rig.give(10);
  drain(rig.playout);
  CHECK(rig.playout.next_deadline() == kNever);
  rig.playout.on_timer(rig.time_of(10) + 60s);
  CHECK(drain(rig.playout).empty());
  rig.playout.on_frame(rig.make(11), rig.time_of(10) + 60s);
  CHECK(sequences(drain(rig.playout)) == Numbers{11});
}

TEST_CASE("playout: duplicates and frames before the start are dropped and counted") {
  Rig rig;
  rig.playout.start_from(Sequence{10});
  rig.give(9);
  rig.give(10);
  rig.give(10);
  rig.give(11);
  CHECK(sequences(drain(rig.playout)) == Numbers{10, 11});
  rig.give(11);
  CHECK(drain(rig.playout).empty());
  CHECK(rig.playout.counters().drop_late.get() == 1);
  CHECK(rig.playout.counters().drop_duplicate.get() == 2);
  rig.playout.start_from(Sequence{500});  // ignored: it has started
  CHECK(rig.playout.position() == Sequence{12});
}

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

TEST_CASE("playout: of two sources the first authentic version of a sequence wins") {
  Rig rig;
  rig.playout.start_from(Sequence{10});
  rig.playout.on_frame(rig.two.seal(kEpoch, Sequence{10}, payload(Sequence{10}, 2)), rig.time_of(10));
  rig.give(10);
  rig.give(11);
  rig.playout.on_frame(rig.two.seal(kEpoch, Sequence{11}, payload(Sequence{11}, 2)), rig.time_of(11));
  const auto heard = drain(rig.playout);
  REQUIRE(sequences(heard) == Numbers{10, 11});
  CHECK(heard[0].played.source == SourceId{2});
  CHECK(heard[0].opus == payload(Sequence{10}, 2));
  CHECK(heard[1].played.source == SourceId{1});
  CHECK(rig.playout.counters().drop_duplicate.get() == 2);
}

TEST_CASE("playout: what is malformed, forged, of another group or source is dropped by its reason") {
  Rig rig;
  rig.playout.start_from(Sequence{10});
  Datagram frame = rig.make(10);
  const auto& counters = rig.playout.counters();
  rig.playout.on_frame({}, rig.time_of(10));
  rig.playout.on_frame(Bytes{frame}.first(wire::kHeader + wire::kTag - 1), rig.time_of(10));
  rig.playout.on_frame(Datagram(wire::kMaxSealed + 1, 0x20), rig.time_of(10));
  Datagram attest_type = frame;
  attest_type[0] = 0x22;
  rig.playout.on_frame(attest_type, rig.time_of(10));
  CHECK(counters.drop_malformed.get() == 4);
  for (std::size_t i = 16; i < frame.size(); ++i) {  // ciphertext and tag
    Datagram forged = frame;
    forged[i] ^= 1;
    rig.playout.on_frame(forged, rig.time_of(10));
  }
  CHECK(counters.drop_forged.get() == frame.size() - 16);
  rig.playout.on_frame(TestSource{SourceId{1}, GroupId{8}}.seal(kEpoch, Sequence{10}, {}), rig.time_of(10));
  CHECK(counters.drop_other_group.get() == 1);
  rig.playout.on_frame(TestSource{SourceId{3}}.seal(kEpoch, Sequence{10}, {}), rig.time_of(10));
  CHECK(counters.drop_unknown_source.get() == 1);
  CHECK(drain(rig.playout).empty());
  rig.playout.on_frame(frame, rig.time_of(10));
  CHECK(sequences(drain(rig.playout)) == Numbers{10});
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

TEST_CASE("playout: an unattested discontinuity flag skips nothing") {
  Rig rig;
  rig.playout.start_from(Sequence{10});
  rig.give(10);
  rig.playout.on_frame(rig.make(60, wire::kFlagDiscontinuity), rig.time_of(10));
  rig.give(11);
  CHECK(sequences(drain(rig.playout)) == Numbers{10, 11});
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

TEST_CASE("playout: frames of an unknown epoch wait for their key; a keepalive asks at most every 2 s") {
  Rig rig;
  rig.playout.start_from(Sequence{10});
  CHECK_FALSE(rig.playout.wants_epochs(rig.time_of(10)));
  const Epoch next{2000};
  for (std::uint64_t s = 10; s < 14; ++s)
    rig.playout.on_frame(rig.one.seal(next, Sequence{s}, payload(Sequence{s})), rig.time_of(s));
  CHECK(drain(rig.playout).empty());
  CHECK(rig.playout.wants_epochs(rig.time_of(13)));
  CHECK_FALSE(rig.playout.wants_epochs(rig.time_of(13) + wire::kEpochAskEvery - 1ns));
  rig.playout.on_frame(rig.one.seal(next, Sequence{14}, payload(Sequence{14})), rig.time_of(14) + 2s);
  CHECK(rig.playout.wants_epochs(rig.time_of(14) + 2s));
  rig.playout.on_epoch(rig.one.record(next));
  const auto heard = drain(rig.playout);
  CHECK(sequences(heard) == Numbers{10, 11, 12, 13, 14});
  CHECK(heard[0].played.arrived == rig.time_of(10));
  CHECK_FALSE(rig.playout.wants_epochs(rig.time_of(14) + 10s));
}

TEST_CASE("playout: at most two unknown epochs are tracked and 64 frames wait") {
  Rig rig;
  rig.playout.start_from(Sequence{10});
  auto give = [&](std::uint32_t epoch, std::uint64_t s, Time now) {
    rig.playout.on_frame(rig.one.seal(Epoch{epoch}, Sequence{s}, payload(Sequence{s})), now);
  };
  auto played_after = [&](std::uint32_t epoch) {
    rig.playout.on_epoch(rig.one.record(Epoch{epoch}));
    rig.playout.on_timer(rig.time_of(10) + 10s);
    std::uint64_t frames = 0;
    for (const Heard& h : drain(rig.playout)) frames += h.kind == PlayedKind::frame;
    return frames;
  };
  const Time now = rig.time_of(10);
  SUBCASE("a third one is dropped") {
    for (std::uint64_t s = 10; s < 13; ++s) {
      give(2000, s, now);
      give(2001, s + 10, now);
    }
    give(2002, 30, now);
    CHECK(rig.playout.counters().drop_unknown_epoch.get() == 1);
    CHECK(played_after(2002) == 0);
    CHECK(played_after(2000) == 3);
  }
  SUBCASE("the newest 64 frames are kept") {
    for (std::uint64_t s = 10; s < 100; ++s) give(2000, s, now);
    CHECK(rig.playout.counters().drop_awaiting_epoch.get() == 90 - wire::kFramesAwaitingEpoch);
    CHECK(played_after(2000) == wire::kFramesAwaitingEpoch);
  }
  SUBCASE("made-up epochs, fewer than true frames, do not keep the true one out") {
    give(3000, 10, now);
    give(3001, 10, now);
    for (std::uint64_t s = 10; s < 40; ++s) {
      if (s % 3 != 0) give(4000 + static_cast<std::uint32_t>(s), s, now);
      give(2000, s, now);
    }
    CHECK(played_after(2000) >= 26);
  }
  SUBCASE("one that is not seen for 2 s gives its place up") {
    for (std::uint64_t s = 10; s < 40; ++s) {
      give(2000, s, now);
      give(2001, s, now);
    }
    give(2002, 10, now + 2001ms);
    CHECK(played_after(2002) == 1);
  }
}

TEST_CASE("playout: after construction nothing allocates per frame or attestation") {
  for (const bool strict : {false, true}) {
    Rig rig{strict};
    std::vector<Datagram> frames, attests;
    for (std::uint64_t s = 1000; s < 1500; s += 25) {
      const auto run = rig.run(s, s + 24);
      frames.insert(frames.end(), run.begin(), run.end());
      attests.push_back(rig.one.attest(run));
    }
    const Datagram unknown = rig.one.seal(Epoch{9}, Sequence{1100}, {});
    const Datagram far = rig.make(1'000'000);
    std::uint64_t played = 0;
    AllocationCount allocations;
    Played p;
    for (std::size_t i = 0; i < frames.size(); ++i) {
      const Time now = rig.time_of(1000 + i);
      if (i % 7 != 0) rig.playout.on_frame(frames[i], now);
      if (i % 7 == 3) rig.playout.on_frame(frames[i - 3], now);
      rig.playout.on_frame(frames[i / 2], now);
      rig.playout.on_frame(unknown, now);
      rig.playout.on_frame(far, now);
      if (i % 25 == 24) rig.playout.on_attest(attests[i / 25], now);
      rig.playout.on_timer(now + 1ms);
      while (rig.playout.next(p)) ++played;
    }
    const std::uint64_t count = allocations.count();
    CHECK(count == 0);
    CHECK(played > 450);
  }
}
