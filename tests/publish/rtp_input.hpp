// An ingest on a virtual clock with whatever RTP a test sends it; every tick it makes is kept and checked for density.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "relay/publish/ingest.hpp"

namespace tiercast::test {

using Packet = std::vector<std::uint8_t>;

/// A valid Opus packet of one frame that carries `number`, so that each can be told from the others.
inline Packet opus(std::uint8_t frame_ms, std::uint32_t number) {
  Packet packet(5);
  // SILK wideband, mono, one frame: RFC 6716 §3.1's configurations 8 to 11 are 10, 20, 40 and 60 ms.
  const unsigned length = frame_ms == 10 ? 0u : frame_ms == 20 ? 1u : frame_ms == 40 ? 2u : 3u;
  packet[0] = static_cast<std::uint8_t>((8u + length) << 3);
  store_be<4>(packet.data() + 1, number);
  return packet;
}

inline Packet rtp(std::uint16_t sequence_number, std::uint32_t timestamp, std::uint32_t ssrc, const Packet& payload) {
  Packet packet(12 + payload.size());
  packet[0] = 0x80;
  packet[1] = 97;
  store_be<2>(packet.data() + 2, sequence_number);
  store_be<4>(packet.data() + 4, timestamp);
  store_be<4>(packet.data() + 8, ssrc);
  std::copy(payload.begin(), payload.end(), packet.begin() + 12);
  return packet;
}

/// One encoder: numbers its packets 0, 1, 2, …
struct Encoder {
  std::uint8_t frame_ms = 20;
  std::uint32_t ssrc = 0xabcd;
  std::uint16_t first_number = 1000;
  std::uint32_t first_stamp = 77'000;
  std::uint32_t made = 0;
  std::uint32_t stamps = 0;  // frames of time passed
  Packet packet(std::uint32_t n, std::uint32_t frame) const {
    return rtp(static_cast<std::uint16_t>(first_number + n), first_stamp + frame * frame_ms * 48, ssrc,
               opus(frame_ms, n));
  }
  Packet next() {
    const Packet made_now = packet(made, stamps);
    ++made;
    ++stamps;
    return made_now;
  }
  void silence(std::uint32_t frames) { stamps += frames; }
};

struct RtpInput {
  struct Out {
    Sequence sequence;
    std::uint8_t flags = 0;
    std::int64_t number = -1;  // the Opus packet's; -1: empty
    std::uint32_t ssrc = 0;
    std::uint32_t rtp_timestamp = 0;
    Time at;
  };

  explicit RtpInput(std::uint8_t frame_ms = 20, Sequence continue_at = Sequence{0}, Duration into_frame = 0ms)
      : frame(std::chrono::milliseconds{frame_ms}), ingest(frame_ms, continue_at, moment(into_frame)) {
    now += into_frame;
    run_to(now);
  }

  static constexpr std::int64_t kWallSeconds = 1'700'000'040;  // a multiple of every frame length
  Moment moment(Duration more = 0ms) const {
    const auto wall = std::chrono::duration_cast<std::chrono::microseconds>(now + more - Time{} - 1000s + wall_step);
    return {now + more, WallTime{std::chrono::seconds{kWallSeconds}} + wall};
  }
  /// The wall clock's sequence now, had it never been stepped.
  Sequence wall() const {
    return Sequence{static_cast<std::uint64_t>((std::chrono::seconds{kWallSeconds} + (now - Time{} - 1000s)) / frame)};
  }

  void send(const Packet& datagram) {
    ingest.on_datagram(datagram, moment());
    drain();
  }
  /// Time passes, and timers run when they are due.
  void run_to(Time t) {
    while (ingest.next_deadline() <= t) {
      now = std::max(now, ingest.next_deadline());
      const std::size_t before = out.size();
      const Time deadline = ingest.next_deadline();
      ingest.on_timer(moment());
      drain();
      REQUIRE((out.size() > before || ingest.next_deadline() > deadline));
    }
    now = std::max(now, t);
  }
  void run(Duration d) { run_to(now + d); }
  /// Time passes, and the process does not run.
  void pause(Duration d) { now += d; }
  void end() {
    ingest.end(moment());
    drain();
  }
  void drain() {
    publish::Tick tick;
    while (ingest.next(tick)) {
      if (!out.empty()) {
        const bool follows = tick.sequence == out.back().sequence.next();
        const bool jumps = (tick.flags & wire::kFlagDiscontinuity) != 0 && tick.sequence > out.back().sequence;
        REQUIRE((follows || jumps));
      }
      Out one{tick.sequence, tick.flags, -1, tick.ssrc, tick.rtp_timestamp, now};
      if (!tick.opus.empty()) one.number = static_cast<std::int64_t>(load_be<4>(tick.opus.data() + 1));
      out.push_back(one);
    }
  }

  /// "0 1 - 3": the numbers of the packets, empty ticks as dashes, from tick `from` on.
  std::string text(std::size_t from = 0) const {
    std::string s;
    for (std::size_t i = from; i < out.size(); ++i) {
      if (!s.empty()) s += ' ';
      s += out[i].number < 0 ? "-" : std::to_string(out[i].number);
    }
    return s;
  }
  std::size_t mark() const { return out.size(); }
  const Out& of(std::int64_t number, std::size_t from = 0) const {
    for (std::size_t i = from; i < out.size(); ++i)
      if (out[i].number == number) return out[i];
    FAIL("no tick has packet " << number);
    return out.front();
  }
  std::map<std::string, std::uint64_t> counters() const {
    std::map<std::string, std::uint64_t> all;
    ingest.counters().each([&](const char* name, const Counter& counter) { all[name] = counter.get(); });
    return all;
  }
  std::uint64_t counter(const std::string& name) const { return counters().at(name); }

  Duration frame;
  Time now = Time{} + 1000s;
  Duration wall_step{0};
  publish::Ingest ingest;
  std::vector<Out> out;
};

inline constexpr std::uint8_t kLengths[] = {10, 20, 40, 60};  // ms

/// `count` packets, one a frame.
inline void talk(RtpInput& input, Encoder& encoder, int count) {
  for (int i = 0; i < count; ++i) {
    input.send(encoder.next());
    input.run(input.frame);
  }
}

}  // namespace tiercast::test
