#include "relay/publish/media_reader.hpp"

#include <utility>

namespace tiercast::publish {

MediaReader::MediaReader(const Setup& setup) : setup_(setup) {
  switch (setup.kind) {
    case MediaKind::wav: wav_.emplace(); break;
    case MediaKind::pcm: pcm_.emplace(setup.pcm, setup.encoding, setup.frame_ms); break;
    case MediaKind::ogg: ogg_.emplace(setup.frame_ms); break;
  }
}

void MediaReader::feed(Bytes bytes) {
  if (ogg_) return ogg_->feed(bytes);
  if (wav_) {
    fed_ = bytes;
  } else {
    anything_ = anything_ || !bytes.empty();
    pcm_->push(bytes);
  }
}

void MediaReader::finish() {
  if (ogg_) return ogg_->finish();
  if (wav_) wav_->finish();
  if (pcm_) pcm_->finish();
  if (!wav_ && !anything_) problem_ = "empty";
}

std::optional<MediaPacket> MediaReader::next() {
  if (ogg_) return ogg_->next();
  while (true) {
    if (pcm_) {
      if (const auto opus = pcm_->next()) return MediaPacket{*opus, 0};
    }
    if (fed_.empty() || !problem().empty()) return std::nullopt;
    const Bytes samples = wav_->take(fed_);
    if (samples.empty()) continue;
    if (!pcm_) pcm_.emplace(*wav_->format(), setup_.encoding, setup_.frame_ms);
    pcm_->push(samples);
  }
}

std::optional<std::string> MediaReader::take_notice() {
  return wav_ ? wav_->take_notice() : ogg_ ? ogg_->take_notice() : std::nullopt;
}

}  // namespace tiercast::publish
