#include "relay/receive/statistics.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "tests/support/seeded_random.hpp"

namespace tiercast::statistics_test {

using receive::Played;
using receive::PlayedKind;
using receive::Statistics;

namespace {

constexpr auto kFrame = 20ms;
constexpr std::uint64_t kSealedUs = 1'700'000'000'000'000;

Time at(Duration d) { return Time{} + 1000s + d; }

Played tick(std::uint64_t s, PlayedKind kind, Duration arrived) {
  Played p;
  p.sequence = Sequence{s};
  p.kind = kind;
  p.arrived = at(arrived);
  return p;
}

/// Both clocks, the wall's being `offset` ahead of the origin's; at(0) is when sequence 0 was sealed.
Moment now(Duration d, std::chrono::microseconds offset = 0us) {
  return {at(d), WallTime{std::chrono::microseconds{kSealedUs} +
                          std::chrono::duration_cast<std::chrono::microseconds>(d) + offset}};
}

wire::GroupInfo stamp(std::uint64_t s) {
  wire::GroupInfo info;
  info.flags = wire::kInfoStamped;
  info.stamped = Sequence{s};
  info.stamped_unix_us = kSealedUs + s * 20'000;
  return info;
}

}  // namespace

TEST_CASE("statistics: frames, empty and lost ticks are told apart, and the longest run of lost ones") {
  Statistics statistics{kFrame};
  receive::PlayoutCounters counters;
  counters.drop_duplicate.add(5);
  std::uint64_t s = 0;
  for (char c : std::string{"fffllfelllfle"})
    statistics.on_played(tick(s++,
                              c == 'f'   ? PlayedKind::frame
                              : c == 'e' ? PlayedKind::empty
                                         : PlayedKind::lost,
                              0ms),
                         now(0ms));
  const auto summary = statistics.summary(counters);
  CHECK(summary.frames == 5);
  CHECK(summary.empty == 2);
  CHECK(summary.lost == 6);
  CHECK(summary.duplicates == 5);
  CHECK(summary.longest_gap == 3 * kFrame);
  CHECK(summary.latency_samples == 0);
}

TEST_CASE("statistics: a discontinuity ends a run of lost ticks") {
  Statistics statistics{kFrame};
  statistics.on_played(tick(1, PlayedKind::lost, 0ms), now(0ms));
  Played p = tick(1000, PlayedKind::lost, 0ms);
  p.discontinuity = true;
  statistics.on_played(p, now(0ms));
  const auto summary = statistics.summary({});
  CHECK(summary.longest_gap == kFrame);
  CHECK(summary.discontinuities == 1);
}

TEST_CASE("statistics: latency is from the origin's sealing to the arrival, whenever the frame is played") {
  for (const auto offset : {0us, -3'600'000'000us, 250us}) {
    Statistics statistics{kFrame};
    for (std::uint64_t s = 0; s < 1000; ++s) {
      statistics.on_group_info(stamp(s));
      const Duration network = s % 100 == 99 ? Duration{80ms} : s % 10 == 0 ? Duration{12ms} : Duration{10ms};
      const Duration arrived = kFrame * static_cast<int>(s) + network;
      statistics.on_played(tick(s, PlayedKind::frame, arrived), now(arrived + 30ms, offset));
    }
    const auto summary = statistics.summary({});
    CHECK(summary.latency_samples == 1000);
    CHECK(summary.latency_lowest == 10ms + offset);
    CHECK(std::abs((summary.latency_median - 10ms - offset).count()) <= 40);
    CHECK(std::abs((summary.latency_p99 - 12ms - offset).count()) <= 40);
  }
}

TEST_CASE("statistics: quantiles hold on both sides of the first latency") {
  Statistics statistics{kFrame};
  std::uint64_t s = 0;
  for (const auto network : {50ms, 10ms, 20ms, 30ms}) {
    statistics.on_group_info(stamp(s));
    const Duration arrived = kFrame * static_cast<int>(s) + network;
    statistics.on_played(tick(s++, PlayedKind::frame, arrived), now(arrived));
  }
  const auto summary = statistics.summary({});
  CHECK(summary.latency_lowest == 10ms);
  CHECK(std::abs((summary.latency_median - 20ms).count()) <= 40'000 / 64);  // the histogram's precision
  CHECK(std::abs((summary.latency_p99 - 50ms).count()) <= 40'000 / 64);
}

TEST_CASE("statistics: a statement that comes behind its frame tells as much, and a copy of it no more") {
  Statistics statistics{kFrame};
  for (std::uint64_t s = 0; s < 100; ++s) {
    const Duration arrived = kFrame * static_cast<int>(s) + 7ms;
    statistics.on_played(tick(s, PlayedKind::frame, arrived), now(arrived));
  }
  for (int parent = 0; parent < 2; ++parent) statistics.on_group_info(stamp(60));
  statistics.on_played(tick(100, PlayedKind::frame, kFrame * 100 + 1s),
                       now(kFrame * 100 + 1s));  // its neighbours say nothing
  CHECK(statistics.summary({}).latency_samples == 1);
  CHECK(statistics.summary({}).latency_median == 7ms);
}

TEST_CASE("statistics: group info without a statement, or with an absurd one, gives no latency") {
  Statistics statistics{kFrame};
  wire::GroupInfo info = stamp(0);
  info.flags = 0;
  statistics.on_group_info(info);
  statistics.on_played(tick(0, PlayedKind::frame, 0ms), now(0ms));
  info = stamp(0);
  info.stamped_unix_us = ~0ull;
  statistics.on_group_info(info);
  statistics.on_played(tick(0, PlayedKind::frame, 0ms), now(0ms));
  statistics.on_group_info(stamp(5));
  statistics.on_played(tick(std::uint64_t{1} << 47, PlayedKind::frame, 0ms), now(0ms));
  CHECK(statistics.summary({}).latency_samples == 0);
}

TEST_CASE("statistics: jitter is RFC 3550's, over frames as they came") {
  Statistics statistics{kFrame};
  test::SeededRandom random{5};
  double jitter = 0;
  Duration before{};
  for (std::uint64_t s = 0; s < 300; ++s) {
    if (random.below(10) == 0) {
      statistics.on_played(tick(s, PlayedKind::lost, 0ms), now(0ms));
      continue;
    }
    const Duration transit = 1us * static_cast<int>(random.below(20'000));
    Played p = tick(s, PlayedKind::frame, kFrame * static_cast<int>(s) + transit);
    if (random.below(10) == 0) {
      p.repaired = true;
      p.arrived += 500ms;
      statistics.on_played(p, now(0ms));
      continue;
    }
    statistics.on_played(p, now(0ms));
    if (before != Duration{}) jitter += (std::abs(static_cast<double>((transit - before).count())) - jitter) / 16;
    before = transit;
  }
  const auto summary = statistics.summary({});
  CHECK(jitter > 1'000'000);
  CHECK(std::abs(static_cast<double>(summary.jitter.count()) - jitter) < 1);
}

}  // namespace tiercast::statistics_test
