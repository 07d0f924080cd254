// Where a recorder's bytes go, as the recorder sees it. Knows no file.
#pragma once

#include "relay/base/counter.hpp"
#include "relay/base/types.hpp"

namespace tiercast::receive {

struct RecordingCounters {
  Counter bytes, drop_bytes, errors;
  template <class F>
  void each(F&& f) const {
    f("recording_bytes", bytes);
    f("recording_drop_bytes", drop_bytes);
    f("recording_error", errors);
  }
};

class RecordingFile {
 public:
  virtual ~RecordingFile() = default;
  /// Takes a copy; never blocks. What the disk refuses is reported there.
  virtual void append(Bytes bytes) = 0;
  /// No more follows.
  virtual void close() = 0;
  /// Nothing waits to be written.
  virtual bool settled() const = 0;
  virtual const RecordingCounters& counters() const = 0;
};

}  // namespace tiercast::receive
