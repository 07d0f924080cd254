#include "relay/forward/askee.hpp"

#include <doctest/doctest.h>

#include <array>

namespace tiercast::askee_test {

using namespace tiercast::forward;

namespace {
constexpr Sequence kWanted{1000};
Askee live(Duration round_trip, double loss = 0, std::uint64_t newest = 1010) {
  return {true, true, false, round_trip, loss, Sequence{newest}};
}
}  // namespace

TEST_CASE("asked is who answers soonest, what gets lost included, and then somebody else") {
  std::array parents{live(30ms), live(20ms), live(20ms, 0.5)};
  CHECK(whom_to_ask(parents, kWanted, std::nullopt) == 1);
  CHECK(whom_to_ask(parents, kWanted, 1) == 0);
  CHECK(whom_to_ask(parents, kWanted, 0) == 1);
  CHECK(whom_to_ask(std::span{parents}.first(1), kWanted, 0) == 0);
}

TEST_CASE("who is not past what is missing may not have it, who seeks has nothing, who is silent is the last") {
  std::array parents{live(1ms, 0, 990), live(90ms), live(1ms), live(1ms)};
  parents[2].seeking = true;
  parents[3].live = false;
  CHECK(whom_to_ask(parents, kWanted, std::nullopt) == 1);
  parents[1].leased = false;
  CHECK(whom_to_ask(parents, kWanted, std::nullopt) == 2);
  parents[2].leased = false;
  CHECK(whom_to_ask(parents, kWanted, std::nullopt) == 0);
  parents[0].leased = false;
  CHECK(whom_to_ask(parents, kWanted, std::nullopt) == 3);
  parents[3].leased = false;
  CHECK_FALSE(whom_to_ask(parents, kWanted, std::nullopt));
}

TEST_CASE("a source's word is asked of who brings that source, again and again, where there is one") {
  std::array<Askee, 3> parents{};
  for (Askee& parent : parents) parent.leased = parent.live = true;
  parents[0].progress.push_back({SourceId{1}, Sequence{99}});
  parents[1].progress.push_back({SourceId{2}, Sequence{120}});
  CHECK(whom_to_ask(parents, Sequence{100}, 1, SourceId{2}) == 1U);
  CHECK(whom_to_ask(parents, Sequence{99}, 0, SourceId{1}) == 0U);
  CHECK(whom_to_ask(parents, Sequence{100}, 0, SourceId{1}) != 0U);  // it fell silent before
  parents[2].progress = parents[1].progress;
  CHECK(whom_to_ask(parents, Sequence{100}, 1, SourceId{2}) == 2U);
  parents[1].live = parents[2].live = false;
  CHECK(whom_to_ask(parents, Sequence{100}, std::nullopt, SourceId{2}) == 0U);
}

TEST_CASE("what a parent brought is known for each source") {
  Brought brought;
  brought.on_frame(SourceId{2}, Sequence{50}, false);
  brought.on_frame(SourceId{1}, Sequence{51}, false);
  brought.on_frame(SourceId{2}, Sequence{49}, false);
  brought.on_frame(SourceId{3}, Sequence{70}, false);  // there are two at most
  Askee askee;
  askee.progress = brought.progress();
  CHECK(carries(askee, SourceId{2}, Sequence{50}));
  CHECK_FALSE(carries(askee, SourceId{2}, Sequence{51}));
  CHECK(carries(askee, SourceId{1}, Sequence{51}));
  CHECK_FALSE(carries(askee, SourceId{3}, Sequence{1}));
}

TEST_CASE("a frame may still come by itself from a live parent that has not brought anything newer") {
  std::array parents{live(1ms), live(1ms, 0, 999)};
  CHECK(may_still_come(parents, kWanted));
  parents[1].newest = Sequence{0};  // has never brought anything
  CHECK_FALSE(may_still_come(parents, kWanted));
  parents[1] = live(1ms, 0, 999);
  parents[1].live = false;
  CHECK_FALSE(may_still_come(parents, kWanted));
  CHECK_FALSE(may_still_come(std::array{live(1ms, 0, 999)}, kWanted));
}

TEST_CASE("a parent's loss is told from holes in what it brings, not from jumps and repairs") {
  Brought brought;
  for (std::uint64_t s = 1000; s < 1400; ++s)
    if (s % 5 != 0) brought.on_frame(SourceId{1}, Sequence{s}, false);
  CHECK(brought.newest() == Sequence{1399});
  CHECK(brought.loss() > 0.15);
  CHECK(brought.loss() < 0.25);
  const double before = brought.loss();
  Brought::Share share = brought.take_share();
  CHECK(share.came == 320);
  CHECK(share.missed == 79);  // what was before the first one is not known
  brought.on_frame(SourceId{1}, Sequence{1395}, false);
  CHECK(brought.loss() == before);
  brought.on_frame(SourceId{1}, Sequence{9000}, false);
  CHECK(brought.loss() == before);
  CHECK(brought.take_share().came == 0);
  for (std::uint64_t s = 9001; s < 9400; ++s) brought.on_frame(SourceId{1}, Sequence{s}, false);
  CHECK(brought.loss() < 0.001);
  const double calm = brought.loss();
  brought.on_frame(SourceId{1}, Sequence{9420}, true);
  CHECK(brought.loss() < calm);
  share = brought.take_share();
  CHECK(share.came == 400);
  CHECK(share.missed == 0);
}

}  // namespace tiercast::askee_test
