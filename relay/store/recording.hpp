// A group's recordings on the disk, one file after another: GROUP-TIME.opus.NODE-TAG.part while it is written,
// GROUP-TIME.opus when it is whole and on the disk. All through the loop: nothing here waits for a disk.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <tl/expected.hpp>

#include "relay/net/error.hpp"
#include "relay/net/loop.hpp"
#include "relay/receive/recordings.hpp"

namespace tiercast::store {

/// Whose recordings, and where.
struct RecordingPlace {
  std::string directory, group, node;
  std::string tag;  // of this process and no other, eight hex digits: what has another one was left behind
  bool is(const RecordingPlace& other) const {
    return directory == other.directory && group == other.group && node == other.node;
  }
  /// ".opus.NODE-TAG.part".
  std::string part_suffix() const { return ".opus." + node + "-" + tag + ".part"; }
};

/// What the disk does not take is kept in memory, up to kQueue bytes, and tried again every second. It is told when
/// that begins and when it is over, once each.
class Recording final : public receive::Recordings {
 public:
  static constexpr std::size_t kQueue = 4 << 20;  // 20 minutes of speech
  static constexpr std::size_t kMostFiles = 4;    // that are not finished yet
  static constexpr unsigned kMostNames = 100;     // of one second
  static constexpr Duration kSyncEvery = 5s;
  static constexpr Duration kRetryAfter = 1s;
  static constexpr Duration kSlow = 5s;

  struct Finished {
    std::string path;
    receive::FinishedBy why;
  };
  /// Within the loop's turns.
  using OnFinished = std::function<void(const Finished&)>;

  /// Makes the directory, mode 0750, if its parent is there; blocks. An error is one that the configuration's owner
  /// must mend; a full or read-only disk is none. `loop` outlives it.
  static tl::expected<std::unique_ptr<Recording>, net::Error> create(net::Loop& loop, const RecordingPlace& place,
                                                                     OnFinished finished = {});
  ~Recording() override;
  bool begin(WallTime started, const std::optional<receive::RecordingGap>& gap, Duration frame) override;
  bool append(Bytes pages) override;
  void finish(receive::FinishedBy why) override;
  bool settled() const override;
  void on_timer(Time now) override;
  Time next_deadline() const override;
  receive::RecordingHealth health() const override;
  const receive::RecordingCounters& counters() const override;
  const RecordingPlace& place() const;

 private:
  class State;
  explicit Recording(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;  // outlives this while the kernel reads its buffers
};

/// "GROUP-YYYYMMDDTHHMMSSZ".
std::string recording_name(const std::string& group, WallTime started);
/// What to do about an errno of a disk, a clause.
std::string disk_advice(int error);

}  // namespace tiercast::store
