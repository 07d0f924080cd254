// Where a recorder's bytes go, as the recorder sees it: one file after another. Knows no file system.
#pragma once

#include <optional>
#include <string>

#include "relay/base/counter.hpp"
#include "relay/base/types.hpp"

namespace tiercast::receive {

/// Why a recording is finished, or, of a gap, why the one before it was.
enum class FinishedBy : std::uint8_t {
  end,        // the broadcast's, attested
  silence,    // no audio for as long as configured
  stop,       // of the node
  disk,       // it took nothing for too long
  jump,       // the broadcast goes on elsewhere on its clock
  reload,     // recorded no more, or otherwise
  recovered,  // the node that wrote it was killed
};
/// A word for logs and files.
constexpr const char* to_text(FinishedBy why) {
  switch (why) {
    case FinishedBy::end: return "end";
    case FinishedBy::silence: return "silence";
    case FinishedBy::stop: return "stop";
    case FinishedBy::disk: return "disk";
    case FinishedBy::jump: return "jump";
    case FinishedBy::reload: return "reload";
    case FinishedBy::recovered: break;
  }
  return "recovered";
}

/// What is in no file: between the one before and this one.
struct RecordingGap {
  Sequence from;
  std::uint64_t ticks = 0;
  FinishedBy why = FinishedBy::stop;
  std::string after;  // the file before
};

struct RecordingCounters {
  Counter bytes, files, syncs, errors, slow;
  template <class F>
  void each(F&& f) const {
    f("recording_bytes", bytes);
    f("recording_files", files);  // finished
    f("recording_syncs", syncs);
    f("recording_error", errors);
    f("recording_slow", slow);  // times that the disk took nothing for long
  }
};

struct RecordingHealth {
  std::string file;                // being written, as it will be called; empty: none
  std::string problem;             // what the disk refuses, and what to do; empty: nothing
  std::uint64_t waiting = 0;       // bytes that are not written yet
  std::uint64_t waiting_most = 0;  // so many may be
};

/// Never blocks, and takes nothing that it cannot hold.
class Recordings {
 public:
  virtual ~Recordings() = default;
  /// A new file. False: too much waits for the disk; nothing happened.
  virtual bool begin(WallTime started, const std::optional<RecordingGap>& gap, Duration frame) = 0;
  /// Copies whole pages, which follow those before; only while a file is begun. False: that was the last that there is
  /// room for: finish the file, for which there still is some.
  virtual bool append(Bytes pages) = 0;
  /// The file has all that it will have.
  virtual void finish(FinishedBy why) = 0;
  /// Every file that was begun is finished, on the disk, and has its name.
  virtual bool settled() const = 0;
  virtual void on_timer(Time now) = 0;
  virtual Time next_deadline() const = 0;
  virtual RecordingHealth health() const = 0;
  virtual const RecordingCounters& counters() const = 0;
};

}  // namespace tiercast::receive
