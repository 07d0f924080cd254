// A child's way from one parent on a virtual clock: what comes by multicast and what the parent says is scripted.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "relay/control/delivery_way.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::test {

inline constexpr GroupId kStage{1}, kHall{2};
inline constexpr Duration kFrame = 20ms;

/// A child's way from one parent. Frames of kStage come by multicast every 20 ms while `flows`.
struct Child {
  explicit Child(std::uint64_t seed = 1) : random(seed), way(random) { way.expect(kStage, kFrame, now); }

  wire::Header header(std::uint64_t number, std::uint8_t flags = 0, GroupId group = kStage) const {
    return {wire::Type::frame, flags, SourceId{1}, group, Epoch{1}, Sequence{number}};
  }
  void frame(std::uint64_t number, std::uint8_t flags = 0, GroupId group = kStage) {
    way.on_frame(header(number, flags, group), Sequence{number}, now);
  }
  void info(std::uint64_t newest, std::uint8_t flags = wire::kInfoAnchored, GroupId group = kStage) {
    wire::GroupInfo said;
    said.group = group;
    said.flags = flags;
    said.newest = Sequence{newest};
    way.on_group_info(said, now);
  }

  /// All that is due until `d` from now, that moment included.
  template <class Each>
  void run(Duration d, Each each) {
    const Time end = now + d;
    Time tick = now + kFrame;
    while (true) {
      const Time due = way.next_deadline();
      const Time next = std::min(tick, due);
      if (next > end) break;
      now = std::max(now, next);
      if (now >= tick) {
        tick += kFrame;
        each();
      }
      if (now < way.next_deadline()) continue;
      way.on_timer(now);
      REQUIRE(way.next_deadline() > now);  // it did what was due
      if (way.take_rejoin()) rejoins.push_back(now);
    }
    now = end;
  }
  void nothing_for(Duration d) {
    run(d, [] {});
  }
  void frames_for(Duration d) {
    run(d, [this] { frame(++sequence); });
  }
  /// The stream goes on at the parent, and only IDLE comes.
  void idles_for(Duration d) {
    run(d, [this] {
      if (++sequence % 2 == 0) way.on_idle(kStage, now);
    });
  }
  /// By multicast from the very beginning.
  Child& settled() {
    frames_for(wire::kMulticastRow * kFrame);
    REQUIRE(by_multicast());
    way.take_hasten();
    return *this;
  }
  /// Comes back by multicast: the time it took since `from`.
  Duration back_after(Time from) {
    for (int i = 0; i < 10'000 && !by_multicast(); ++i) frames_for(kFrame);
    REQUIRE(by_multicast());
    return now - from;
  }
  /// Never changed back since it first was.
  bool stayed() const { return by_multicast() && way.counters().to_multicast.get() == 1; }
  bool by_multicast() const { return way.wanted() == wire::Delivery::multicast; }

  Time now{1000s};
  SeededRandom random;
  control::DeliveryWay way;
  std::uint64_t sequence = 1'000'000;
  std::vector<Time> rejoins;
};

}  // namespace tiercast::test
