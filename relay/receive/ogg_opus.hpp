// Played frames into an Ogg Opus file (RFC 7845, RFC 3533), the packets bit for bit as they came. Produces bytes; knows
// no file.
#pragma once

#include <ogg/ogg.h>

#include <string>
#include <vector>

#include "relay/base/counter.hpp"
#include "relay/receive/opus_packet.hpp"
#include "relay/receive/playout.hpp"

namespace tiercast::receive {

struct OggOpusConfig {
  std::chrono::milliseconds frame{20};  // 10, 20, 40 or 60
  std::uint32_t serial = 0;             // of the logical stream: random
  std::string group;                    // group's name, into OpusTags
  WallTime started;                     // of the first tick written
  bool live = false;                    // somebody listens while it is written
  std::vector<std::string> comments{};  // more of OpusTags: "NAME=value"
  /// Pages begin where the sequence is a multiple of so many ticks, so that those of two files of one broadcast have
  /// the same packets; 0: after a second, wherever that is.
  unsigned page_ticks = 0;
};

struct OggOpusCounters {
  Counter packets, concealed, refused, drop_no_room;
  template <class F>
  void each(F&& f) const {
    f("ogg_packets", packets);
    f("ogg_concealed", concealed);
    f("ogg_refused", refused);  // no Opus packet of the group's frame length: concealed
    f("ogg_drop_no_room", drop_no_room);
  }
};

/// One tick of the group's clock is one frame length in the file: a lost or empty one is a packet without bytes, for
/// which every decoder conceals. Ticks that a discontinuity skips do not exist and are not inserted. What precedes the
/// first audio is written with it, as only then the mode and the channels are known (an hour of it at most, the
/// newest).
///
/// Pages hold at most a second, so that a crash costs no more than that. The encoder's delay is not told by RTP, so
/// nothing of the audio may be skipped; but a pre-skip below 2.5 ms makes opusinfo warn. So 2.5 ms of silence go first,
/// and the pre-skip (RFC 7845 §4.2) is just that: opusfile and opusinfo find ticks × length. ffprobe adds the pre-skip,
/// as it does to every Ogg Opus file.
///
/// A file that was cut off anywhere is made whole again by ogg_repair.
///
/// Live, every tick is a page at once, and the headers go out with the first tick, for two channels where that has no
/// audio: mono is played on both. They fill what ffmpeg wants to see before it looks at a stream at all, which speech
/// would take half a second to do.
class OggOpusWriter {
 public:
  explicit OggOpusWriter(const OggOpusConfig& config);
  ~OggOpusWriter();
  OggOpusWriter(const OggOpusWriter&) = delete;
  OggOpusWriter& operator=(const OggOpusWriter&) = delete;

  /// False: there is no room until take() was called; nothing happened.
  bool add(const Played& played);
  /// Closes the page that is open, before its time: nothing may come for a while. False as in add().
  bool flush();
  /// Ends the stream (the last page is marked); take() the rest. add() does nothing afterwards. False as in add().
  /// Where no tick was added, the file stays empty.
  bool finish();
  /// The bytes to append to the file, valid until the next call; empty: none.
  Bytes take();
  /// What the file lasts so far.
  Duration duration() const;
  const OggOpusCounters& counters() const { return counters_; }

 private:
  void begin(std::uint8_t toc);
  bool has_room() const;
  void write(Bytes packet, unsigned samples);
  void write_silence(unsigned samples);
  void conceal(unsigned samples);
  void flush_page();

  const OggOpusConfig config_;
  const unsigned samples_;  // of a tick
  ogg_stream_state stream_{};
  std::vector<std::uint8_t> pending_;
  bool taken_ = false;
  bool begun_ = false;
  bool finished_ = false;
  std::uint8_t toc_ = 0;           // of the last packet
  std::uint64_t leading_ = 0;      // ticks before the first audio, not written yet
  std::int64_t granule_ = 0;       // samples written to the stream, the skipped ones included
  std::int64_t page_granule_ = 0;  // and to whole pages
  std::size_t page_bytes_ = 0;
  std::size_t page_segments_ = 0;
  OggOpusCounters counters_;
};

}  // namespace tiercast::receive
