// Two origins' ingests on one virtual clock, fed by one encoder whose crystal may drift, over ways that delay and lose;
// each hears what the other one numbers. What a test asks is whether a packet has one number.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <optional>

#include "relay/publish/alignment.hpp"
#include "tests/publish/rtp_input.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::test {

struct TwoOrigins {
  explicit TwoOrigins(std::uint64_t seed = 1, std::uint8_t ms = 20)
      : frame_ms(ms), frame(std::chrono::milliseconds{ms}), random(seed) {}

  struct Side {
    std::optional<publish::Ingest> ingest;
    std::optional<publish::Alignment> alignment;
    Duration wall_off{0};     // its clock's error
    Duration rtp_delay{1ms};  // from the encoder
    Duration rtp_jitter{0};   // and up to so much more
    double rtp_loss = 0;
    std::uint32_t ssrc_xor = 0;  // what is between makes another stream of it
    bool aligns = true;
    Sequence last{};  // what its state says
    std::multimap<Time, Packet> rtp;
    std::map<std::uint32_t, Sequence> numbered;  // by the encoder's number
    std::uint64_t packets = 0;
    std::multimap<Time, std::pair<Sequence, std::uint64_t>> heard;  // the other one's ticks
    std::multimap<Time, wire::GroupInfo> statements;
    wire::GroupInfo statement{};
    Time next_statement{};
  };
  std::uint8_t frame_ms;
  Duration frame;
  SeededRandom random;
  std::array<Side, 2> sides;
  Duration between{5ms};  // the two
  Time now{1h};
  double drift = 0;  // of the encoder's crystal: 200e-6 is fast
  std::uint32_t ssrc = 0xabc0, first_stamp = 5000;
  std::uint32_t made = 0;   // packets
  std::uint32_t stamp = 0;  // frames since the encoder's start
  std::uint16_t number = 0;
  bool talking = true;
  std::optional<Time> next_packet;
  std::uint64_t apart = 0;  // packets that have two numbers

  Moment moment(const Side& side) const {
    const auto wall = std::chrono::duration_cast<std::chrono::microseconds>(now - Time{1h} + side.wall_off);
    return {now, WallTime{std::chrono::seconds{1'700'000'000} + wall}};
  }
  void start(std::size_t s) {
    Side& side = sides[s];
    side.ingest.emplace(frame_ms, side.last.value == 0 ? Sequence{0} : side.last.next(), moment(side));
    side.alignment.reset();
    side.statement = {};
    side.rtp.clear();
    side.heard.clear();
    side.statements.clear();
    if (!side.aligns) return;
    side.alignment.emplace(std::chrono::milliseconds{frame_ms}, s == 0, now);
    side.ingest->hold_back();
    Side& other = sides[1 - s];
    if (!other.ingest) return;
    side.statements.emplace(now + 4 * between, other.statement);  // with the lease
    if (other.aligns) other.statements.emplace(now + 8 * between, side.statement);
  }
  void stop(std::size_t s) { sides[s].ingest.reset(); }
  void restart_encoder() {
    ssrc += 0x11111;
    first_stamp = static_cast<std::uint32_t>(random.u64());
    number = static_cast<std::uint16_t>(random.u64());
    stamp = 0;
  }

  void encode() {
    if (!next_packet) next_packet = now;
    *next_packet += Duration{static_cast<Duration::rep>(static_cast<double>(frame.count()) * (1 - drift))};
    const std::uint32_t n = made++;
    for (Side& side : sides) {
      if (!side.ingest || !talking) continue;
      if (static_cast<double>(random.u64() >> 11) * 0x1.0p-53 < side.rtp_loss) continue;
      const auto late =
          Duration{static_cast<Duration::rep>(random.below(static_cast<std::uint64_t>(side.rtp_jitter.count()) + 1))};
      side.rtp.emplace(now + side.rtp_delay + late,
                       rtp(number, first_stamp + stamp * frame_ms * 48, ssrc ^ side.ssrc_xor, opus(frame_ms, n)));
    }
    if (talking) ++number;
    ++stamp;
  }

  void work(std::size_t s) {
    Side& side = sides[s];
    if (!side.ingest) return;
    publish::Ingest& ingest = *side.ingest;
    const Moment m = moment(side);
    const auto align = [&] {
      if (!side.alignment) return;
      side.alignment->run(ingest, m);
      ingest.set_locked(side.alignment->agree() && side.alignment->other_lives(now));
    };
    while (!side.statements.empty() && side.statements.begin()->first <= now) {
      const auto one = side.statements.extract(side.statements.begin());
      if (side.alignment) side.alignment->on_statement(one.mapped(), now);
      align();
      drain(s);
    }
    while (!side.heard.empty() && side.heard.begin()->first <= now) {
      const auto one = side.heard.extract(side.heard.begin());
      if (side.alignment) side.alignment->on_frame(one.mapped().first, one.mapped().second, now);
      align();
      drain(s);
    }
    while (!side.rtp.empty() && side.rtp.begin()->first <= now) {
      const auto one = side.rtp.extract(side.rtp.begin());
      ingest.on_datagram(one.mapped(), m);
      if (side.alignment) {
        if (const auto taken = ingest.take_taken())
          side.alignment->on_packet(*taken, publish::Alignment::hash(taken->opus), now);
        align();
      }
      drain(s);
    }
    if (ingest.next_deadline() <= now || (side.alignment && side.alignment->next_deadline() <= now)) {
      ingest.on_timer(m);
      align();
      drain(s);
    }
    if (now >= side.next_statement) {
      side.next_statement = now + 1s;
      state(s);
    }
  }
  void state(std::size_t s) {
    if ((sides[s].statement.flags & wire::kInfoStamped) != 0 && sides[1 - s].ingest)
      sides[1 - s].statements.emplace(now + between, sides[s].statement);
  }

  void drain(std::size_t s) {
    Side& side = sides[s];
    Side& other = sides[1 - s];
    publish::Tick tick;
    while (side.ingest->next(tick)) {
      REQUIRE(tick.sequence > side.last);
      side.last = tick.sequence;
      if (!tick.opus.empty()) {
        const auto n = static_cast<std::uint32_t>(load_be<4>(tick.opus.data() + 1));
        ++side.packets;
        side.numbered[n] = tick.sequence;
        if (const auto there = other.numbered.find(n); there != other.numbered.end()) {
          if (there->second != tick.sequence) ++apart;
        }
        while (side.numbered.size() > 2000) side.numbered.erase(side.numbered.begin());
        const bool changed = side.statement.ssrc != tick.ssrc;
        side.statement.flags = wire::kInfoStamped;
        side.statement.ssrc = tick.ssrc;
        side.statement.rtp_timestamp = tick.rtp_timestamp;
        side.statement.stamped = tick.sequence;
        if (changed) state(s);
      }
      if (other.ingest)
        other.heard.emplace(now + between, std::pair{tick.sequence, publish::Alignment::hash(tick.opus)});
    }
  }

  void run(Duration d) {
    const Time end = now + d;
    while (true) {
      Time next = next_packet.value_or(now);
      for (const Side& side : sides) {
        if (!side.ingest) continue;
        next = std::min({next, side.ingest->next_deadline(), side.next_statement});
        if (side.alignment) next = std::min(next, side.alignment->next_deadline());
        if (!side.rtp.empty()) next = std::min(next, side.rtp.begin()->first);
        if (!side.heard.empty()) next = std::min(next, side.heard.begin()->first);
        if (!side.statements.empty()) next = std::min(next, side.statements.begin()->first);
      }
      if (next > end) break;
      now = std::max(now, next);
      if (!next_packet || now >= *next_packet) encode();
      for (std::size_t s = 0; s < 2; ++s) work(s);
    }
    now = end;
  }
  /// Packets that came out of both since `from`, and how many of these have two numbers.
  std::uint64_t apart_since() { return std::exchange(apart, 0); }
};

}  // namespace tiercast::test
