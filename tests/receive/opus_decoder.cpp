#include "relay/receive/opus_decoder.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>

#include "tests/receive/opus_tone.hpp"
#include "tests/support/counting_allocator.hpp"

namespace tiercast::opus_decoder_test {

using namespace tiercast::test;
using receive::Decoder;
using receive::Played;
using receive::PlayedKind;

namespace {

using Samples = std::vector<std::int16_t>;

Samples decode_all(Decoder& decoder, const std::vector<Played>& played) {
  Samples out;
  for (const Played& p : played) {
    const auto tick = decoder.decode(p);
    out.insert(out.end(), tick.begin(), tick.end());
  }
  return out;
}

std::span<const std::int16_t> tick(const Samples& samples, std::size_t i, std::size_t size = 960) {
  return std::span{samples}.subspan(i * size, size);
}

double energy(std::span<const std::int16_t> samples) {
  double sum = 0;
  for (const std::int16_t s : samples) sum += static_cast<double>(s) * s;
  return sum / static_cast<double>(samples.size());
}

double distance(std::span<const std::int16_t> a, std::span<const std::int16_t> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::pow(static_cast<double>(a[i]) - b[i], 2);
  return sum / static_cast<double>(a.size());
}

/// Something like a voice: a buzz whose pitch and loudness change all the time, so that what was lost cannot be
/// guessed.
std::vector<Datagram> opus_voice(std::chrono::milliseconds frame, int channels, std::size_t count, bool fec) {
  int error = 0;
  const std::unique_ptr<::OpusEncoder, void (*)(::OpusEncoder*)> encoder{
      opus_encoder_create(48000, channels, OPUS_APPLICATION_VOIP, &error), opus_encoder_destroy};
  opus_encoder_ctl(encoder.get(), OPUS_SET_BITRATE(32000 * channels));
  opus_encoder_ctl(encoder.get(), OPUS_SET_SIGNAL(OPUS_SIGNAL_VOICE));
  opus_encoder_ctl(encoder.get(), OPUS_SET_MAX_BANDWIDTH(OPUS_BANDWIDTH_WIDEBAND));  // SILK: what has FEC
  opus_encoder_ctl(encoder.get(), OPUS_SET_INBAND_FEC(fec ? 1 : 0));
  opus_encoder_ctl(encoder.get(), OPUS_SET_PACKET_LOSS_PERC(fec ? 25 : 0));
  const auto samples = static_cast<std::size_t>(frame.count()) * 48;
  const auto width = static_cast<std::size_t>(channels);
  std::vector<opus_int16> pcm(samples * width);
  std::vector<Datagram> out;
  double phase = 0;
  for (std::size_t n = 0; n < count; ++n) {
    for (std::size_t i = 0; i < samples; ++i) {
      const double t = static_cast<double>(n * samples + i) / 48000.0;
      phase += 2 * std::numbers::pi * (140 + 60 * std::sin(2 * std::numbers::pi * 3.1 * t)) / 48000;
      const double loud = 0.55 + 0.45 * std::sin(2 * std::numbers::pi * 7.3 * t);
      double buzz = 0;
      for (int k = 1; k <= 12; ++k) buzz += std::sin(k * phase) / k;
      for (std::size_t c = 0; c < width; ++c) pcm[i * width + c] = static_cast<opus_int16>(6000 * loud * buzz);
    }
    Datagram packet(wire::kMaxOpus);
    const int size = opus_encode(encoder.get(), pcm.data(), static_cast<int>(samples), packet.data(),
                                 static_cast<opus_int32>(packet.size()));
    REQUIRE(size > 0);
    packet.resize(static_cast<std::size_t>(size));
    out.push_back(std::move(packet));
  }
  return out;
}

/// Every `nth` tick is lost; `look_ahead`: the packet after it is known then.
std::vector<Played> with_losses(const std::vector<Datagram>& packets, std::size_t nth, bool look_ahead) {
  auto played = ticks(std::string(packets.size(), 'f'), packets);
  for (std::size_t i = nth; i + 1 < played.size(); i += nth) {
    played[i].kind = PlayedKind::lost;
    played[i].opus = {};
    if (look_ahead) played[i].next_opus = packets[i + 1];
  }
  return played;
}

}  // namespace

TEST_CASE("decoder: every tick is one frame length, whatever came") {
  for (const auto frame : {10ms, 20ms, 40ms, 60ms})
    for (const int coded : {1, 2})
      for (const int channels : {1, 2}) {
        CAPTURE(frame.count());
        const auto packets = opus_tone(frame, coded, 40);
        Decoder decoder{frame, channels};
        for (const Played& p : ticks("eelfffflflfeeefllllllllll|lef|fff", packets))
          CHECK(decoder.decode(p).size() == static_cast<std::size_t>(frame.count() * 48 * channels));
      }
}

TEST_CASE("decoder: a tone comes out as that tone, mono on both channels, stereo mixed down") {
  // Of two interleaved channels, over 1.5 s: the first half second is for settling.
  const auto count_crossings = [](const Samples& samples, std::size_t channel) {
    int crossings = 0;
    for (std::size_t i = 48000 + channel; i + 2 < samples.size(); i += 2)
      if ((samples[i] < 0) != (samples[i + 2] < 0)) ++crossings;
    return crossings;
  };
  const std::string two_seconds(100, 'f');
  const auto mono = opus_tone(20ms, 1, 100);
  Decoder both{20ms, 2};
  const Samples doubled = decode_all(both, ticks(two_seconds, mono));
  REQUIRE(doubled.size() == 100 * 960 * 2);
  for (std::size_t i = 0; i < doubled.size(); i += 2) REQUIRE(doubled[i] == doubled[i + 1]);
  CHECK(std::abs(count_crossings(doubled, 0) - 2 * 660) <= 2);

  const auto stereo = opus_tone(20ms, 2, 100);
  Decoder apart{20ms, 2};
  const Samples separate = decode_all(apart, ticks(two_seconds, stereo));
  CHECK(std::abs(count_crossings(separate, 0) - 2 * 660) <= 2);
  CHECK(std::abs(count_crossings(separate, 1) - 2 * 990) <= 2);
  Decoder down{20ms, 1};
  const Samples mixed = decode_all(down, ticks(two_seconds, stereo));
  CHECK(mixed.size() == 100 * 960);
  CHECK(energy(mixed) > 1e6);
}

TEST_CASE("decoder: a lost tick goes on as what was before, and a long loss decays into silence") {
  const auto packets = opus_tone(20ms, 1, 60);
  Decoder decoder{20ms, 1};
  const Samples samples =
      decode_all(decoder, ticks(std::string(30, 'f') + std::string(80, 'l') + "ffffffffff", packets));
  const double before = energy(tick(samples, 29));
  CHECK(energy(tick(samples, 30)) > before / 4);
  CHECK(energy(tick(samples, 60)) < before / 100);
  // 50 ticks are concealed, that is kConcealed; the rest is silence to the sample, and reached without a step.
  CHECK(decoder.counters().concealed.get() == 50);
  CHECK(decoder.counters().silent.get() == 30);
  CHECK(std::abs(samples[80 * 960 - 1]) <= 1);
  for (std::size_t i = 80; i < 110; ++i) CHECK(energy(tick(samples, i)) == 0);
  CHECK(energy(tick(samples, 114)) > before / 4);  // and afterwards it is heard again
}

TEST_CASE("decoder: ticks without audio are concealed like those that were lost, before any audio they are silence") {
  const auto packets = opus_tone(20ms, 1, 60);
  Decoder decoder{20ms, 1};
  const Samples samples = decode_all(decoder, ticks("eeeeeffffffffffeeeffffffff", packets));
  for (std::size_t i = 0; i < 5; ++i) CHECK(energy(tick(samples, i)) == 0);
  CHECK(decoder.counters().silent.get() == 5);
  CHECK(decoder.counters().concealed.get() == 3);
  CHECK(energy(tick(samples, 15)) > energy(tick(samples, 14)) / 4);
}

TEST_CASE("decoder: after a discontinuity it decodes as one that is new") {
  const auto packets = opus_tone(20ms, 1, 60);
  Decoder decoder{20ms, 1};
  const Samples whole = decode_all(decoder, ticks("ffffffffffffffff|ffffffff", packets));
  auto tail = ticks("ffffffffffffffff|ffffffff", packets);
  tail.erase(tail.begin(), tail.begin() + 16);
  Decoder fresh{20ms, 1};
  const Samples second = decode_all(fresh, tail);
  CHECK(std::equal(second.begin(), second.end(), whole.begin() + 16 * 960));
  Decoder glued{20ms, 1};
  const Samples continued = decode_all(glued, ticks("ffffffffffffffffffffffff", packets));
  CHECK_FALSE(std::equal(second.begin(), second.end(), continued.begin() + 16 * 960));
  // A loss right behind it has nothing to go on from.
  const Samples lost = decode_all(decoder, ticks("|l", packets));
  CHECK(energy(lost) == 0);
}

TEST_CASE("decoder: with the next packet at hand its FEC brings a lost one back, better than concealment") {
  for (const auto frame : {10ms, 20ms, 40ms, 60ms})
    for (const int channels : {1, 2}) {
      CAPTURE(frame.count());
      CAPTURE(channels);
      const auto packets = opus_voice(frame, channels, static_cast<std::size_t>(6s / frame), true);
      Decoder perfect{frame, channels}, blind{frame, channels}, seeing{frame, channels};
      const Samples original = decode_all(perfect, ticks(std::string(packets.size(), 'f'), packets));
      const Samples concealed = decode_all(blind, with_losses(packets, 5, false));
      const Samples recovered = decode_all(seeing, with_losses(packets, 5, true));
      const auto losses = (packets.size() - 2) / 5;
      CHECK(blind.counters().concealed.get() == losses);
      CHECK(blind.counters().recovered.get() == 0);
      CHECK(seeing.counters().recovered.get() + seeing.counters().concealed.get() == losses);
      CHECK(seeing.counters().recovered.get() > losses / 2);  // the encoder spends it where it is worth something
      const std::size_t size = static_cast<std::size_t>(frame.count()) * 48 * static_cast<std::size_t>(channels);
      double with = 0, without = 0;
      for (std::size_t i = 5; i + 1 < packets.size(); i += 5) {
        with += distance(tick(original, i, size), tick(recovered, i, size));
        without += distance(tick(original, i, size), tick(concealed, i, size));
      }
      CAPTURE(with / without);
      CHECK(with < 0.3 * without);
    }
}

TEST_CASE("decoder: a next packet without FEC, of another length or of CELT is no help and no harm") {
  const auto packets = opus_voice(20ms, 1, 50, false);
  const auto celt = opus_tone(20ms, 1, 50);
  const auto longer = opus_voice(60ms, 1, 20, true);
  REQUIRE((celt[20][0] & 0x80) != 0);
  for (const Datagram& packet : packets) REQUIRE_FALSE(receive::opus_has_fec(packet));
  for (const Datagram& packet : celt) REQUIRE_FALSE(receive::opus_has_fec(packet));
  REQUIRE(receive::opus_has_fec(longer[10]));
  for (const Datagram& next : {packets[31], celt[31], longer[10], Datagram{}, Datagram{0x48}}) {
    auto played = ticks(std::string(50, 'f'), packets);
    played[30].kind = PlayedKind::lost;
    Decoder plain{20ms, 1}, offered{20ms, 1};
    const Samples expected = decode_all(plain, played);
    played[30].next_opus = next;
    CHECK(decode_all(offered, played) == expected);
    CHECK(offered.counters().recovered.get() == 0);
    CHECK(offered.counters().concealed.get() == 1);
  }
}

TEST_CASE("decoder: FEC behind CELT, which libopus does not look at, counts as concealed") {
  const auto celt = opus_tone(20ms, 1, 30);
  const auto voice = opus_voice(20ms, 1, 30, true);
  auto played = ticks(std::string(20, 'f') + "lf", celt);
  played[20].next_opus = voice[20];
  played[21].opus = voice[20];
  REQUIRE(receive::opus_has_fec(voice[20]));
  Decoder decoder{20ms, 1};
  decode_all(decoder, played);
  CHECK(decoder.counters().recovered.get() == 0);
  CHECK(decoder.counters().concealed.get() == 1);
}

TEST_CASE("decoder: what is no packet of the group's length is concealed and counted") {
  const auto packets = opus_tone(20ms, 1, 30);
  const Datagram wrong_length = opus_tone(40ms, 1, 1)[0];
  const Datagram no_frames{0xff, 0x00};
  auto played = ticks(std::string(20, 'f') + "ffffff", packets);
  auto lost = ticks(std::string(20, 'f') + "lflfff", packets);
  played[20].opus = wrong_length;
  played[22].opus = no_frames;
  lost[21].opus = played[21].opus;
  for (std::size_t i = 23; i < played.size(); ++i) lost[i].opus = played[i].opus;
  Decoder refuses{20ms, 1}, conceals{20ms, 1};
  CHECK(decode_all(refuses, played) == decode_all(conceals, lost));
  CHECK(refuses.counters().refused.get() == 2);
  CHECK(refuses.counters().concealed.get() == 2);
  CHECK(refuses.counters().packets.get() == 24);
}

TEST_CASE("decoder: no packet makes it crash, or give another length") {
  SeededRandom random{48};
  for (const auto frame : {10ms, 20ms, 60ms}) {
    const auto tone = opus_tone(frame, 2, 30);
    const auto voice = opus_voice(frame, 1, 30, true);
    Decoder decoder{frame, 2};
    for (int i = 0; i < 4000; ++i) {
      Datagram first = i % 3 == 0 ? tone[random.u64() % 30] : voice[random.u64() % 30];
      Datagram second = voice[random.u64() % 30];
      for (Datagram* packet : {&first, &second}) {
        if (random.u64() % 4 == 0) packet->resize(random.u64() % (packet->size() + 1));
        for (std::uint64_t flips = random.u64() % 6; flips > 0 && !packet->empty(); --flips)
          (*packet)[random.u64() % packet->size()] ^= static_cast<std::uint8_t>(1u << random.u64() % 8);
        if (random.u64() % 16 == 0 && packet->size() > 8) random.fill(*packet);
      }
      Played p;
      p.kind = first.empty() ? PlayedKind::empty : random.u64() % 3 == 0 ? PlayedKind::lost : PlayedKind::frame;
      p.discontinuity = random.u64() % 50 == 0;
      if (p.kind == PlayedKind::frame) p.opus = first;
      if (p.kind == PlayedKind::lost) p.next_opus = second;
      REQUIRE(decoder.decode(p).size() == static_cast<std::size_t>(frame.count()) * 96);
    }
    CHECK(decoder.counters().refused.get() > 100);
    CHECK(decoder.counters().recovered.get() > 100);
  }
}

TEST_CASE("decoder: after construction nothing allocates") {
  const auto packets = opus_voice(20ms, 1, 50, true);
  const auto played = with_losses(packets, 5, true);
  Decoder decoder{20ms, 2};
  AllocationCount allocations;
  for (const Played& p : played) decoder.decode(p);
  const std::uint64_t count = allocations.count();
  CHECK(count == 0);
}

}  // namespace tiercast::opus_decoder_test
