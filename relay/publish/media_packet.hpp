// An Opus packet of the group's frame length on its way from a file or a pipe to the ingest.
#pragma once

#include "relay/base/types.hpp"

namespace tiercast::publish {

struct MediaPacket {
  Bytes opus;
  std::uint64_t silence = 0;  // frame lengths before it in which nothing is sent
};

}  // namespace tiercast::publish
