// Ogg Opus as it comes in, in pieces of any size (RFC 7845, RFC 3533): its packets, bit for bit, in their order.
// Must not know: files, RTP, when a packet is due.
#pragma once

#include <ogg/ogg.h>

#include <optional>
#include <string>
#include <utility>

#include "relay/base/counter.hpp"
#include "relay/publish/media_packet.hpp"

namespace tiercast::publish {

struct OggReaderCounters {
  Counter skipped, silent, refused, damaged;
  template <class F>
  void each(F&& f) const {
    f("ogg_in_skipped", skipped);  // played by nobody: within the pre-skip, or behind the end
    f("ogg_in_silent", silent);    // without audio, of several frame lengths
    f("ogg_in_drop_refused", refused);
    f("ogg_in_drop_damaged", damaged);  // bytes, or pages that are missing
  }
};

/// Other streams between its pages are not looked at, and chained ones follow each other. A packet of another length
/// than the group's is refused: the first one makes it a problem(), a later one is silence, and told once.
class OggOpusReader {
 public:
  explicit OggOpusReader(std::uint8_t frame_ms);
  ~OggOpusReader();
  OggOpusReader(const OggOpusReader&) = delete;
  OggOpusReader& operator=(const OggOpusReader&) = delete;

  /// Once next() has nothing.
  void feed(Bytes bytes);
  /// Nothing more comes.
  void finish();
  /// Valid until the next call of anything.
  std::optional<MediaPacket> next();

  bool has_audio() const { return audio_; }
  /// Why it cannot be read (on); empty: nothing is wrong.
  const std::string& problem() const { return problem_; }
  /// What people should know of what is played nevertheless; each once.
  std::optional<std::string> take_notice();
  const OggReaderCounters& counters() const { return counters_; }

 private:
  enum class Step : std::uint8_t { heads, tags, audio, between };
  enum Notice : std::uint8_t { kCutShort, kDamaged, kRefused, kGain, kNotices };
  void on_page(ogg_page& page);
  void on_first_page(const ogg_page& page);
  void begin_stream(const ogg_page& page);
  void begin_audio();
  std::optional<MediaPacket> on_packet(Bytes packet);
  void refuse(const std::string& why, std::uint32_t samples);
  void notice(Notice which, std::string text);
  void fail(std::string why) { problem_ = std::move(why); }

  const std::uint32_t frame_samples_;
  const unsigned frame_ms_;
  ogg_sync_state sync_{};
  ogg_stream_state stream_{};
  Step step_ = Step::heads;
  bool synced_ = false;  // there was a page
  bool audio_ = false;   // there was a packet
  std::optional<int> serial_;
  std::string other_;                // the first stream that is not Opus
  std::uint32_t pre_skip_left_ = 0;  // samples
  std::int64_t position_ = 0;        // samples, before the page's first packet
  std::optional<std::int64_t> end_;  // on the last page: what is behind it is not played
  std::uint64_t silence_ = 0;        // samples since the last packet that none came for
  std::uint8_t told_ = 0;            // bit n: Notice n
  std::uint8_t untold_ = 0;
  std::string notices_[kNotices];
  std::string problem_;
  OggReaderCounters counters_;
};

}  // namespace tiercast::publish
