// A recording's file: bytes are queued and written through the loop, in order; never waits for the disk.
#pragma once

#include <memory>
#include <string>
#include <tl/expected.hpp>

#include "relay/net/descriptor.hpp"
#include "relay/net/error.hpp"
#include "relay/net/loop.hpp"
#include "relay/receive/recording_file.hpp"

namespace tiercast::store {

class Recording final : public receive::RecordingFile {
 public:
  /// Creates DIRECTORY/GROUP-YYYYMMDDTHHMMSSZ.opus (with -2, -3, … if that exists), and DIRECTORY, mode
  /// 0750, if its parent is there. `loop` outlives it.
  static tl::expected<std::unique_ptr<Recording>, net::Error> create(net::Loop& loop, const std::string& directory,
                                                                     const std::string& group, WallTime now);
  void append(Bytes bytes) override;
  void close() override;
  bool settled() const override;
  const std::string& path() const { return path_; }
  const receive::RecordingCounters& counters() const override { return *counters_; }

 private:
  struct Writing;
  Recording(net::Loop& loop, std::string path, net::Descriptor file);
  static void write_next(const std::shared_ptr<Writing>& writing);
  std::string path_;
  std::shared_ptr<Writing> writing_;  // outlives this while the kernel reads its buffer
  receive::RecordingCounters* counters_;
};

}  // namespace tiercast::store
