// Opus packets as a real encoder makes them.
#pragma once

#include <opus/opus.h>

#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "tests/receive/stream.hpp"

namespace tiercast::test {

/// `count` packets of a tone (two different ones in stereo) at 48 kHz.
inline std::vector<Datagram> opus_tone(std::chrono::milliseconds frame, int channels, std::size_t count,
                                       int application = OPUS_APPLICATION_AUDIO) {
  int error = 0;
  OpusEncoder* encoder = opus_encoder_create(48000, channels, application, &error);
  opus_encoder_ctl(encoder, OPUS_SET_BITRATE(32000 * channels));
  const auto samples = static_cast<int>(frame.count()) * 48;
  std::vector<opus_int16> pcm(static_cast<std::size_t>(samples * channels));
  std::vector<Datagram> out;
  for (std::size_t n = 0; n < count; ++n) {
    for (int i = 0; i < samples; ++i)
      for (int c = 0; c < channels; ++c) {
        const double t = (static_cast<double>(n) * samples + i) / 48000.0;
        pcm[static_cast<std::size_t>(i * channels + c)] =
            static_cast<opus_int16>(8000 * std::sin(2 * std::numbers::pi * (440.0 + 220 * c) * t));
      }
    Datagram packet(wire::kMaxOpus);
    const int size = opus_encode(encoder, pcm.data(), samples, packet.data(), static_cast<opus_int32>(packet.size()));
    packet.resize(static_cast<std::size_t>(size));
    out.push_back(std::move(packet));
  }
  opus_encoder_destroy(encoder);
  return out;
}

/// Ticks from a picture: 'f' the next packet, 'e' an empty tick, 'l' a lost one, '|' a discontinuity before the next.
inline std::vector<receive::Played> ticks(std::string_view picture, const std::vector<Datagram>& packets) {
  std::vector<receive::Played> out;
  std::uint64_t sequence = 5000;
  std::size_t used = 0;
  bool discontinuity = false;
  for (char c : picture) {
    if (c == '|') {
      sequence += 1000;
      discontinuity = true;
      continue;
    }
    receive::Played p;
    p.sequence = Sequence{sequence++};
    p.discontinuity = std::exchange(discontinuity, false);
    p.kind = c == 'f' ? receive::PlayedKind::frame : c == 'e' ? receive::PlayedKind::empty : receive::PlayedKind::lost;
    if (c == 'f') p.opus = packets[used++ % packets.size()];
    out.push_back(p);
  }
  return out;
}

}  // namespace tiercast::test
