// A group on one worker's side: who gets it, and what is told them of it. Made and freed by the feed; between AddGroup
// and GroupLetGo it is the worker's alone.
#pragma once

#include <optional>
#include <vector>

#include "relay/node/group.hpp"
#include "relay/node/outgoing.hpp"
#include "relay/node/resender.hpp"

namespace tiercast::node {

struct WorkerGroup {
  static constexpr std::uint32_t kNone = 0xffffffff;

  explicit WorkerGroup(Group& of) : group(of), outgoing(of.history) {}
  wire::GroupInfo info_now(Time now) const { return info_of(group, info, last_frame, now); }

  struct RelayChild {
    LeaseId lease;
    std::uint32_t membership = kNone;
    crypto::Secret<32> link_key;
    bool by_multicast = false;  // all that goes out so, too
  };

  Group& group;
  Outgoing outgoing;  // to listeners; its tables are numbered as LocalAddress::socket
  std::vector<RelayChild> relays;
  KnownEpochs epochs;
  std::optional<wire::GroupInfo> info;
  std::uint32_t members = 0;
  std::uint32_t by_multicast = 0;  // listeners of these
  std::optional<Time> last_frame;
  LateFrames late;
  forward::ParityShape parity;  // that listeners get, as the newest frame was told of
  Time next_info = kNever;
  Time next_tally = kNever;
  std::uint32_t told_listeners = 0, told_relays = 0;
  bool told_wanted = false;
  bool leaving = false;            // removed, but not everybody has been told yet
  std::uint32_t next_goodbye = 0;  // the membership to look at next
};

}  // namespace tiercast::node
