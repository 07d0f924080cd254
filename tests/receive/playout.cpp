#include "relay/receive/playout.hpp"

#include <doctest/doctest.h>

#include "tests/receive/playout_rig.hpp"
#include "tests/support/counting_allocator.hpp"

namespace tiercast::playout_test {

using namespace tiercast::test;
using receive::Played;
using receive::PlayedKind;
using receive::Playout;
using receive::PlayoutConfig;
using Rig = PlayoutRig;

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

TEST_CASE("playout: only what was opened, and was not here, is said to be") {
  Rig rig;
  rig.playout.start_from(Sequence{10});
  const auto good = rig.make(10);
  auto forged = rig.make(11), unknown = rig.make(12);
  forged.back() ^= 1;
  unknown[9] ^= 1;  // its epoch
  CHECK(rig.playout.on_frame(good, rig.time_of(10)));
  CHECK_FALSE(rig.playout.on_frame(good, rig.time_of(10)));
  CHECK_FALSE(rig.playout.on_frame(forged, rig.time_of(11)));
  CHECK_FALSE(rig.playout.on_frame(unknown, rig.time_of(12)));
  CHECK(rig.playout.counters().drop_forged.get() == 1);
  CHECK(rig.playout.on_frame(rig.make(12), rig.time_of(12)));
  CHECK_FALSE(rig.playout.on_frame(rig.make(9), rig.time_of(12)));
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

TEST_CASE("playout: frames of an unknown epoch wait for their key") {
  Rig rig;
  rig.playout.start_from(Sequence{10});
  const Epoch next{2000};
  CHECK_FALSE(rig.playout.awaits(SourceId{1}, next));
  for (std::uint64_t s = 10; s < 14; ++s)
    rig.playout.on_frame(rig.one.seal(next, Sequence{s}, payload(Sequence{s})), rig.time_of(s));
  CHECK(drain(rig.playout).empty());
  CHECK(rig.playout.awaits(SourceId{1}, next));
  CHECK_FALSE(rig.playout.awaits(SourceId{2}, next));
  CHECK_FALSE(rig.playout.awaits(SourceId{1}, kEpoch));
  rig.playout.on_frame(rig.one.seal(next, Sequence{14}, payload(Sequence{14})), rig.time_of(14) + 2s);
  rig.playout.on_epoch(rig.one.record(next));
  const auto heard = drain(rig.playout);
  CHECK(sequences(heard) == Numbers{10, 11, 12, 13, 14});
  CHECK(heard[0].played.arrived == rig.time_of(10));
  CHECK_FALSE(rig.playout.awaits(SourceId{1}, next));
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

}  // namespace tiercast::playout_test
