#include "relay/node/resender.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

namespace tiercast::resender_test {

using namespace tiercast::node;

namespace {

struct Fixture {
  Fixture() {
    for (std::uint64_t s = 1000; s < 1500; ++s) {
      const auto slot = history.claim_frame(Sequence{s});
      std::fill_n(slot->begin(), 40, std::uint8_t{1});
      history.publish_frame(Sequence{s}, 40);
    }
    resender.node_budget().set_relays(1000);  // it is not what is tested
    now += 1s;
  }
  void attest(std::uint64_t first, std::uint8_t count) {
    std::vector<std::uint8_t> datagram(wire::kHeader + 1 + count * wire::kAttestHash + wire::kSignature, 1);
    wire::write_header(std::span{datagram}.first<wire::kHeader>(),
                       {wire::Type::attest, 0, SourceId{1}, GroupId{7}, Epoch{1}, Sequence{first}});
    datagram[wire::kHeader] = count;
    REQUIRE(history.add_attestation(datagram));
  }
  void ask(const wire::Nack& nack, std::uint16_t group = 0, bool resume = false, std::uint64_t lease = 1) {
    Resender::Allowance allowance;
    ask(nack, allowance, group, resume, lease);
  }
  /// One of several in a CONTROL.
  void ask(const wire::Nack& nack, Resender::Allowance& allowance, std::uint16_t group = 0, bool resume = false,
           std::uint64_t lease = 1) {
    resender.on_nack({LeaseId{lease}, resume, 50ms}, GroupIndex{group}, 20ms, history, late, nack, allowance, now);
  }
  static wire::Nack frames(std::uint64_t first, std::uint16_t count, wire::NackKind kind = wire::NackKind::frame) {
    wire::Nack nack{GroupId{7}, kind, {}};
    nack.ranges.push_back({Sequence{first}, count});
    return nack;
  }
  std::vector<Resender::Due> due(Duration within = 0ms) {
    std::vector<Resender::Due> all;
    Resender::Due one;
    while (resender.next(one, now + within)) all.push_back(one);
    return all;
  }

  Time now{1h};
  forward::History history{500};
  LateFrames late;
  Resender resender{now};
};

}  // namespace

TEST_CASE("what is asked for and here is sent again, paced, six times at most, and not while it is on its way") {
  Fixture f;
  f.ask(Fixture::frames(1200, 3));
  CHECK(f.due().size() == 1);
  CHECK(f.due(4ms).empty());
  const auto rest = f.due(10ms);
  REQUIRE(rest.size() == 2);
  CHECK(rest[0].sequence == Sequence{1201});
  CHECK(rest[1].sequence == Sequence{1202});
  f.now += 10ms;
  f.ask(Fixture::frames(1200, 3));  // before the answers can have come
  CHECK(f.due(1s).empty());
  CHECK(f.resender.counters().on_its_way.get() == 3);
  for (int i = 0; i < 6; ++i) {
    f.now += 1s;
    f.ask(Fixture::frames(1200, 3));
  }
  CHECK(f.due(1s).size() == 15);
  CHECK(f.resender.counters().drop_lease_budget.get() == 3);
  f.ask(Fixture::frames(1600, 5));
  CHECK(f.due(1s).empty());
}

TEST_CASE("the same moment's frames of several groups are not one frame") {
  Fixture f;
  for (std::uint16_t g = 0; g < 8; ++g) f.ask(Fixture::frames(1300, 1), g);
  CHECK(f.due(1s).size() == 8);
  f.attest(1300, 25);
  f.ask(Fixture::frames(1300, 1, wire::NackKind::attestation));
  CHECK(f.due(2s).size() == 1);
}

TEST_CASE("all NACKs of one CONTROL together are not walked longer than a history, nor once a budget is empty") {
  Fixture f;
  wire::Nack nack{GroupId{7}, wire::NackKind::frame, {}};
  for (int i = 0; i < 32; ++i) nack.ranges.push_back({Sequence{1}, 65535});
  Resender::Allowance allowance;
  for (int record = 0; record < 79; ++record) f.ask(nack, allowance);
  CHECK(f.resender.counters().asked.get() == wire::kResendBurst);
  CHECK(f.due(1h).size() == wire::kResendBurst);

  // What is not here costs no budget: that is where the walk itself must end.
  forward::History empty{500};
  const auto slot = empty.claim_frame(Sequence{1500});
  std::fill_n(slot->begin(), 40, std::uint8_t{1});
  empty.publish_frame(Sequence{1500}, 40);
  Resender::Allowance of_one;
  const auto before = f.resender.counters().not_here.get();
  for (int record = 0; record < 79; ++record)
    f.resender.on_nack({LeaseId{2}, false, 50ms}, GroupIndex{0}, 20ms, empty, f.late, nack, of_one, f.now);
  CHECK(f.resender.counters().not_here.get() - before <= 1024);
  CHECK(f.resender.counters().drop_too_much.get() > 0);

  nack.kind = wire::NackKind::attestation;  // of which there is none
  const auto asked = f.resender.counters().asked.get();
  Resender::Allowance again;
  for (int record = 0; record < 79; ++record) f.ask(nack, again, 0, false, 3);
  CHECK(f.resender.counters().asked.get() - asked == 8);
}

TEST_CASE("a resume is exempt from the lease's budget and the node's, and all resumes together have one") {
  Fixture f;
  f.resender.node_budget().set_relays(0);
  for (std::uint64_t lease = 1; lease <= 30; ++lease) f.ask(Fixture::frames(1000, 500), 0, true, lease);
  CHECK(f.resender.counters().drop_queue_full.get() == 0);
  const std::size_t sent = f.due(10s).size();
  CHECK(sent >= wire::kNodeResume);
  CHECK(sent <= wire::kNodeResume + wire::kResendBurst);  // then as everybody
  CHECK(f.resender.counters().drop_node_budget.get() == 10);
  f.now += 1s;
  f.ask(Fixture::frames(1000, 500), 0, true, 30);  // what was refused was not used up
  CHECK(f.due().size() == 500);
}

TEST_CASE("after an outage that its lease outlived a relay resumes again, a history's worth in any ten seconds") {
  Fixture f;
  f.ask(Fixture::frames(1400, 2), 0, true);
  CHECK(f.due().size() == 2);
  f.now += 1s;
  for (int outage = 0; outage < 3; ++outage) {
    f.ask(Fixture::frames(1100, 150), 0, true);
    CHECK(f.due().size() == 150);
  }
  f.ask(Fixture::frames(1100, 150), 1, true);  // of another group
  CHECK(f.due().size() == 150);
  f.ask(Fixture::frames(1100, 150), 0, true);
  CHECK(f.due(10s).size() == 50 + wire::kResendBurst);
  f.now += 3s;
  f.ask(Fixture::frames(1100, 150), 0, true);
  CHECK(f.due().size() == 150);
  f.now += 16s;
  f.ask(Fixture::frames(1100, 150), 0, false);  // a listener does not
  CHECK(f.due(10s).size() == wire::kResendBurst);
}

TEST_CASE("a lease has one short resume a group; another one when it has moved, not sooner than a lease's life") {
  Fixture f;
  f.attest(1100, 25);
  f.ask(Fixture::frames(1100, 1, wire::NackKind::attestation), 0, true);
  f.ask(Fixture::frames(1000, 64), 0, true);
  CHECK(f.due().size() == 65);
  f.ask(Fixture::frames(1000, 64), 1, true);
  CHECK(f.due().size() == 64);
  const auto again = [&] {
    f.now += 16s;
    f.resender.node_budget().set_relays(0);
    while (f.resender.node_budget().take(f.now)) continue;
    f.ask(Fixture::frames(1000, 64), 0, true);
    return f.due(10s).size();
  };
  CHECK(again() == 0);
  f.resender.lease_moved(LeaseId{1}, f.now);
  CHECK(again() == 64);
  f.resender.lease_moved(LeaseId{1}, f.now - 2s);
  CHECK(again() == 0);
}

TEST_CASE("a frame that came late and went to everybody is not sent again to who asked before it arrived") {
  Fixture f;
  for (std::uint64_t s = 1000; s < 1500; ++s)
    if (s != 1400) f.late.sent(Sequence{s}, f.now);
  f.now += 1s;
  f.late.sent(Sequence{1400}, f.now);
  f.now += 30ms;
  f.ask(Fixture::frames(1399, 3));
  CHECK(f.due(1s).size() == 2);
  CHECK(f.resender.counters().on_its_way.get() == 1);
  f.now += 21ms;  // a round trip later: it was lost on the way
  f.ask(Fixture::frames(1400, 1));
  CHECK(f.due(1s).size() == 1);
}

TEST_CASE("what the node refuses does not use up what the lease may ask for") {
  Fixture f;
  f.resender.node_budget().set_relays(0);
  for (std::uint64_t lease = 2; lease < 4; ++lease) f.ask(Fixture::frames(1000, 64), 0, false, lease);
  CHECK(f.resender.counters().drop_node_budget.get() > 0);
  for (int i = 0; i < 10; ++i) f.ask(Fixture::frames(1300, 1));
  CHECK(f.resender.counters().drop_lease_budget.get() == 0);
  f.due(10s);
  f.now += 1s;
  f.resender.node_budget().set_relays(1000);
  f.ask(Fixture::frames(1300, 1));
  CHECK(f.due(1s).size() == 1);
}

TEST_CASE("a resume comes in the order of the stream") {
  Fixture f;
  f.ask(Fixture::frames(1100, 200), 0, true);
  const auto due = f.due();
  REQUIRE(due.size() == 200);
  for (std::size_t i = 0; i < due.size(); ++i) CHECK(due[i].sequence == Sequence{1100 + i});
}

TEST_CASE("who takes a standby up is given some frames of each group beyond the budgets, however it asks") {
  Fixture f;
  f.resender.node_budget().set_relays(0);
  while (f.resender.node_budget().available(f.now)) (void)f.resender.node_budget().take(f.now);
  Resender::Allowance allowance{.takes_up = true};
  for (int again = 0; again < 10; ++again) f.ask(Fixture::frames(1400, 100), allowance);
  CHECK(f.due().size() == wire::kResumeFrames);
  f.ask(Fixture::frames(1400, 100), allowance, 1);
  CHECK(f.due().size() == wire::kResumeFrames);
  Resender::Allowance another{.takes_up = true};
  f.ask(Fixture::frames(1400, 100), another);
  f.now += 1s;
  while (f.resender.node_budget().available(f.now)) (void)f.resender.node_budget().take(f.now);
  Resender::Allowance later{.takes_up = true};
  f.ask(Fixture::frames(1400, 100), later);
  CHECK(f.due().empty());
}

}  // namespace tiercast::resender_test
