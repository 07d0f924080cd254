// The bytes of a WAV file, raw PCM or Ogg Opus, in pieces of any size, into Opus packets of the group's frame length.
// Must not know: files, RTP, when a packet is due.
#pragma once

#include <optional>
#include <string>

#include "relay/publish/media_packet.hpp"
#include "relay/publish/ogg_opus_reader.hpp"
#include "relay/publish/pcm_encoder.hpp"
#include "relay/publish/wav_reader.hpp"

namespace tiercast::publish {

enum class MediaKind : std::uint8_t { wav, pcm, ogg };

class MediaReader {
 public:
  static constexpr std::size_t kMaxFeed = PcmEncoder::kMaxPush;

  struct Setup {
    MediaKind kind = MediaKind::wav;
    std::uint8_t frame_ms = 20;
    PcmFormat pcm;      // of pcm
    Encoding encoding;  // of wav and pcm
  };
  explicit MediaReader(const Setup& setup);

  /// At most kMaxFeed bytes, which stay as they are until next() has nothing. Once next() has nothing.
  void feed(Bytes bytes);
  /// Nothing more comes; once next() has nothing. Then next() has the rest.
  void finish();
  /// The next packet, valid until the next call of anything.
  std::optional<MediaPacket> next();

  /// Why it cannot be read (on); empty: nothing is wrong. Then next() has nothing more.
  const std::string& problem() const { return wav_ ? wav_->problem() : ogg_ ? ogg_->problem() : problem_; }
  /// What people should know of what is played nevertheless; each once.
  std::optional<std::string> take_notice();
  /// Of its samples, once that is known; never of Ogg.
  std::optional<PcmFormat> format() const {
    return wav_ ? wav_->format() : pcm_ ? std::optional{setup_.pcm} : std::nullopt;
  }
  /// Of Ogg only.
  const OggReaderCounters* counters() const { return ogg_ ? &ogg_->counters() : nullptr; }

 private:
  const Setup setup_;
  std::optional<WavReader> wav_;
  std::optional<PcmEncoder> pcm_;  // once the format is known
  std::optional<OggOpusReader> ogg_;
  Bytes fed_;
  bool anything_ = false;  // raw samples came
  std::string problem_;    // with them
};

}  // namespace tiercast::publish
