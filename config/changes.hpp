// What differs between the configuration that runs and the one that the file has now: what a running node can take
// over, and what it needs a restart for. Knows no node; decides by values alone.
#pragma once

#include "config/config.hpp"

namespace tiercast::config {

struct GroupChange {
  GroupId id;
  bool pinned = false, parity = false, rotate = false, record = false;  // what of it is another
};

struct Changes {
  Config result;  // what runs once the rest of this is done: `wanted` where that can be taken over, else `running`
  std::vector<GroupId> groups_removed;
  std::vector<GroupId> groups_added;
  std::vector<GroupChange> groups_changed;
  bool downstreams = false;  // result.downstreams are others
  bool upstreams = false;    // result.upstreams or result.node.parents are others
  bool log_level = false;
  bool edges = false;                // result.edges are others
  std::vector<std::string> applied;  // each of those as a line for people: `downstream "edge-3" added`
  std::vector<std::string> restart;  // what was not taken over, a line each
};

/// The newest list of each operator that a process has had: an older one is not taken, whatever came in between.
class EdgeSerials {
 public:
  void note(const Config& config);
  /// 0: none was seen.
  std::uint64_t highest(const crypto::PublicKey& operator_key) const;

 private:
  static constexpr std::size_t kMost = 64;  // operators: those named first are forgotten first
  struct Of {
    crypto::PublicKey operator_key{};
    std::uint64_t serial = 0;
  };
  std::vector<Of> seen_;
};

/// A group is known by its id, an upstream by its address and key, a downstream by its key.
Changes changes(const Config& running, const Config& wanted, const EdgeSerials& seen = {});

}  // namespace tiercast::config
