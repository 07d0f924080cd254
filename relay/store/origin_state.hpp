// An origin's memory: each source's epochs and last sequence, one small file each, in a directory that one process
// locks. On disk means on disk: written aside, fsync, rename, fsync of the directory. Must not know when to save.
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "relay/net/descriptor.hpp"
#include "relay/publish/epoch_schedule.hpp"
#include "relay/publish/media_clock.hpp"

namespace tiercast::store {

struct OriginStateError {
  std::string text;   // "PATH: reason; what to do"
  int exit_code = 0;  // relay/base/exit_code.hpp
};

struct SourceState {
  publish::EpochState epochs;
  Sequence last;              // none beyond it had been sealed …
  Time at;                    // … then, by this machine's monotonic clock; of another boot: kNever
  publish::ClockPoint point;  // how it numbered, by the same clock
};

struct LoadedSource {
  SourceState state;    // empty at the very first start
  std::string warning;  // not empty: one line for the log
};

class OriginState {
 public:
  /// Locks `directory` for the object's life; makes it (0700) when it is missing and its parent exists. The contents
  /// are bound to the machine that `machine_id_file` names.
  static tl::expected<OriginState, OriginStateError> open(
      const std::string& directory, const std::string& machine_id_file = "/etc/machine-id",
      const std::string& boot_id_file = "/proc/sys/kernel/random/boot_id");

  /// A file from another machine keeps its numbers and its sequence, not its epochs: that machine may be using them.
  /// A damaged file is an error; nothing replaces it.
  tl::expected<LoadedSource, OriginStateError> load(GroupId group, SourceId source) const;
  /// On return it is on the disk.
  tl::expected<void, OriginStateError> save(GroupId group, SourceId source, const SourceState& state) const;

 private:
  using IdHash = std::array<std::uint8_t, 16>;
  OriginState(std::string directory, net::Descriptor folder, net::Descriptor lock, const IdHash& machine,
              const IdHash& boot)
      : directory_(std::move(directory)),
        folder_(std::move(folder)),
        lock_(std::move(lock)),
        machine_(machine),
        boot_(boot) {}

  std::string directory_;
  net::Descriptor folder_;
  net::Descriptor lock_;
  IdHash machine_;
  IdHash boot_;
};

}  // namespace tiercast::store
