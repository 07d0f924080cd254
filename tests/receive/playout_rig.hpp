// A playout of two sources, and what a test gives it.
#pragma once

#include "relay/receive/playout.hpp"
#include "tests/receive/stream.hpp"

namespace tiercast::test {

inline constexpr Epoch kEpoch{1000};

struct PlayoutRig {
  explicit PlayoutRig(bool strict = false, std::chrono::milliseconds length = 20ms, std::optional<Duration> delay = {})
      : playout(config(strict, length, delay)), frame(length) {
    playout.on_epoch(one.record(kEpoch));
    playout.on_epoch(two.record(kEpoch));
  }
  receive::PlayoutConfig config(bool strict, std::chrono::milliseconds length, std::optional<Duration> delay) const {
    receive::PlayoutConfig c;
    c.group = kGroup;
    c.frame = length;
    c.strict = strict;
    c.delay = delay;
    c.sources = {one.key(), two.key()};
    return c;
  }
  Datagram make(std::uint64_t s, std::uint8_t flags = 0, std::uint8_t mark = 0) const {
    return one.seal(kEpoch, Sequence{s}, payload(Sequence{s}, mark), flags);
  }
  std::vector<Datagram> run(std::uint64_t first, std::uint64_t last) const {
    std::vector<Datagram> out;
    for (std::uint64_t s = first; s <= last; ++s) out.push_back(make(s));
    return out;
  }
  /// The time at which a sequence arrives when nothing delays it.
  Time time_of(std::uint64_t s) const { return at(frame * static_cast<int>(s)); }
  void give(std::uint64_t s, std::uint8_t flags = 0, std::uint8_t mark = 0) {
    playout.on_frame(make(s, flags, mark), time_of(s));
  }

  TestSource one{SourceId{1}}, two{SourceId{2}};
  receive::Playout playout;
  std::chrono::milliseconds frame;
};

inline std::vector<std::uint64_t> sequences(const std::vector<Heard>& heard) {
  std::vector<std::uint64_t> out;
  for (const Heard& h : heard) out.push_back(h.sequence.value);
  return out;
}

using Numbers = std::vector<std::uint64_t>;

}  // namespace tiercast::test
