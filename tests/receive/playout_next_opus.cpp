// What a playout tells with a lost tick: the packet after it, whose FEC may hold what was lost.
#include <doctest/doctest.h>

#include "relay/receive/playout.hpp"
#include "tests/receive/stream.hpp"

namespace tiercast::playout_next_opus_test {

using namespace tiercast::test;
using receive::PlayedKind;
using receive::Playout;
using receive::PlayoutConfig;

namespace {

constexpr Epoch kEpoch{1000};

struct Rig {
  explicit Rig(bool attested_only = false) : strict(attested_only) {
    playout.on_epoch(one.record(kEpoch));
    playout.start_from(Sequence{10});
  }
  Datagram give(std::uint64_t s, std::uint8_t flags = 0, bool empty = false) {
    const Datagram sealed = one.seal(kEpoch, Sequence{s}, empty ? Datagram{} : payload(Sequence{s}), flags);
    playout.on_frame(sealed, at(20ms * static_cast<int>(s)));
    return sealed;
  }
  PlayoutConfig config() const {
    PlayoutConfig c;
    c.group = kGroup;
    c.strict = strict;
    c.sources = {one.key()};
    return c;
  }
  /// With each tick what was offered.
  std::vector<std::pair<PlayedKind, Datagram>> play() {
    playout.on_timer(at(20ms * 30) + wire::kStrictPlayout);
    std::vector<std::pair<PlayedKind, Datagram>> out;
    receive::Played p;
    while (playout.next(p)) out.emplace_back(p.kind, Datagram(p.next_opus.begin(), p.next_opus.end()));
    return out;
  }
  bool strict;
  TestSource one{SourceId{1}};
  Playout playout{config()};
};

}  // namespace

TEST_CASE("playout: with a lost tick comes the packet after it, where that is here") {
  Rig rig;
  for (const std::uint64_t s : {10, 12, 15}) rig.give(s);
  const auto played = rig.play();
  REQUIRE(played.size() == 6);
  using Offered = std::pair<PlayedKind, Datagram>;
  CHECK(played[0] == Offered{PlayedKind::frame, {}});
  CHECK(played[1] == Offered{PlayedKind::lost, payload(Sequence{12})});
  CHECK(played[2] == Offered{PlayedKind::frame, {}});
  CHECK(played[3] == Offered{PlayedKind::lost, {}});  // what comes next is lost too
  CHECK(played[4] == Offered{PlayedKind::lost, payload(Sequence{15})});
  CHECK(played[5] == Offered{PlayedKind::frame, {}});
}

TEST_CASE("playout: nothing is offered that carries no audio, or did not follow what was lost") {
  Rig rig;
  rig.give(10);
  SUBCASE("empty") { rig.give(12, 0, true); }
  SUBCASE("after skipped ticks") { rig.give(12, wire::kFlagDiscontinuity); }
  const auto played = rig.play();
  REQUIRE(played.size() == 3);
  CHECK(played[1].first == PlayedKind::lost);
  CHECK(played[1].second.empty());
}

TEST_CASE("playout: strict mode offers only what is attested") {
  Rig rig{true};
  const Datagram ten = rig.give(10), twelve = rig.give(12), thirteen = rig.give(13);
  Datagram attest;
  SUBCASE("the next one is") {
    attest = rig.one.attest({ten, twelve, thirteen});
    rig.playout.on_attest(attest, at(300ms));
    const auto played = rig.play();
    REQUIRE(played.size() == 4);
    CHECK(played[1] == std::pair{PlayedKind::lost, payload(Sequence{12})});
  }
  SUBCASE("the next one is not") {
    attest = rig.one.attest({ten, thirteen});
    rig.playout.on_attest(attest, at(300ms));
    const auto played = rig.play();
    REQUIRE(played.size() == 4);
    CHECK(played[1] == std::pair{PlayedKind::lost, Datagram{}});
    CHECK(played[2].first == PlayedKind::lost);
  }
}

}  // namespace tiercast::playout_next_opus_test
