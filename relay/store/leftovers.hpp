// What a process that was killed left behind of its recordings: cut off behind the last whole page, ended, and given
// its name. Reads and writes at once, and so is for a thread of its own.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "relay/store/recording.hpp"

namespace tiercast::store {

struct Leftover {
  std::string path;              // as it is called now
  std::optional<Sequence> next;  // behind its last tick
};

/// All of this group and node in that directory, oldest first, but those of the place's own tag. What has no whole page
/// of audio is removed. What cannot be mended is left as it is, and told; nothing is ever overwritten.
std::vector<Leftover> recover(const RecordingPlace& place);

/// Whether `name` is that of a recording's file as place's group and node have it before it is finished, by another
/// process.
bool is_leftover(const std::string& name, const RecordingPlace& place);

}  // namespace tiercast::store
