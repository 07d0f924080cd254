// Where a recorder's bytes go, as the recorder sees it. Knows no file.
#pragma once

#include "relay/base/types.hpp"

namespace tiercast::receive {

class RecordingFile {
 public:
  virtual ~RecordingFile() = default;
  /// Takes a copy; never blocks. What the disk refuses is reported there.
  virtual void append(Bytes bytes) = 0;
  /// No more follows.
  virtual void close() = 0;
  /// Nothing waits to be written.
  virtual bool settled() const = 0;
};

}  // namespace tiercast::receive
