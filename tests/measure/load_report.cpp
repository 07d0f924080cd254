#include "relay/measure/load_report.hpp"

#include <doctest/doctest.h>

#include <algorithm>

namespace tiercast::measure::load_report_test {
namespace {

/// Of a run in which nothing went wrong.
LoadReport good() {
  LoadReport out;
  out.listeners = out.joined = out.leases = 100;
  out.sampled = 10;
  out.seconds = 60;
  out.counted = "in the socket";
  out.frames.came = 300'000;
  out.nothing_for = 0.02;
  out.authenticated = true;
  out.sample.frames = out.sample.opened = 30'000;
  return out;
}

std::string verdict(void (*change)(LoadReport&)) {
  LoadReport report = good();
  change(report);
  return judge(report);
}

TEST_CASE("good is only what joined, kept its lease and lost nothing") {
  CHECK(judge(good()) == "");
  // None of these is a fault.
  CHECK(verdict([](LoadReport& r) { r.frames.lost = 3; }) == "");  // while others still joined
  CHECK(verdict([](LoadReport& r) { r.frames.twice = r.frames.late = 3; }) == "");
  CHECK(verdict([](LoadReport& r) { r.keepalives_resent = 3; }) == "");
  CHECK(verdict([](LoadReport& r) {
          r.ended = true;
          r.nothing_for = 100;
        }) == "");
  // Each of these is.
  CHECK(verdict([](LoadReport& r) { r.leases = r.joined = 99; }) == "1 of 100 listeners did not join");
  CHECK(verdict([](LoadReport& r) { r.leases = 99; }) == "1 of 100 listeners have no lease at the end");
  CHECK(verdict([](LoadReport& r) { r.leases_lost = 1; }) == "1 leases were lost, 0 ended by the edge");
  CHECK(verdict([](LoadReport& r) { r.leases_ended = 2; }) == "0 leases were lost, 2 ended by the edge");
  CHECK(verdict([](LoadReport& r) { r.frames.came = 0; }).starts_with("all joined, but no frame came"));
  CHECK(verdict([](LoadReport& r) {
          r.lost_steady = 5;
          r.listeners_that_lost = 2;
        }) == "5 frames were lost, by 2 of 100 listeners");
  CHECK(verdict([](LoadReport& r) { r.nothing_for = 5; }).starts_with("no frame has come for the last 5.0 s"));
  for (auto member : {&LoadSampleCounts::forged, &LoadSampleCounts::contradicted, &LoadSampleCounts::differing,
                      &LoadSampleCounts::forged_attestations}) {
    LoadReport report = good();
    report.sample.*member = 1;
    CHECK(judge(report).starts_with("not authentic: "));
  }
  CHECK(verdict([](LoadReport& r) { r.forged_epochs = 1; }) != "");
  CHECK(verdict([](LoadReport& r) { r.sample.unknown_source = 1; }) != "");
  CHECK(verdict([](LoadReport& r) { r.sample.unknown_epoch = 1; }) != "");
}

TEST_CASE("what this process itself has dropped is not put down to the network") {
  CHECK(verdict([](LoadReport& r) {
          r.lost_steady = 7;
          r.socket_drops = 6;
        }).find("by this process") != std::string::npos);
}

TEST_CASE("the reasons of failed joins, the most frequent first") {
  CHECK(verdict([](LoadReport& r) {
          r.joined = r.leases = 40;
          r.failures[static_cast<std::size_t>(JoinFailure::no_answer)] = 10;
          r.failures[static_cast<std::size_t>(JoinFailure::full)] = 50;
        }) == "60 of 100 listeners did not join: this node is full (50), no answer at all (10)");
  for (std::size_t i = 0; i < kJoinFailures; ++i) CHECK(*to_text(static_cast<JoinFailure>(i)) != 0);
}

TEST_CASE("the verdict stands in the table's last line and in the JSON") {
  LoadReport report = good();
  CHECK(to_text(report).ends_with("\nok          every listener joined, and nothing was lost since\n"));
  CHECK(to_json(report).find(R"("wrong":"")") != std::string::npos);
  report.lost_steady = 5;
  report.listeners_that_lost = 2;
  CHECK(to_text(report).ends_with("\nWRONG       5 frames were lost, by 2 of 100 listeners\n"));
  CHECK(to_json(report).find(R"("wrong":"5 frames were lost, by 2 of 100 listeners")") != std::string::npos);
}

TEST_CASE("the JSON is one line of balanced braces, with null for what there is not") {
  LoadReport report = good();
  report.counted = "below the stack of \"eth0\\";  // an interface may be called so
  report.nothing_for.reset();
  const std::string json = to_json(report);
  CHECK(json.find('\n') == std::string::npos);
  CHECK(std::count(json.begin(), json.end(), '{') == std::count(json.begin(), json.end(), '}'));
  CHECK(json.find(R"("nothing_for_s":null)") != std::string::npos);
  CHECK(json.find(R"(below the stack of \"eth0\\")") != std::string::npos);
}

TEST_CASE("frames of leases that are over are added to those that go on") {
  LoadFrames all;
  LoadFrames one;
  one.came = 10;
  one.lost = one.twice = one.late = one.stale = one.jumped = one.missed_at_start = 1;
  one.attestations = one.idles = one.after_leaving = 2;
  one.longest_gap = 5;
  all += one;
  one.longest_gap = 3;
  all += one;
  CHECK(all.came == 20);
  CHECK(all.lost + all.twice + all.late + all.stale + all.jumped + all.missed_at_start == 12);
  CHECK(all.attestations + all.idles + all.after_leaving == 12);
  CHECK(all.longest_gap == 5);
}

TEST_CASE("quantiles are in milliseconds") {
  Histogram<> us;
  for (std::uint64_t i = 1; i <= 1000; ++i) us.record(i * 10);
  const Quantiles q = Quantiles::of(us);
  CHECK(q.count == 1000);
  CHECK(q.p50 == doctest::Approx(5).epsilon(0.02));
  CHECK(q.p99 == doctest::Approx(9.9).epsilon(0.02));
  CHECK(q.most == 10);
}

}  // namespace
}  // namespace tiercast::measure::load_report_test
