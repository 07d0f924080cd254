// Records a group inside a node: a downstream that needs no socket. Frames in, the bytes of Ogg Opus files out: which
// tick goes into which file is decided here.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "relay/node/group.hpp"
#include "relay/receive/ogg_opus.hpp"
#include "relay/receive/playout.hpp"
#include "relay/receive/recordings.hpp"

namespace tiercast::node {

struct RecorderCounters {
  Counter ticks, drop_ticks, gaps, filled;
  template <class F>
  void each(F&& f) const {
    f("recorder_ticks", ticks);            // in files
    f("recorder_drop_ticks", drop_ticks);  // the disk has taken nothing for too long
    f("recorder_gaps", gaps);              // files that do not begin where the one before ended
    f("recorder_filled", filled);          // ticks that do not exist, as silence
  }
};

/// A file begins with audio, and holds a tick for each sequence from there on, so that a packet's place in it follows
/// from its sequence: two recorders of a broadcast have the same packets at the same places, wherever each began. What
/// the clock skips is silence up to kMostFilled, then another file. A file ends with the broadcast, after `silence`
/// without audio, or where the disk took nothing for so long that nothing more can be kept; then audio begins another.
class Recorder {
 public:
  static constexpr Duration kPage = 500ms;        // a page's length; at a crash what is in it is lost
  static constexpr Duration kFlushAfter = 700ms;  // a page that nothing follows
  static constexpr Duration kMostFilled = 10s;
  static constexpr Duration kLeftoverPatience = 2s;

  struct Options {
    std::string node;
    Duration silence{0};  // 0: however long
  };
  /// Where what an earlier process wrote ends.
  struct Leftover {
    std::string file;
    Sequence next;
  };
  Recorder(const Group& group, std::unique_ptr<receive::Recordings> files, Options options, std::uint32_t serial);

  void on_epoch(const wire::EpochRecord& epoch) { playout_.on_epoch(epoch); }
  void on_frame(Bytes datagram, Moment now);
  void on_attest(Bytes datagram, Moment now);
  void on_timer(Moment now);
  Time next_deadline() const;
  /// Begins no file before on_leftover(), for kLeftoverPatience at most.
  void await_leftover(Time now) { awaiting_until_ = now + kLeftoverPatience; }
  /// Nothing: there is none.
  void on_leftover(const std::optional<Leftover>& leftover);
  /// For good.
  void finish(receive::FinishedBy why);
  bool settled() const { return files_->settled(); }
  const receive::PlayoutCounters& playout_counters() const { return playout_.counters(); }
  const RecorderCounters& counters() const { return counters_; }
  const receive::RecordingCounters& file_counters() const { return files_->counters(); }
  receive::RecordingHealth health() const { return files_->health(); }

 private:
  void drain(Moment now);
  Time silent_at() const;
  void take(const receive::Played& played, Moment now);
  bool begin(const receive::Played& played, Moment now);
  bool fill(Sequence upto);
  void add(const receive::Played& played);
  void flush(Time now);
  void finish_file(receive::FinishedBy why);

  const std::string group_name_;
  const std::chrono::milliseconds frame_;
  const unsigned samples_;  // of a tick
  const Options options_;
  std::uint32_t serial_;
  receive::Playout playout_;
  std::unique_ptr<receive::Recordings> files_;
  std::optional<receive::OggOpusWriter> writer_;  // of the file that is written
  Sequence next_;                                 // of that file
  struct Before {
    std::string file;
    Sequence next;
    receive::FinishedBy why;
  };
  std::optional<Before> before_;  // the file before, of the same broadcast
  Time last_audio_;
  Moment now_;                      // when there was something to do last
  std::optional<Time> page_since_;  // the page that is open holds ticks since then
  std::optional<Time> awaiting_until_;
  bool full_ = false;      // the disk's queue: what was appended last was the last
  bool finished_ = false;  // for good
  RecorderCounters counters_;
};

}  // namespace tiercast::node
