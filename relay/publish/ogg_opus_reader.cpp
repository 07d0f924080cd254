#include "relay/publish/ogg_opus_reader.hpp"

#include <fmt/format.h>

#include <cstring>
#include <limits>
#include <new>
#include <string_view>

#include "relay/base/bytes.hpp"
#include "relay/publish/opus_packet.hpp"
#include "relay/wire/limits.hpp"

namespace tiercast::publish {

namespace {

constexpr std::size_t kHead = 19;         // OpusHead, RFC 7845 §5.1
constexpr std::size_t kWithoutAudio = 2;  // bytes: frames of no length, "conceal this"
constexpr long kMostUnread = 2L * 65536;  // of a packet that never ends: twice the longest page

bool begins(Bytes bytes, std::string_view with) {
  return bytes.size() >= with.size() && std::memcmp(bytes.data(), with.data(), with.size()) == 0;
}

Bytes body_of(const ogg_page& page) { return {page.body, static_cast<std::size_t>(page.body_len)}; }

std::string codec_name(Bytes head) {
  if (begins(head, "\x01vorbis")) return "Vorbis";
  if (begins(head, "\x80theora")) return "Theora";
  if (begins(head,
             "\x7f"
             "FLAC"))
    return "FLAC";
  if (begins(head, "Speex   ")) return "Speex";
  return "something else";
}

double ms(std::uint32_t samples) { return samples / 48.0; }

}  // namespace

OggOpusReader::OggOpusReader(std::uint8_t frame_ms)
    : frame_samples_(std::uint32_t{frame_ms} * 48), frame_ms_(frame_ms) {
  ogg_sync_init(&sync_);
  if (ogg_stream_init(&stream_, 0) != 0) throw std::bad_alloc();
}

OggOpusReader::~OggOpusReader() {
  ogg_stream_clear(&stream_);
  ogg_sync_clear(&sync_);
}

void OggOpusReader::feed(Bytes bytes) {
  if (bytes.empty() || !problem_.empty()) return;
  // Bounded: a page has 65,307 bytes at most, and what is none is passed over.
  char* room = ogg_sync_buffer(&sync_, static_cast<long>(bytes.size()));
  if (room == nullptr) throw std::bad_alloc();
  std::memcpy(room, bytes.data(), bytes.size());
  ogg_sync_wrote(&sync_, static_cast<long>(bytes.size()));
}

std::optional<MediaPacket> OggOpusReader::next() {
  while (problem_.empty()) {
    if (step_ == Step::audio) {
      ogg_packet packet;
      const int got = ogg_stream_packetout(&stream_, &packet);
      if (got > 0) {
        if (auto out = on_packet({packet.packet, static_cast<std::size_t>(packet.bytes)})) return out;
        continue;
      }
      if (got < 0) {
        counters_.damaged.add();
        notice(kDamaged, "parts of it are damaged or missing");
        continue;
      }
      if (end_) step_ = Step::between;
    }
    ogg_page page;
    const long got = ogg_sync_pageseek(&sync_, &page);
    if (got == 0) return std::nullopt;
    if (got > 0) {
      synced_ = true;
      on_page(page);
      continue;
    }
    if (!synced_) {
      fail("not an Ogg file");
      continue;
    }
    counters_.damaged.add(static_cast<std::uint64_t>(-got));
    notice(kDamaged, "parts of it are damaged or missing");
  }
  return std::nullopt;
}

void OggOpusReader::on_page(ogg_page& page) {
  if (ogg_page_bos(&page) != 0) return on_first_page(page);
  if (!serial_ && step_ == Step::heads && !audio_) return fail("no Opus in it, but " + other_);
  if (ogg_page_serialno(&page) != serial_) return;
  if (step_ == Step::heads) {
    if (!begins(body_of(page), "OpusTags")) return fail("not Ogg Opus: its second header is missing");
    step_ = Step::tags;
  }
  if (step_ == Step::tags) {  // may go over many pages, and matters to nobody here
    if (ogg_page_packets(&page) > 0) begin_audio();
    return;
  }
  if (step_ != Step::audio) return;
  const std::int64_t granule = ogg_page_granulepos(&page);
  const bool last = ogg_page_eos(&page) != 0;
  if (last) end_ = granule < 0 ? std::numeric_limits<std::int64_t>::max() : granule;
  if (ogg_stream_pagein(&stream_, &page) != 0) return counters_.damaged.add();
  if (!last && granule >= 0) position_ = granule;
  if (stream_.body_fill - stream_.body_returned > kMostUnread) fail("not Ogg Opus: a packet of it does not end");
}

/// A stream begins: of this file, or of one that is chained to it.
void OggOpusReader::on_first_page(const ogg_page& page) {
  if (step_ != Step::heads) {
    if (step_ == Step::audio) notice(kCutShort, "a stream in it is cut short: it has no mark of its end");
    step_ = Step::heads;
    serial_.reset();
  }
  if (serial_) return;  // the first Opus stream counts
  if (begins(body_of(page), "OpusHead")) return begin_stream(page);
  if (other_.empty()) other_ = codec_name(body_of(page));
}

void OggOpusReader::begin_stream(const ogg_page& page) {
  const Bytes head = body_of(page);
  if (head.size() < kHead || (head[8] & 0xf0) != 0) return fail("not Ogg Opus of version 1");
  const unsigned channels = head[9];
  const unsigned mapping = head[18];
  const unsigned streams = mapping == 0 ? 1u : head.size() > kHead ? head[19] : 0u;
  if (channels < 1 || channels > 2 || streams != 1)
    return fail(
        fmt::format("it has {} channels; mono and stereo are taken; encode it anew: ffmpeg -i FILE -ac 2 "
                    "-c:a libopus -frame_duration {} NEW.opus",
                    channels, frame_ms_));
  serial_ = ogg_page_serialno(&page);
  pre_skip_left_ = static_cast<std::uint32_t>(load_le<2>(head.data() + 10));
  const auto gain = static_cast<std::int16_t>(load_le<2>(head.data() + 16));
  if (gain != 0) notice(kGain, fmt::format("its output gain of {:.1f} dB is not applied", gain / 256.0));
}

void OggOpusReader::begin_audio() {
  step_ = Step::audio;
  ogg_stream_reset_serialno(&stream_, *serial_);
  position_ = 0;
  end_.reset();
}

std::optional<MediaPacket> OggOpusReader::on_packet(Bytes packet) {
  const auto opus = parse_opus(packet);
  if (!opus) {
    refuse("a packet in it is not Opus", frame_samples_);
    return std::nullopt;
  }
  const std::int64_t begin = position_;
  if (end_) position_ += opus->samples;
  // Whole packets only: what of one is to be cut off cannot be told to listeners.
  const bool skipped = opus->samples <= pre_skip_left_;
  pre_skip_left_ = skipped ? pre_skip_left_ - opus->samples : 0;
  if (skipped || (end_ && begin >= *end_)) {
    counters_.skipped.add();
    return std::nullopt;
  }
  if (opus->samples == frame_samples_ && packet.size() <= wire::kMaxOpus) {
    audio_ = true;
    const std::uint64_t silence = std::exchange(silence_, silence_ % frame_samples_) / frame_samples_;
    return MediaPacket{packet, silence};
  }
  if (packet.size() <= kWithoutAudio) {
    counters_.silent.add();
    silence_ += opus->samples;
  } else if (opus->samples == frame_samples_) {
    refuse(fmt::format("a packet of {} bytes is longer than {}: encode it with a lower bitrate", packet.size(),
                       wire::kMaxOpus),
           opus->samples);
  } else {
    refuse(fmt::format("it has packets of {} ms, but the group has frame_ms = {}: encode it with that (opusenc "
                       "--framesize {}, ffmpeg -frame_duration {}), or use the group's",
                       ms(opus->samples), frame_ms_, frame_ms_, frame_ms_),
           opus->samples);
  }
  return std::nullopt;
}

void OggOpusReader::refuse(const std::string& why, std::uint32_t samples) {
  counters_.refused.add();
  silence_ += samples;
  if (!audio_) return fail(why);
  notice(kRefused, why);
}

void OggOpusReader::notice(Notice which, std::string text) {
  const auto bit = static_cast<std::uint8_t>(1U << which);
  if ((told_ & bit) != 0) return;
  told_ |= bit;
  untold_ |= bit;
  notices_[which] = std::move(text);
}

std::optional<std::string> OggOpusReader::take_notice() {
  for (unsigned i = 0; i < kNotices; ++i) {
    const auto bit = static_cast<std::uint8_t>(1U << i);
    if ((untold_ & bit) == 0) continue;
    untold_ = static_cast<std::uint8_t>(untold_ & ~bit);
    return std::move(notices_[i]);
  }
  return std::nullopt;
}

void OggOpusReader::finish() {
  if (!problem_.empty()) return;
  if (!synced_) return fail(sync_.fill == 0 ? "empty" : "not an Ogg file");
  if (!audio_) return fail(other_.empty() || serial_ ? "it has no audio in it" : "no Opus in it, but " + other_);
  if (step_ != Step::between) notice(kCutShort, "cut short: it has no mark of its end");
}

}  // namespace tiercast::publish
