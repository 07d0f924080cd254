// The crowd against a node's own door and lease table, in virtual time.
#include "relay/measure/load_crowd.hpp"

#include <doctest/doctest.h>

#include "tests/measure/load_edge.hpp"

namespace tiercast::measure::load_crowd_test {
namespace {

using test::Datagram;
using test::LoadEdge;

constexpr Time kStart{1000s};

TEST_CASE("everybody joins at the pace asked for, holds the lease, gets each frame, and leaves") {
  LoadEdge edge{kStart};
  auto plan = edge.plan(200);
  plan.ramp = 100;
  LoadCrowd& crowd = edge.crowd(plan);
  edge.run(1s);
  CHECK(crowd.joined() >= 95);
  CHECK(crowd.joined() <= 105);
  CHECK_FALSE(crowd.complete_at());
  edge.run(31s);
  const LoadReport report = edge.report();
  REQUIRE(crowd.complete_at());
  CHECK(*crowd.complete_at() - kStart > 1900ms);
  CHECK(*crowd.complete_at() - kStart < 2200ms);
  CHECK(judge(report) == "");
  CHECK(report.joined == 200);
  CHECK(report.leases == 200);
  CHECK(edge.leases() == 200);
  CHECK(report.join_ms.count == 200);
  CHECK(report.frame_ms == 20);
  CHECK(report.frames.lost + report.frames.twice + report.frames.late + report.frames.missed_at_start == 0);
  CHECK(report.frames.came > 200 * 30 * 50);
  CHECK(report.frames.came <= 200 * 32 * 50);
  // One at once, and then one in 5 s at a phase of its own.
  CHECK(report.keepalives > 200 * 6);
  CHECK(report.keepalives < 200 * 9);
  CHECK(report.keepalives_acknowledged == edge.keepalives);
  CHECK(report.keepalives_resent == 0);
  CHECK(report.keepalives_unanswered == 0);
  CHECK(report.sample.opened == report.frames.came);
  CHECK(report.sample.attested > 31 * 50 - 25);
  CHECK(report.sample.contradicted + report.sample.forged + report.sample.differing == 0);
  CHECK(report.behind_first_ms.most == 0);
  CHECK(report.first_since_sealed_ms.count > 10);
  CHECK(report.first_since_sealed_ms.most <= 1);

  crowd.leave(edge.now);
  edge.run(100ms);
  CHECK(crowd.gone());
  CHECK(edge.leases() == 0);
}

TEST_CASE("a frame that does not come is counted, whoever's it is, and also the last ones") {
  LoadEdge edge{kStart};
  edge.crowd(edge.plan(100));
  edge.run(2s);
  int dropped = 0;
  edge.on_frame = [&](std::uint32_t listener, Sequence, Datagram&) {
    if (listener != 7 || dropped == 3) return true;
    ++dropped;
    return false;
  };
  edge.run(2s);
  LoadReport report = edge.report();
  CHECK(report.lost_steady == 3);
  CHECK(report.listeners_that_lost == 1);
  CHECK(report.frames.longest_gap == 3);
  CHECK(judge(report) == "3 frames were lost, by 1 of 100 listeners");
  edge.on_frame = [](std::uint32_t listener, Sequence, Datagram&) { return listener != 9; };
  edge.run(1s);
  report = edge.report();
  CHECK(report.lost_steady >= 3 + 34);  // of 50, less what may still come
  CHECK(report.lost_steady <= 3 + 36);
  CHECK(report.listeners_that_lost == 2);
}

TEST_CASE("who gets no frame at all is silent, and has lost all that the others got") {
  LoadEdge edge{kStart};
  edge.on_frame = [](std::uint32_t listener, Sequence, Datagram&) { return listener != 1; };
  edge.crowd(edge.plan(3));
  edge.run(3s);
  const LoadReport report = edge.report();
  CHECK(report.silent == 1);
  CHECK(report.frames.lost > 120);
  CHECK(report.frames.lost <= 150);
}

TEST_CASE("what is lost while others still join is told apart from what is lost after") {
  LoadEdge edge{kStart};
  auto plan = edge.plan(100);
  plan.ramp = 50;
  edge.crowd(plan);
  edge.run(1s);
  int dropped = 0;
  edge.on_frame = [&](std::uint32_t listener, Sequence, Datagram&) { return listener != 0 || ++dropped > 2; };
  edge.run(3s);
  const LoadReport report = edge.report();
  CHECK(report.frames.lost == 2);
  CHECK(report.lost_steady == 0);
  CHECK(judge(report) == "");
}

TEST_CASE("copies and frames out of order are no loss") {
  LoadEdge edge{kStart};
  LoadCrowd& crowd = edge.crowd(edge.plan(2));
  edge.run(1s);
  Datagram kept;
  edge.on_frame = [&](std::uint32_t listener, Sequence, Datagram& frame) {
    if (listener != 0) return true;
    if (kept.empty()) {
      kept = frame;
      return false;
    }
    crowd.on_datagram(0, frame, edge.now, WallTime{});
    crowd.on_datagram(0, kept, edge.now, WallTime{});
    edge.on_frame = nullptr;
    return true;
  };
  edge.run(1s);
  const LoadReport report = edge.report();
  CHECK(report.frames.lost == 0);
  CHECK(report.frames.late == 1);
  CHECK(report.frames.twice == 1);
  CHECK(judge(report) == "");
}

TEST_CASE("a denial is the node's word, and asked again; who is in then is in") {
  LoadEdge edge{kStart};
  edge.deny = wire::DenyReason::full;
  LoadCrowd& crowd = edge.crowd(edge.plan(20));
  edge.run(1s);
  LoadReport report = edge.report();
  CHECK(report.failures[static_cast<std::size_t>(JoinFailure::full)] == 20);
  CHECK(report.joined == 0);
  CHECK(judge(report) == "20 of 20 listeners did not join: this node is full (20)");
  CHECK(crowd.complete_at());  // everybody has failed once
  edge.deny.reset();
  edge.run(9s);
  CHECK(judge(edge.report()) == "");
}

TEST_CASE("where nobody answers every join is given up after ten seconds") {
  LoadEdge edge{kStart};
  edge.answers = false;
  edge.crowd(edge.plan(5));
  edge.run(9900ms);
  CHECK(edge.report().failures[static_cast<std::size_t>(JoinFailure::no_answer)] == 0);
  edge.run(200ms);
  const LoadReport report = edge.report();
  CHECK(report.failures[static_cast<std::size_t>(JoinFailure::no_answer)] == 5);
  CHECK(judge(report) == "5 of 5 listeners did not join: no answer at all (5)");
}

TEST_CASE("an edge with another key answers, and does not accept") {
  LoadEdge edge{kStart};
  auto plan = edge.plan(3);
  plan.edge[3] ^= 1;
  edge.crowd(plan);
  edge.run(10100ms);
  CHECK(edge.report().failures[static_cast<std::size_t>(JoinFailure::no_accept)] == 3);
}

TEST_CASE("a keepalive that is not answered is sent again, until the lease is over; then it is lost, and joined anew") {
  LoadEdge edge{kStart};
  edge.crowd(edge.plan(10));
  edge.run(6s);
  edge.acknowledges = false;
  edge.run(4s);
  LoadReport report = edge.report();
  CHECK(report.keepalives_resent > 10);
  CHECK(report.keepalives_unanswered > 0);
  CHECK(report.leases_lost == 0);
  edge.answers = false;
  edge.run(17s);
  CHECK(edge.report().leases_lost == 10);
  edge.answers = edge.acknowledges = true;
  edge.run(20s);
  report = edge.report();
  CHECK(report.leases == 10);
  CHECK(report.joined == 10);
  CHECK(judge(report) == "10 leases were lost, 0 ended by the edge");
}

TEST_CASE("a lease that was never confirmed is over after its three seconds") {
  LoadEdge edge{kStart};
  edge.crowd(edge.plan(4));
  edge.acknowledges = false;
  edge.run(4100ms);
  CHECK(edge.report().leases_lost == 4);
}

TEST_CASE("churn: so many a second leave and are replaced, and nobody loses anything") {
  LoadEdge edge{kStart};
  auto plan = edge.plan(100);
  plan.churn = 20;
  edge.crowd(plan);
  edge.run(10s);
  const LoadReport report = edge.report();
  CHECK(report.replaced > 180);
  CHECK(report.replaced < 205);
  CHECK(report.joins > 100 + 150);
  CHECK(report.leases == 100);
  CHECK(report.frames.lost == 0);
  CHECK(judge(report) == "");
  CHECK(edge.leases() >= 75);
  CHECK(edge.leases() <= 100);
  CHECK(report.frames.after_leaving <= report.replaced);
}

TEST_CASE("a frame that is not the source's is found: bytes that were changed, and a forger who has the key") {
  LoadEdge edge{kStart};
  edge.crowd(edge.plan(10));
  edge.run(1s);
  edge.on_frame = [&](std::uint32_t listener, Sequence, Datagram& frame) {
    if (listener == 4) {
      frame.back() ^= 1;
      edge.on_frame = nullptr;
    }
    return true;
  };
  edge.run(2s);
  const LoadReport report = edge.report();
  CHECK(report.sample.forged == 1);
  CHECK(report.sample.differing == 1);
  CHECK(judge(report).starts_with("not authentic: 1 frames do not open"));
}

TEST_CASE("a frame that all get changed alike is not what the source has attested") {
  LoadEdge edge{kStart};
  edge.crowd(edge.plan(10));
  edge.run(1s);
  std::optional<Sequence> changed;
  edge.on_frame = [&](std::uint32_t, Sequence sequence, Datagram& frame) {
    if (!changed) changed = sequence;
    if (changed == sequence) frame.back() ^= 1;
    return true;
  };
  edge.run(2s);
  const LoadReport report = edge.report();
  CHECK(report.sample.contradicted == 1);
  CHECK(report.sample.differing == 0);
}

TEST_CASE("who was not told an epoch asks for it, and is told; what came until then is counted") {
  LoadEdge edge{kStart};
  edge.crowd(edge.plan(10));
  edge.run(1s);
  edge.rotate();  // in use at once, told with no one's knowledge
  edge.run(2s);
  const LoadReport report = edge.report();
  CHECK(report.sample.unknown_epoch >= 10);  // each has one at least, before the answer is there
  CHECK(report.sample.unknown_epoch <= 20);
  CHECK(report.sample.forged == 0);
  CHECK(report.sample.opened > 10 * 90);
  CHECK(report.frames.lost == 0);
}

TEST_CASE("an epoch that its source has not signed is not believed") {
  LoadEdge edge{kStart};
  edge.also_told = wire::EpochRecord{test::kLoadGroup, SourceId{1}, Epoch{999}, {1}, {2}};
  edge.crowd(edge.plan(2));
  edge.run(1s);
  const LoadReport report = edge.report();
  CHECK(report.forged_epochs == 2);
  CHECK(judge(report) == "2 epochs are not signed by the key in --source-key");
}

TEST_CASE("without a source's key frames are counted, and nothing is said of what they are worth") {
  LoadEdge edge{kStart};
  auto plan = edge.plan(5);
  plan.sources.clear();
  edge.crowd(plan);
  edge.run(2s);
  const LoadReport report = edge.report();
  CHECK_FALSE(report.authenticated);
  CHECK(report.sample.opened == 0);
  CHECK(report.sample.frames == report.frames.came);
  CHECK(judge(report) == "");
}

TEST_CASE("the sample is spread over all, and those alone are looked into") {
  LoadEdge edge{kStart};
  auto plan = edge.plan(100);
  plan.sample = 30;
  LoadCrowd& crowd = edge.crowd(plan);
  std::uint32_t sampled = 0;
  for (std::uint32_t i = 0; i < 100; ++i) {
    sampled += crowd.is_sampled(i);
    CHECK(((edge.accounts[i].flags & LOAD_PASS) != 0) == crowd.is_sampled(i));
  }
  CHECK(sampled == 30);
  edge.run(3s);
  const LoadReport report = edge.report();
  CHECK(report.sample.frames > 30 * 140);
  CHECK(report.sample.frames <= 30 * 150);
}

TEST_CASE("where frames are counted below, those that come here are no more than a sample") {
  LoadEdge edge{kStart};
  auto plan = edge.plan(10);
  plan.sample = 5;
  edge.crowd(plan, true);
  std::uint64_t counted = 0;
  // What the program in the kernel does.
  edge.on_frame = [&](std::uint32_t listener, Sequence sequence, Datagram&) {
    load_count(&edge.accounts[listener], sequence.value, 0);
    ++counted;
    return listener % 2 == 0;
  };
  edge.run(3s);
  LoadReport report = edge.report();
  CHECK(report.frames.came == counted);
  CHECK(report.sample.frames > 5 * 140);
  CHECK(report.sample_lost_above == 0);
  CHECK(judge(report) == "");
  // Lost between there and here.
  int lost = 0;
  edge.on_frame = [&](std::uint32_t listener, Sequence sequence, Datagram&) {
    load_count(&edge.accounts[listener], sequence.value, 0);
    return listener % 2 == 0 && (listener != 4 || ++lost > 2);
  };
  edge.run(1s);
  report = edge.report();
  CHECK(report.sample_lost_above == 2);
  CHECK(report.frames.lost == 0);
}

TEST_CASE("a stream that stops is noticed, one that has not begun too") {
  LoadEdge edge{kStart};
  edge.speaks = false;
  edge.crowd(edge.plan(3));
  edge.run(2s);
  CHECK(judge(edge.report()) == "all joined, but no frame came: what says `tiercast status` there?");
  edge.speaks = true;
  edge.run(2s);
  CHECK(judge(edge.report()) == "");
  edge.speaks = false;
  edge.run(5s);
  CHECK(judge(edge.report()).starts_with("no frame has come for the last 5"));
}

TEST_CASE("junk is dropped, and changes nothing") {
  LoadEdge edge{kStart};
  LoadCrowd& crowd = edge.crowd(edge.plan(4));
  edge.run(1s);
  test::SeededRandom random{5};
  for (int i = 0; i < 3000; ++i) {
    Datagram junk(random.below(80));
    random.fill(junk);
    static constexpr std::array<std::uint8_t, 8> kTypes{1, 2, 3, 4, 0x10, 0x22, 0x23, 0x30};
    if (!junk.empty() && i % 2 == 0) junk[0] = kTypes[random.below(kTypes.size())];
    if (!junk.empty() && junk[0] == 0x20) junk[0] = 0;  // a frame of the group is one
    crowd.on_datagram(static_cast<std::uint32_t>(random.below(4)), junk, edge.now, WallTime{});
  }
  edge.run(2s);
  const LoadReport report = edge.report();
  CHECK(report.drop_malformed > 0);
  CHECK(report.drop_control > 0);
  CHECK(report.leases == 4);
  CHECK(report.frames.lost == 0);
  CHECK(report.sample.forged_attestations == 0);
}

TEST_CASE("a listener takes some hundred bytes") { CHECK(LoadCrowd::bytes_per_listener() <= 800); }

}  // namespace
}  // namespace tiercast::measure::load_crowd_test
