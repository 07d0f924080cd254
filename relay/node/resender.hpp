// Answering NACKs: what a worker sends again, to whom and when, within the budgets.
#pragma once

#include <array>
#include <bitset>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "relay/base/counter.hpp"
#include "relay/base/credit.hpp"
#include "relay/control/lease_table.hpp"
#include "relay/forward/history.hpp"
#include "relay/forward/resend_budget.hpp"
#include "relay/node/messages.hpp"

namespace tiercast::node {

struct ResendCounters {
  Counter nacks, asked, resent, attestations, proofs, not_here, on_its_way;
  Counter drop_lease_budget, drop_node_budget, drop_queue_full, drop_lease_gone, drop_frame_gone, drop_too_much;
  template <class F>
  void each(F&& f) const {
    f("resend_nack", nacks);
    f("resend_asked", asked);
    f("resend_frame", resent);
    f("resend_attestation", attestations);
    f("resend_proof", proofs);
    f("resend_not_here", not_here);
    f("resend_on_its_way", on_its_way);  // it went to everybody, or to who asks, after the NACK had left
    f("resend_drop_lease_budget", drop_lease_budget);
    f("resend_drop_node_budget", drop_node_budget);
    f("resend_drop_queue_full", drop_queue_full);
    f("resend_drop_lease_gone", drop_lease_gone);
    f("resend_drop_frame_gone", drop_frame_gone);  // overwritten while it waited its turn
    f("resend_drop_too_much", drop_too_much);      // more than one CONTROL may ask for
  }
};

/// The frames that came late (resent from above) and when they went to everybody below. Who asked for one meanwhile
/// must not get it twice: all that are below have asked.
class LateFrames {
 public:
  void sent(Sequence sequence, Time now) {
    if (sequence > newest_) {
      newest_ = sequence;
      return;
    }
    sent_[next_++ % sent_.size()] = {sequence, now};
  }
  bool sent_since(Sequence sequence, Time since) const {
    for (const Sent& s : sent_)
      if (s.sequence == sequence && s.at > since) return true;
    return false;
  }

 private:
  struct Sent {
    Sequence sequence;
    Time at;
  };
  std::array<Sent, 256> sent_{};
  std::size_t next_ = 0;
  Sequence newest_;
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
  /// What all NACKs of one CONTROL may have looked for: its budget is spent long before, but looking costs too.
  struct Allowance {
    std::uint64_t frames = 1024;     // the longest history, and some
    std::uint64_t attestations = 8;  // each is a walk through those kept
    bool takes_up = false;           // it turns a standby's lease into a live one
  };
  struct Asker {
    LeaseId lease;
    bool relay = false;
    Duration round_trip{};
  };
  /// Queues what the budgets allow of a NACK. A relay's first one for frames of a group, after it joined or moved, is
  /// its resume, and so is one for more than a lease's burst, after an outage that the lease outlived: a history's
  /// worth of each group, which refills in real time, comes before both budgets, within kNodeResume. What comes with
  /// the word that a standby is taken up is beyond all, for kResumeFrames of each group, once in a lease's life: a
  /// crowd that has lost its parent must not depend on what this node sends so far, and the frames are fewer than it
  /// will send to that crowd within a second.
  void on_nack(const Asker& asker, GroupIndex group, std::chrono::milliseconds frame, const forward::History& history,
               const LateFrames& late, const wire::Nack& nack, Allowance& allowance, Time now);
  /// The next one whose time has come.
  bool next(Due& due, Time now);
  Time next_deadline() const { return queue_.empty() ? kNever : queue_.front().at; }
  void lease_ended(LeaseId lease) { askers_.erase(lease.value); }
  /// Its index may be another group's from now on.
  void group_ended(GroupIndex group);
  /// Its address is another: what was on its way to the old one may be asked for again, once in a lease's life.
  void lease_moved(LeaseId lease, Time now);
  forward::NodeResendBudget& node_budget() { return node_budget_; }
  ResendCounters& counters() { return counters_; }

 private:
  static constexpr std::size_t kQueue = 16384;
  struct Queued {
    Time at;
    Due due;
    bool operator<(const Queued& other) const {  // a heap: earliest first, and in the stream's order
      return at != other.at ? at > other.at : due.sequence > other.due.sequence;
    }
  };
  bool queue(const Queued& entry);
  struct OfLease {
    OfLease(std::chrono::milliseconds frame, Time now) : budget(frame, now), resumes_since(now) {}
    forward::LeaseResendBudget budget;
    Credit& resumable(GroupIndex group, Time now);
    std::bitset<wire::kMaxGroups> resumed;
    Time resumes_since;
    std::vector<std::pair<GroupIndex, Credit>> resumables;  // of a relay's: made when it resumes
    std::optional<Time> taken_up;
    std::bitset<wire::kMaxGroups> freed;  // that were given kResumeFrames for it
  };
  OfLease& of_lease(LeaseId lease, std::chrono::milliseconds frame, Time now);
  std::vector<Queued> queue_;
  std::unordered_map<std::uint64_t, std::unique_ptr<OfLease>> askers_;  // made by their first NACK
  forward::NodeResendBudget node_budget_;
  ResendCounters counters_;
};

}  // namespace tiercast::node
