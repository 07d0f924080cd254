// Answering NACKs: what a worker sends again, to whom and when, within the budgets.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "relay/base/counter.hpp"
#include "relay/control/lease_table.hpp"
#include "relay/forward/history.hpp"
#include "relay/forward/resend_budget.hpp"
#include "relay/node/messages.hpp"

namespace tiercast::node {

struct ResendCounters {
  Counter nacks, asked, resent, attestations, not_here;
  Counter drop_lease_budget, drop_node_budget, drop_queue_full, drop_lease_gone;
  template <class F>
  void each(F&& f) const {
    f("resend_nack", nacks);
    f("resend_asked", asked);
    f("resend_frame", resent);
    f("resend_attestation", attestations);
    f("resend_not_here", not_here);
    f("resend_drop_lease_budget", drop_lease_budget);
    f("resend_drop_node_budget", drop_node_budget);
    f("resend_drop_queue_full", drop_queue_full);
    f("resend_drop_lease_gone", drop_lease_gone);
  }
};

class Resender {
 public:
  explicit Resender(Time now) : node_budget_(now) { queue_.reserve(kQueue); }

  struct Due {
    LeaseId lease;
    GroupIndex group;
    wire::NackKind kind = wire::NackKind::frame;
    Sequence sequence;
  };
  /// Queues what the budgets allow of a NACK. A relay's first NACK after it joined or moved is its resume: exempt from
  /// the lease's budget.
  void on_nack(LeaseId lease, bool resume, GroupIndex group, std::chrono::milliseconds frame,
               const forward::History& history, const wire::Nack& nack, Time now);
  /// The next one whose time has come.
  bool next(Due& due, Time now);
  Time next_deadline() const { return queue_.empty() ? kNever : queue_.front().at; }
  void lease_ended(LeaseId lease) { budgets_.erase(lease.value); }
  forward::NodeResendBudget& node_budget() { return node_budget_; }
  ResendCounters& counters() { return counters_; }

 private:
  static constexpr std::size_t kQueue = 8192;
  struct Queued {
    Time at;
    Due due;
    bool operator<(const Queued& other) const { return at > other.at; }  // a heap: earliest first
  };
  bool queue(const Queued& entry);
  std::vector<Queued> queue_;
  std::unordered_map<std::uint64_t, std::unique_ptr<forward::LeaseResendBudget>> budgets_;
  forward::NodeResendBudget node_budget_;
  ResendCounters counters_;
};

}  // namespace tiercast::node
