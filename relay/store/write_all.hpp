// All of it, or an error.
#pragma once

#include <unistd.h>

#include <cerrno>

#include "relay/base/types.hpp"

namespace tiercast::store {

/// Where the file stands. False: errno says why.
inline bool write_all(int file, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written == 0) errno = EIO;
    if (written <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace tiercast::store
