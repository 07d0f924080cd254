#include "relay/node/outgoing.hpp"

#include <doctest/doctest.h>

#include <map>

#include "tests/support/fan_out_table.hpp"

namespace tiercast::outgoing_test {

using namespace tiercast::node;

namespace {

constexpr Time kStart{1h};
using Kind = Outgoing::Kind;
using Step = Outgoing::Step;

Endpoint to(std::uint16_t port) {
  Endpoint e;
  e.port = port;
  return e;
}

struct Fixture {
  explicit Fixture(Duration spread = {}, std::size_t at_once = 100) : outgoing(history) {
    std::vector<std::unique_ptr<forward::FanOut>> made;
    for (auto& table : tables) {
      auto one = std::make_unique<test::FanOutTable>(
          [this](const test::FanOutTable::Entry& entry, Bytes datagram) {
            ++got[entry.to.port][datagram[0]];
            order.push_back(datagram[0]);
          },
          at_once);
      table = one.get();
      made.push_back(std::move(one));
    }
    outgoing.open(std::move(made), spread);
  }
  void listeners(std::uint32_t count, std::size_t socket = 0) {
    for (std::uint32_t i = 0; i < count; ++i, ++next)
      outgoing.listeners(socket).add(next, to(static_cast<std::uint16_t>(next)), {});
  }
  /// A frame whose first byte is its sequence.
  void frame(std::uint64_t sequence, Time told = kStart) {
    const auto slot = history.claim_frame(Sequence{sequence});
    REQUIRE(slot);
    (*slot)[0] = static_cast<std::uint8_t>(sequence);
    history.publish_frame(Sequence{sequence}, 100);
    REQUIRE(outgoing.add({Kind::frame, sequence, {}, told}));
  }
  Step step(Time now) {
    REQUIRE(outgoing.due() <= now);
    forward::FanOutResult result;
    const Step out = outgoing.step(result, now);
    sent = result.sent;
    return out;
  }
  std::size_t heard(std::uint8_t what) const {
    std::size_t sum = 0;
    for (const auto& [port, counts] : got) {
      const auto at = counts.find(what);
      if (at == counts.end()) continue;
      CHECK(at->second == 1);
      ++sum;
    }
    return sum;
  }

  forward::History history{16};
  Outgoing outgoing;
  std::array<test::FanOutTable*, 2> tables{};
  std::map<std::uint16_t, std::map<std::uint8_t, int>> got;
  std::vector<std::uint8_t> order;
  std::uint32_t next = 1, sent = 0;
};

}  // namespace

TEST_CASE("outgoing: what is added goes to all listeners at all sockets, in order, a piece at a time") {
  Fixture f;
  f.listeners(250);
  f.listeners(30, 1);
  f.frame(1);
  f.frame(2);
  std::vector<std::uint32_t> pieces;
  while (f.outgoing.due() <= kStart) {
    f.step(kStart);
    pieces.push_back(f.sent);
  }
  CHECK(pieces == std::vector<std::uint32_t>{100, 100, 80, 100, 100, 80});  // the last of a table and a small next one
  CHECK(f.heard(1) == 280);
  CHECK(f.heard(2) == 280);
  CHECK(std::is_sorted(f.order.begin(), f.order.end()));
  CHECK(f.outgoing.due() == kNever);
}

TEST_CASE("outgoing: nothing is kept for nobody") {
  Fixture f;
  for (std::uint64_t i = 1; i < 1000; ++i) f.frame(i);
  CHECK(f.outgoing.due() == kNever);
  f.listeners(1);
  CHECK(f.outgoing.due() == kNever);  // what was before them is not theirs
}

TEST_CASE("outgoing: spread over time, equal parts leave at equal steps, the last before the time is over") {
  Fixture f{10ms, 1000};
  f.listeners(1000);
  f.frame(1);
  std::map<Duration, std::uint32_t> by_time;
  Time now = kStart;
  while (f.outgoing.due() != kNever) {
    now = std::max(now, f.outgoing.due());
    f.step(now);
    by_time[now - kStart] += f.sent;
  }
  CHECK(f.heard(1) == 1000);
  REQUIRE(by_time.size() == 10);
  Duration at{};
  for (const auto& [when, count] : by_time) {
    CHECK(when == at);
    CHECK(count == 100);
    at += 1ms;
  }
}

TEST_CASE("outgoing: a late turn makes up for what it missed") {
  Fixture f{10ms, 1000};
  f.listeners(1000);
  f.frame(1);
  CHECK(f.step(kStart) == Step::sent);
  CHECK(f.sent == 100);
  CHECK(f.step(kStart + 6500us) == Step::sent);
  CHECK(f.sent == 600);
  CHECK(f.outgoing.due() == kStart + 7ms);
  CHECK(f.step(kStart + 20ms) == Step::finished);
  CHECK(f.heard(1) == 1000);
}

TEST_CASE("outgoing: when another one waits, the one under way is spread no longer") {
  Fixture f{10ms, 1000};
  f.listeners(1000);
  f.frame(1);
  CHECK(f.step(kStart) == Step::sent);
  CHECK(f.outgoing.due() > kStart);
  f.frame(2);
  CHECK(f.outgoing.due() <= kStart);
  CHECK(f.step(kStart) == Step::finished);
  CHECK(f.heard(1) == 1000);
  CHECK(f.step(kStart) == Step::sent);  // and that one is
  CHECK(f.heard(2) == 100);
}

TEST_CASE("outgoing: listeners that come and go in between: who stays gets it once") {
  Fixture f{{}, 10};
  f.listeners(35);
  f.frame(1);
  CHECK(f.step(kStart) == Step::sent);  // ports 1 to 10 have it
  f.outgoing.listeners(0).remove(2);    // one that has it; 35 takes its place
  f.outgoing.listeners(0).remove(20);   // one that has not; 34 takes its place
  while (f.outgoing.due() <= kStart) f.step(kStart);
  CHECK(f.heard(1) == 34);
  CHECK(f.got.count(21) == 0);
  CHECK(f.got[35][1] == 1);
  CHECK(f.got[34][1] == 1);
}

TEST_CASE("outgoing: all of them leave in between") {
  Fixture f{{}, 10};
  f.listeners(20);
  f.frame(1);
  CHECK(f.step(kStart) == Step::sent);
  while (f.outgoing.size() > 0) f.outgoing.listeners(0).remove(0);
  CHECK(f.step(kStart) == Step::finished);
  CHECK(f.outgoing.due() == kNever);
}

TEST_CASE("outgoing: what waited longer than listeners do goes to nobody, and what follows it does") {
  Fixture f;
  f.listeners(3);
  f.frame(1, kStart);
  f.frame(2, kStart + 100ms);
  const Time now = kStart + wire::kStrictPlayout + 1ms;
  CHECK(f.step(now) == Step::late);
  CHECK(f.step(now) == Step::finished);
  CHECK(f.heard(1) == 0);
  CHECK(f.heard(2) == 3);
}

TEST_CASE("outgoing: a frame that the history has no more is gone; one under way is held") {
  Fixture f{{}, 1};
  f.listeners(2);
  f.frame(1);
  CHECK(f.step(kStart) == Step::sent);
  CHECK_FALSE(f.history.claim_frame(Sequence{17}));  // its slot
  CHECK(f.step(kStart) == Step::finished);
  f.frame(2);
  CHECK(f.history.claim_frame(Sequence{18}));  // waiting holds nothing
  CHECK(f.step(kStart) == Step::gone);
  CHECK(f.heard(1) == 2);
  CHECK(f.heard(2) == 0);
}

TEST_CASE("outgoing: attestations, opaque datagrams and IDLE") {
  Fixture f;
  f.listeners(2);
  const std::vector<std::uint8_t> attest(200, std::uint8_t{0x22}), opaque(50, std::uint8_t{0x30});
  const auto a = f.history.add_attestation(attest);
  const auto o = f.history.add_opaque(opaque);
  REQUIRE(a);
  REQUIRE(o);
  REQUIRE(f.outgoing.add({Kind::attestation, *a, {}, kStart}));
  REQUIRE(f.outgoing.add({Kind::opaque, *o, {}, kStart}));
  REQUIRE(
      f.outgoing.add({Kind::idle, 0, {wire::Type::idle, 0, SourceId{1}, GroupId{7}, Epoch{0}, Sequence{9}}, kStart}));
  for (const Kind kind : {Kind::attestation, Kind::opaque, Kind::idle}) {
    CHECK(f.step(kStart) == Step::finished);
    CHECK(f.outgoing.current().kind == kind);
  }
  CHECK(f.heard(0x22) == 2);
  CHECK(f.heard(0x30) == 2);
  CHECK(f.heard(0x23) == 2);
}

TEST_CASE("outgoing: as many wait as may, the rest is refused") {
  Fixture f;
  f.listeners(1);
  std::size_t taken = 0;
  while (taken < 10'000 && f.outgoing.add({Kind::frame, 1, {}, kStart})) ++taken;
  CHECK(taken >= static_cast<std::size_t>(wire::kStrictPlayout / 10ms));
  CHECK(taken < 1000);
  f.outgoing.close();
  CHECK(f.outgoing.due() == kNever);
  CHECK(f.outgoing.size() == 0);
}

}  // namespace tiercast::outgoing_test
