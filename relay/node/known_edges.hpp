// The operator's list as an agent knows it: the keys of its edges by their numbers. Told of some of them, it says which
// are new parents to go to. Where they are found is their sockets' affair.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "relay/control/parent.hpp"

namespace tiercast::node {

/// By number; nullopt: that edge is no more. Empty: there is no list.
using EdgeKeys = std::vector<std::optional<crypto::PublicKey>>;

struct ElsewhereCounters {
  Counter learnt, known, drop_no_list, drop_index, drop_full;
  template <class F>
  void each(F&& f) const {
    f("elsewhere_learnt", learnt);              // edges that are parents from then on
    f("elsewhere_known", known);                // that are parents already, or this node
    f("elsewhere_drop_no_list", drop_no_list);  // told of edges without a list to know them by
    f("elsewhere_drop_index", drop_index);      // numbers that are not in the list
    f("elsewhere_drop_full", drop_full);        // beyond kMostParents
  }
};

class KnownEdges {
 public:
  static constexpr std::size_t kMostParents = 16;  // with those that were learnt

  /// `own`: the agent's own key, which is no parent; a listener has none.
  explicit KnownEdges(EdgeKeys keys, std::optional<crypto::PublicKey> own = {}) : keys_(std::move(keys)), own_(own) {}
  void set(EdgeKeys keys) { keys_ = std::move(keys); }
  bool has(const crypto::PublicKey& key) const { return std::find(keys_.begin(), keys_.end(), key) != keys_.end(); }

  /// Calls add(number, key), which appends to `parents`, for each that is told of and new.
  template <class Add>
  void learn(const control::EdgeIndices& told, const std::vector<control::Parent>& parents, Add add) {
    for (std::size_t i = 0; i < told.size(); ++i) {
      const std::uint16_t edge = told[i];
      if (keys_.empty()) {
        counters_.drop_no_list.add();
      } else if (edge >= keys_.size() || !keys_[edge]) {
        counters_.drop_index.add();
      } else if (keys_[edge] == own_ || is_one_of(parents, *keys_[edge])) {
        counters_.known.add();
      } else if (parents.size() >= kMostParents) {
        counters_.drop_full.add();
      } else {
        counters_.learnt.add();
        add(edge, *keys_[edge]);
      }
    }
  }
  const ElsewhereCounters& counters() const { return counters_; }

 private:
  static bool is_one_of(const std::vector<control::Parent>& parents, const crypto::PublicKey& key) {
    return std::any_of(parents.begin(), parents.end(), [&](const auto& parent) { return parent.config().key == key; });
  }
  EdgeKeys keys_;
  std::optional<crypto::PublicKey> own_;
  ElsewhereCounters counters_;
};

}  // namespace tiercast::node
