#include "relay/receive/ogg_opus.hpp"

#include <fmt/chrono.h>

#include <cassert>
#include <new>
#include <utility>

namespace tiercast::receive {
namespace {

constexpr std::size_t kPageBytes = 4096;    // what libogg aims at too
constexpr std::size_t kPageSegments = 255;  // RFC 3533 §6
constexpr std::size_t kMaxPage = 27 + kPageSegments + kPageBytes + wire::kMaxOpus;
constexpr std::int64_t kPageSamples = kOpusRate;  // a second
constexpr auto kMaxLeading = std::chrono::hours{1};
constexpr std::size_t kLeadingBytes =
    std::size_t{200} * 1024;  // an hour in pages of 8 packets of 120 ms: 3,600 × (27 + 8 × 3)
constexpr std::size_t kPending = kLeadingBytes + 4 * kMaxPage;
constexpr std::size_t kMaxName = 256;
constexpr unsigned kLongestPacket = kOpusRate * 120 / 1000;
constexpr unsigned kPreSkip = 120;      // 2.5 ms, the shortest packet there is
constexpr std::uint8_t kStereo = 0x04;  // in any TOC
constexpr std::size_t kProbe = 2048;    // bytes that ffmpeg reads before it tells a format (PROBE_BUF_MIN)

void put_le(std::vector<std::uint8_t>& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

void put_text(std::vector<std::uint8_t>& out, std::string_view text) {
  put_le(out, text.size(), 4);
  out.insert(out.end(), text.begin(), text.end());
}

/// RFC 7845 §5.1.
std::vector<std::uint8_t> opus_head(int channels) {
  std::vector<std::uint8_t> out{'O', 'p', 'u', 's', 'H', 'e', 'a', 'd', 1, static_cast<std::uint8_t>(channels)};
  put_le(out, kPreSkip, 2);
  put_le(out, kOpusRate, 4);  // of the input, for information
  put_le(out, 0, 2);          // gain
  out.push_back(0);           // channel mapping family: mono or stereo
  return out;
}

/// RFC 7845 §5.2; zeros at its end are padding.
std::vector<std::uint8_t> opus_tags(const OggOpusConfig& config, WallTime started, std::size_t least) {
  std::vector<std::uint8_t> out{'O', 'p', 'u', 's', 'T', 'a', 'g', 's'};
  put_text(out, "tiercast " TIERCAST_VERSION);
  put_le(out, 2 + config.comments.size(), 4);
  put_text(out, "TITLE=" + config.group.substr(0, kMaxName));
  const auto second = std::chrono::floor<std::chrono::seconds>(started);
  put_text(out, fmt::format("DATE={:%Y-%m-%dT%H:%M:%S}.{:06}Z",
                            fmt::gmtime(std::chrono::system_clock::to_time_t(second)), (started - second).count()));
  for (const std::string& comment : config.comments) put_text(out, comment.substr(0, 2 * kMaxName));
  if (out.size() < least) out.resize(least);
  return out;
}

/// Before any audio: fullband CELT, mono.
std::uint8_t toc_for(std::chrono::milliseconds frame) { return frame == 10ms ? 30 << 3 : 31 << 3; }

}  // namespace

OggOpusWriter::OggOpusWriter(const OggOpusConfig& config)
    : config_(config), samples_(static_cast<unsigned>(config.frame.count()) * kOpusRate / 1000) {
  assert(config.frame == 10ms || config.frame == 20ms || config.frame == 40ms || config.frame == 60ms);
  if (ogg_stream_init(&stream_, static_cast<int>(config.serial)) != 0) throw std::bad_alloc();
  pending_.reserve(kPending);
}

OggOpusWriter::~OggOpusWriter() { ogg_stream_clear(&stream_); }

Bytes OggOpusWriter::take() {
  if (taken_) pending_.clear();
  taken_ = true;
  return pending_;
}

Duration OggOpusWriter::duration() const {
  if (!begun_) return config_.frame * static_cast<Duration::rep>(leading_);
  return Duration{(granule_ - kPreSkip) * 62'500 / 3};
}

/// For what one tick can cause: with the first one the headers and all the leading silence, then one page.
bool OggOpusWriter::has_room() const {
  return (taken_ ? 0 : pending_.size()) + (begun_ ? kMaxPage : kPending) <= kPending;
}

bool OggOpusWriter::add(const Played& played) {
  if (finished_) return true;
  if (!has_room()) {
    counters_.drop_no_room.add();
    return false;
  }
  if (std::exchange(taken_, false)) pending_.clear();
  const bool audio = played.kind == PlayedKind::frame;
  const bool fits = audio && opus_samples(played.opus) == samples_;
  if (audio && !fits) counters_.refused.add();
  if (!fits && !begun_ && !config_.live) {
    ++leading_;
    return true;
  }
  // The page that is open waits for a packet behind it, for the mark of the end.
  if (begun_ && config_.page_ticks != 0 && played.sequence.value % config_.page_ticks == 0) flush_page();
  if (!begun_) begin(fits ? played.opus[0] : static_cast<std::uint8_t>(toc_for(config_.frame) | kStereo));
  if (fits) {
    counters_.packets.add();
    toc_ = played.opus[0];
    write(played.opus, samples_);
  } else {
    conceal(samples_);
  }
  if (config_.live) flush_page();
  return true;
}

bool OggOpusWriter::flush() {
  if (finished_ || !begun_ || page_segments_ == 0) return true;
  if (!has_room()) return false;
  if (std::exchange(taken_, false)) pending_.clear();
  flush_page();
  return true;
}

bool OggOpusWriter::finish() {
  if (finished_) return true;
  if (!has_room()) return false;
  if (std::exchange(taken_, false)) pending_.clear();
  finished_ = true;
  if (!begun_ && leading_ == 0) return true;
  if (!begun_) begin(toc_for(config_.frame));
  // The mark of the end needs a page, and that a packet: live it is one of which all is cut off (RFC 7845 §4.4).
  if (page_segments_ == 0) write_silence(0);
  stream_.e_o_s = 1;
  flush_page();
  return true;
}

void OggOpusWriter::begin(std::uint8_t toc) {
  begun_ = true;
  toc_ = toc;
  const auto most = static_cast<std::uint64_t>(kMaxLeading / config_.frame);
  const std::uint64_t forgotten = leading_ > most ? leading_ - most : 0;
  for (const auto& header :
       {opus_head(opus_channels(toc)),
        opus_tags(config_, config_.started + config_.frame * static_cast<int>(forgotten), config_.live ? kProbe : 0)}) {
    ogg_packet packet{};
    packet.packet = const_cast<unsigned char*>(header.data());
    packet.bytes = static_cast<long>(header.size());
    packet.b_o_s = granule_ == 0 && pending_.empty();
    ogg_stream_packetin(&stream_, &packet);
    flush_page();
  }
  write_silence(kPreSkip);
  std::uint64_t samples = (leading_ - forgotten) * samples_;
  leading_ = 0;
  for (; samples >= kLongestPacket; samples -= kLongestPacket) conceal(kLongestPacket);
  for (; samples > 0; samples -= samples_) conceal(samples_);
}

/// The shortest packet there is; `samples` of it count.
void OggOpusWriter::write_silence(unsigned samples) {
  const std::uint8_t packet[] = {opus_shortest((toc_ & kStereo) != 0)};
  write(packet, samples);
}

void OggOpusWriter::conceal(unsigned samples) {
  counters_.concealed.add();
  ConcealmentPacket packet = opus_concealment(toc_, samples);
  write(Bytes{packet.begin(), packet.size()}, samples);
}

/// Closes a full page first, so that the last packet waits for the mark of the end.
void OggOpusWriter::write(Bytes packet, unsigned samples) {
  const std::size_t segments = packet.size() / 255 + 1;
  if (page_segments_ != 0 && (page_segments_ + segments > kPageSegments || page_bytes_ + packet.size() > kPageBytes ||
                              (config_.page_ticks == 0 && granule_ - page_granule_ + samples > kPageSamples)))
    flush_page();
  granule_ += samples;
  page_segments_ += segments;
  page_bytes_ += packet.size();
  ogg_packet op{};
  op.packet = const_cast<unsigned char*>(packet.data());
  op.bytes = static_cast<long>(packet.size());
  op.granulepos = granule_;
  ogg_stream_packetin(&stream_, &op);
}

void OggOpusWriter::flush_page() {
  ogg_page page;
  while (ogg_stream_flush(&stream_, &page) != 0) {
    pending_.insert(pending_.end(), page.header, page.header + page.header_len);
    pending_.insert(pending_.end(), page.body, page.body + page.body_len);
  }
  page_granule_ = granule_;
  page_segments_ = 0;
  page_bytes_ = 0;
}

}  // namespace tiercast::receive
