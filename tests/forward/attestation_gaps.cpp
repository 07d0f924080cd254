#include "relay/forward/attestation_gaps.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <utility>
#include <vector>

namespace tiercast::attestation_gaps_test {

using namespace tiercast::forward;

namespace {

struct Fixture {
  std::optional<Sequence> asked() {
    wire::Nack nack;
    const std::array parents{Askee{.leased = true, .live = true, .round_trip = 20ms, .newest = {}}};
    if (!gaps.due(GroupId{7}, parents, nack, now)) return std::nullopt;
    CHECK(nack.kind == wire::NackKind::attestation);
    CHECK(nack.group == GroupId{7});
    REQUIRE(nack.ranges.size() == 1);
    CHECK(nack.ranges[0].count == 1);
    return nack.ranges[0].first;
  }
  void frames(std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t s = first; s < first + count; ++s, now += 20ms) {
      gaps.on_frame(Sequence{s}, false, now);
      if (auto sequence = asked()) asks.push_back(*sequence);
    }
  }
  Time now{1h};
  AttestationGaps gaps{SourceId{1}, 20ms};
  std::vector<Sequence> asks;
};

}  // namespace

TEST_CASE("a stream that is attested in time is never asked about") {
  Fixture f;
  for (std::uint64_t s = 1000; s < 2000; s += 25) {
    f.frames(s, 25);
    f.gaps.on_attestation(Sequence{s}, 25, f.now);
  }
  CHECK(f.asks.empty());
  CHECK(f.gaps.next_deadline() == kNever);
}

TEST_CASE("an attestation that did not come is asked for after its time, again and again, and then given up") {
  Fixture f;
  f.frames(1000, 1);
  f.now += 500ms;
  CHECK(!f.asked());
  f.now = f.gaps.next_deadline();
  CHECK(f.now <= Time{1h} + 600ms);
  int rounds = 0;
  while (f.gaps.next_deadline() != kNever) {
    const Time before = f.now = f.gaps.next_deadline();
    if (auto sequence = f.asked()) {
      CHECK(sequence == Sequence{1000});
      ++rounds;
      CHECK(f.gaps.next_deadline() >= before + 30ms);  // not before the answer can be here
    }
  }
  CHECK(rounds == 6);
  CHECK(f.gaps.counters().given_up.get() == 1);
  CHECK(f.gaps.counters().asked.get() == 6);
}

TEST_CASE("an attestation is asked for by a frame that came: those before it may be the other source's") {
  Fixture f;
  f.frames(1000, 25);
  f.gaps.on_attestation(Sequence{1000}, 25, f.now);
  f.frames(1029, 2);
  f.now += 1s;
  CHECK(f.asked() == Sequence{1029});
  // What is vouched for meanwhile is not asked for again.
  f.gaps.on_attestation(Sequence{1029}, 1, f.now);
  f.now += 1s;
  CHECK(f.asked() == Sequence{1030});
}

TEST_CASE("an attestation is asked of the parent that brings its source, and now and then of another one") {
  std::array parents{Askee{.leased = true, .live = true, .round_trip = 1ms, .newest = Sequence{2000}},
                     Askee{.leased = true, .live = true, .round_trip = 90ms, .newest = Sequence{2000}}};
  parents[0].progress.push_back({SourceId{1}, Sequence{2000}});
  parents[1].progress.push_back({SourceId{2}, Sequence{2000}});
  AttestationGaps gaps{SourceId{2}, 20ms};
  gaps.on_frame(Sequence{1000}, false, Time{1h});
  std::vector<std::size_t> asked;
  while (gaps.next_deadline() != kNever) {
    wire::Nack nack;
    if (const auto whom = gaps.due(GroupId{7}, parents, nack, gaps.next_deadline())) asked.push_back(*whom);
  }
  CHECK(asked == std::vector<std::size_t>{1, 1, 0, 1, 1, 0});
}

TEST_CASE("an attestation is due after 25 frames or 500 ms, whichever is over first") {
  for (const auto& [frame, due] : {std::pair{10ms, 250ms}, {20ms, 500ms}, {40ms, 500ms}, {60ms, 500ms}}) {
    CAPTURE(frame.count());
    Fixture f;
    f.gaps = AttestationGaps{SourceId{1}, frame, 60ms};
    f.gaps.on_frame(Sequence{1000}, false, f.now);
    CHECK(f.gaps.next_deadline() == f.now + due + 60ms);
  }
}

TEST_CASE("one between two others is asked for at once, and the later ones count when it has come") {
  Fixture f;
  f.frames(1000, 25);
  f.gaps.on_attestation(Sequence{1000}, 25, f.now);
  f.frames(1025, 25);
  f.frames(1050, 1);
  CHECK(f.asks.empty());
  f.gaps.on_attestation(Sequence{1050}, 25, f.now);  // out of order, or the other one is lost
  CHECK(f.asked() == Sequence{1025});
  f.gaps.on_attestation(Sequence{1025}, 25, f.now);
  CHECK(f.gaps.next_deadline() == kNever);
  f.frames(1051, 44);
  CHECK(f.asks.empty());
}

TEST_CASE("a joiner in the midst of a run is content with that run's attestation") {
  Fixture f;
  f.frames(1010, 15);
  f.gaps.on_attestation(Sequence{1000}, 25, f.now);
  CHECK(f.gaps.next_deadline() == kNever);
  f.gaps.on_attestation(Sequence{900}, 25, f.now);  // an old one
  f.gaps.on_attestation(Sequence{1000}, 25, f.now);
  CHECK(f.gaps.next_deadline() == kNever);
}

TEST_CASE("a jump leaves what was before it alone, also when it was lost and comes late") {
  Fixture f;
  f.frames(1000, 10);
  f.gaps.on_frame(Sequence{9000}, true, f.now);
  f.gaps.on_attestation(Sequence{9000}, 1, f.now);
  f.frames(9001, 24);
  f.gaps.on_attestation(Sequence{9001}, 24, f.now);
  CHECK(f.asks.empty());
  CHECK(f.gaps.next_deadline() == kNever);
  f.gaps.on_frame(Sequence{9000}, true, f.now);  // resent
  CHECK(f.gaps.next_deadline() == kNever);
}

TEST_CASE(
    "where each attestation is lost once, each is asked for as soon as the first one was: the wait does not add up") {
  Fixture f;
  Time answer = kNever;
  std::uint64_t asked = 0;
  for (std::uint64_t s = 1000; s < 1000 + 25 * 200; ++s) {
    f.gaps.on_frame(Sequence{s}, false, f.now);
    for (const Time next = f.now + 20ms; f.now < next; f.now += 5ms) {
      if (f.now >= answer) {
        f.gaps.on_attestation(Sequence{1000 + 25 * (asked - 1)}, 25, f.now);
        answer = kNever;
      }
      if (const auto sequence = f.asked()) {
        CHECK(sequence == Sequence{1000 + 25 * asked});
        ++asked;
        CHECK(s <= sequence->value + 31);  // 500 ms, the grace, and the time that an answer takes
        answer = f.now + 20ms;
      }
    }
  }
  CHECK(asked >= 198);
  CHECK(f.gaps.counters().given_up.get() == 0);
}

TEST_CASE("of frames that came all at once after a hole the wait is counted from when they came") {
  Fixture f;
  f.frames(1000, 1);
  f.now += 500ms;
  for (std::uint64_t s = 1001; s < 1040; ++s) f.gaps.on_frame(Sequence{s}, false, f.now);
  f.now += 20ms;
  f.gaps.on_attestation(Sequence{1000}, 25, f.now);
  CHECK(f.gaps.next_deadline() == f.now - 20ms + 560ms);
}

}  // namespace tiercast::attestation_gaps_test
