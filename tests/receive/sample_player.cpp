// Jitter buffer, decoder and stretching together, over real Opus packets, in virtual time.
#include "relay/receive/sample_player.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "tests/receive/opus_tone.hpp"

namespace tiercast::sample_player_test {

using namespace tiercast::test;
using receive::Decoder;
using receive::JitterBufferConfig;
using receive::Played;
using receive::PlayedKind;
using receive::SamplePlayer;

namespace {

using Samples = std::vector<std::int16_t>;

struct Rig {
  explicit Rig(std::vector<Datagram> opus, int channels = 1) : packets(std::move(opus)), player({}, channels) {}
  Played packet(std::uint64_t n) const {
    Played p;
    p.sequence = Sequence{1000 + n};
    p.opus = packets[n % packets.size()];
    p.kind = p.opus.empty() ? PlayedKind::empty : PlayedKind::frame;
    p.expected = at(20ms * static_cast<int>(n)) + shift;
    return p;
  }
  /// Ticks `first` to `last` come on time, and what is due is played.
  void run(std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t n = first; n <= last; ++n) {
      player.buffer().on_ahead(packet(n), packet(n).expected);
      play(packet(n).expected);
    }
  }
  void play(Time now) {
    for (auto out = player.next(now); !out.empty(); out = player.next(now))
      heard.insert(heard.end(), out.begin(), out.end());
  }
  void flush() {
    for (auto out = player.flush(); !out.empty(); out = player.flush())
      heard.insert(heard.end(), out.begin(), out.end());
  }
  std::uint64_t counter(const std::string& name) const {
    std::uint64_t value = 0;
    player.each([&](const char* of, const Counter& counter) {
      if (name == of) value = counter.get();
    });
    return value;
  }
  std::vector<Datagram> packets;
  SamplePlayer player;
  Duration shift{0};
  Samples heard;
};

int steepest(std::span<const std::int16_t> samples) {
  int most = 0;
  for (std::size_t i = 1; i < samples.size(); ++i) most = std::max(most, std::abs(samples[i] - samples[i - 1]));
  return most;
}

}  // namespace

TEST_CASE("sample player: on an even network what is heard is what was decoded, to the last sample") {
  Rig rig{opus_tone(20ms, 1, 100), 2};
  rig.run(0, 99);
  rig.flush();
  Decoder decoder{20ms, 2};
  Samples expected;
  for (std::uint64_t n = 0; n < 100; ++n) {
    const auto tick = decoder.decode(rig.packet(n));
    expected.insert(expected.end(), tick.begin(), tick.end());
  }
  CHECK(rig.heard == expected);
  CHECK(rig.counter("player_played") == 100);
  CHECK(rig.counter("decoder_packets") == 100);
}

TEST_CASE("sample player: a delay that is too long is made up for by resampling, and a tone stays a tone") {
  Rig rig{opus_tone(20ms, 1, 500)};
  rig.run(0, 99);
  rig.shift = -50ms;  // another way, which is shorter
  const std::size_t before = rig.heard.size();
  rig.run(100, 499);
  const auto played = std::span{rig.heard}.subspan(before);
  CHECK(rig.counter("player_samples_shortened") > 1000);
  CHECK(rig.counter("player_concealed") == 0);
  CHECK(rig.player.buffer().delay() < 95ms);
  CHECK(steepest(played) < 2 * steepest(std::span{rig.heard}.first(before)));
}

TEST_CASE("sample player: a silence is shortened by what of it nobody hears") {
  auto packets = opus_tone(20ms, 1, 100);
  packets.resize(300);  // then nothing
  Rig rig{packets};
  rig.run(0, 99);
  rig.run(100, 199);
  rig.shift = -100ms;
  rig.run(200, 209);
  CHECK(rig.counter("player_left_out") >= 3);
  CHECK(rig.player.buffer().delay() <= 95ms);
}

TEST_CASE("sample player: a tick that is missing is concealed without a step") {
  Rig rig{opus_tone(20ms, 1, 100)};
  rig.run(0, 49);
  const int usual = steepest(std::span{rig.heard}.subspan(4800));
  rig.run(51, 99);
  CHECK(rig.counter("player_concealed") == 1);
  CHECK(steepest(std::span{rig.heard}.subspan(4800)) < 2 * usual);
  rig.flush();
  CHECK(rig.heard.size() == 100 * 960);
}

}  // namespace tiercast::sample_player_test
