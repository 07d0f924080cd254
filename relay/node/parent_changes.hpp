// What a reload means for the parents that a node has: who stays, who goes, who comes. Knows no socket and no lease;
// decides by values alone.
#pragma once

#include <optional>
#include <vector>

#include "config/config.hpp"

namespace tiercast::node {

/// A parent that there is.
struct PresentParent {
  config::Upstream at;
  bool learnt = false;    // another parent has named it: none of [[upstream]] did
  bool retiring = false;  // given up already
};

struct ParentChanges {
  std::vector<std::optional<std::size_t>> stays_as;  // of each parent, which of `wanted` it is
  std::vector<std::size_t> gone;                     // parents
  std::vector<std::size_t> added;                    // of `wanted`
};
/// `wanted` is [[upstream]]. Who was learnt stays, unless it is named there with another address: one key, one parent.
ParentChanges parent_changes(const std::vector<PresentParent>& present, const std::vector<config::Upstream>& wanted);

struct MovedEdge {
  std::size_t parent;
  std::uint16_t edge;  // its number
};
/// Parents that were learnt, and that the operator's list has with another address now.
std::vector<MovedEdge> moved_edges(const std::vector<PresentParent>& present, const config::EdgeList& list);

}  // namespace tiercast::node
