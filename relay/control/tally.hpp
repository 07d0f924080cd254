// How many listen below this node, per group: own leases plus what each child relay last reported. Totals are kept, not
// counted, and go upstream on a change, at most once a second. Numbers only: whom they count is the caller's decision
// (a warm lease without delivery is not to be counted, nor is one subtree to be reported to two parents).
#pragma once

#include <memory>
#include <vector>

#include "relay/base/counter.hpp"
#include "relay/wire/records.hpp"

namespace tiercast::control {

struct TallyCounters {
  Counter reports_received;
  Counter drop_full;
  template <class F>
  void each(F&& f) const {
    f("tally_report_received", reports_received);
    f("tally_drop_full", drop_full);
  }
};

class Tally {
 public:
  /// Room for so many (child, group) reports; memory is taken here.
  explicit Tally(std::size_t max_reports = 4096);

  // --- own leases; a lease in two groups is counted in each ---
  void listener_joined(GroupId group) { own(group, 1, 0); }
  void listener_left(GroupId group) { own(group, -1, 0); }
  void relay_joined(GroupId group) { own(group, 0, 1); }
  void relay_left(GroupId group) { own(group, 0, -1); }

  /// A child relay's report replaces its last one for that group. Only for groups that the child is subscribed to (the
  /// caller checks): else a child could fill the table with groups that nobody carries.
  void reported(LeaseId child, const wire::Tally& report, Time now);
  /// Forgets what was not said again for wire::kTallyLife: the child is dead, and its subtree counted elsewhere.
  void expire(Time now);
  /// All that it reported is gone. (Its own lease: relay_left(), for each of its groups.)
  void child_left(LeaseId child);
  /// It left one group.
  void child_left(LeaseId child, GroupId group);
  /// Nobody is in the group any more, and it will not be spoken of: there is room for another.
  void group_ended(GroupId group);

  /// What a child has last reported of a group; zeros: nothing.
  wire::Tally reported_by(LeaseId child, GroupId group) const;
  /// Below this node, itself not included; zeros for a group never heard of.
  wire::Tally total(GroupId group) const;
  /// f(wire::Tally) for every group heard of.
  template <class F>
  void each_total(F&& f) const {
    for (const Group& g : groups_)
      if (g.id != GroupId{}) f(total_of(g));
  }

  /// A change not reported upstream and the last report a second ago, or the last one a keepalive period ago.
  bool should_report(Time now) const { return now >= next_report(); }
  Time next_report() const;
  void reported_upstream(Time now);

  const TallyCounters& counters() const { return counters_; }

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;
  struct Group {
    GroupId id;
    std::uint64_t listeners = 0, relays = 0;                    // own leases
    std::uint64_t reported_listeners = 0, reported_relays = 0;  // the children's sum
  };
  struct Report {
    LeaseId child;
    std::uint32_t group = kNone;  // index into groups_
    std::uint32_t listeners = 0, relays = 0;
    std::uint32_t next = kNone;
    Time at{};  // when it was last said
  };

  static wire::Tally total_of(const Group& group);
  std::uint32_t index_of(GroupId group) const;
  std::uint32_t index_or_new(GroupId group);
  void own(GroupId group, int listeners, int relays);
  std::size_t bucket_of(LeaseId child, std::uint32_t group) const;
  std::uint32_t& head_of(LeaseId child, std::uint32_t group) { return heads_[bucket_of(child, group)]; }
  std::uint32_t find(LeaseId child, std::uint32_t group) const;
  void forget(LeaseId child, std::uint32_t group);

  std::vector<Group> groups_;  // as they were first heard of, ≤ kMaxGroups; id 0: free
  std::vector<Report> reports_;
  std::vector<std::uint32_t> heads_;
  std::uint32_t free_ = kNone;
  bool changed_ = false, ever_reported_ = false;
  Time last_report_;
  TallyCounters counters_;
};

}  // namespace tiercast::control
