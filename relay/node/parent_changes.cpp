#include "relay/node/parent_changes.hpp"

#include <algorithm>

namespace tiercast::node {
namespace {

bool same(const config::Upstream& a, const config::Upstream& b) {
  return a.address == b.address && a.public_key == b.public_key && a.multicast == b.multicast;
}

}  // namespace

ParentChanges parent_changes(const std::vector<PresentParent>& present, const std::vector<config::Upstream>& wanted) {
  ParentChanges out;
  out.stays_as.resize(present.size());
  std::vector<bool> found(wanted.size(), false);
  for (std::size_t p = 0; p < present.size(); ++p) {
    for (std::size_t i = 0; i < wanted.size() && !out.stays_as[p]; ++i) {
      if (found[i] || !same(present[p].at, wanted[i])) continue;
      found[i] = true;
      out.stays_as[p] = i;
    }
    if (out.stays_as[p] || present[p].retiring) continue;
    const bool named = std::any_of(wanted.begin(), wanted.end(), [&](const config::Upstream& upstream) {
      return upstream.public_key == present[p].at.public_key;
    });
    if (!present[p].learnt || named) out.gone.push_back(p);
  }
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (!found[i]) out.added.push_back(i);
  return out;
}

std::vector<MovedEdge> moved_edges(const std::vector<PresentParent>& present, const config::EdgeList& list) {
  std::vector<MovedEdge> out;
  for (std::size_t p = 0; p < present.size(); ++p) {
    if (!present[p].learnt || present[p].retiring) continue;
    for (std::size_t e = 0; e < list.edges.size(); ++e) {
      const auto& edge = list.edges[e];
      if (edge && edge->public_key == present[p].at.public_key && edge->address != present[p].at.address)
        out.push_back({p, static_cast<std::uint16_t>(e)});
    }
  }
  return out;
}

}  // namespace tiercast::node
