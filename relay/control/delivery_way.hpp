// How frames should come from one parent that also sends them by IP multicast: by that while it works, else by unicast.
// Delivery is the lease's, for all its groups: it is unicast as soon as one of them fails by multicast, and multicast
// once none does. Tells when to say so in a keepalive, and when to join the multicast group anew. Knows no socket and
// no key: what it is given as proven, its owner has proven.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "relay/base/counter.hpp"
#include "relay/base/random.hpp"
#include "relay/wire/packets.hpp"
#include "relay/wire/records.hpp"

namespace tiercast::control {

struct DeliveryWayCounters {
  Counter to_multicast;                                           // changed over
  Counter back_silent, back_lossy, back_behind;                   // and back, by why
  Counter questions, rejoins, drop_unknown, drop_late, drop_old;  // drops: no sign that frames come
  template <class F>
  void each(F&& f) const {
    f("delivery_to_multicast", to_multicast);
    f("delivery_back_silent", back_silent);
    f("delivery_back_lossy", back_lossy);
    f("delivery_back_behind", back_behind);
    f("delivery_question", questions);
    f("delivery_rejoin", rejoins);
    f("delivery_drop_unknown", drop_unknown);
    f("delivery_drop_late", drop_late);
    f("delivery_drop_old", drop_old);
  }
};

/// One for each parent with a multicast group, for as long as the parent is one: leases come and go meanwhile. Starts
/// with unicast, as every lease does. Time moves on by `now` alone, and not backwards.
class DeliveryWay {
 public:
  explicit DeliveryWay(Random& random);

  /// Frames of this group, so long each, are wanted from the parent: subscribed. Again: nothing, or another length.
  void expect(GroupId group, Duration frame, Time now);
  /// No longer. Who expects nothing at all is back at unicast.
  void forget(GroupId group);

  // What comes by multicast. Of groups that are not expected it is ignored.

  /// A FRAME whose source's signature is good, also when it is a copy of one that came otherwise. `newest`: the newest
  /// of its group that is known from anywhere, itself included.
  /// True: it is newer than all before it that way, and in time: a sign that the stream goes on.
  bool on_frame(const wire::Header& header, Sequence newest, Time now);
  /// What on_frame() would take it for; before the dear check of its signature.
  bool advances(GroupId group, Sequence sequence) const;
  /// Anybody on the network can have sent it: it counts for a while only (kIdleDelaysFailover).
  void on_idle(GroupId group, Time now);

  // What the parent says in CONTROL.

  /// Without input (kInfoAnchored) it need not send frames. With: those that it has must come.
  void on_group_info(const wire::GroupInfo& info, Time now);
  /// With each acknowledgement (UplinkLease::seeking()).
  void on_seeking(bool seeking, Time now);

  void on_timer(Time now);
  Time next_deadline() const;

  /// Unicast or multicast: what a keepalive is to say.
  wire::Delivery wanted() const { return wanted_; }
  /// True once: a keepalive is due now, because wanted() has changed, or to hear whether the parent has input.
  bool take_hasten() { return std::exchange(hasten_, false); }
  /// True once: leave and join the multicast group.
  bool take_rejoin() { return std::exchange(rejoin_, false); }
  const DeliveryWayCounters& counters() const { return counters_; }

 private:
  struct Group {
    GroupId id;
    Duration frame{};
    Sequence newest;         // by multicast
    std::uint64_t came = 0;  // bit i: newest - i did
    unsigned span = 0;       // sequences that `came` tells of; 0: none has come yet
    Time last_frame{};       // that advanced
    Time anything_until{};   // silent unless a frame or IDLE comes before
    Time frames_until{};     // silent unless a frame comes before, or the parent says that it has none
    bool heard = false;      // anything at all
    bool asked = false;      // whether it has any, since frames_until was last put off
    bool has_input = true;   // the parent's word
    bool ended = false;      // nothing is to come
    bool vouched = false;    // the parent said that it has nothing newer, since the last frame was overdue
    std::optional<Time> lossy_since;
  };

  Group* find(GroupId group);
  const Group* find(GroupId group) const { return const_cast<DeliveryWay*>(this)->find(group); }
  bool excused(const Group& group) const { return seeking_ || !group.has_input; }
  bool in_a_row(const Group& group) const;
  void put_off(Group& group, Time now);
  void heard(Group& group, Time now);
  Time silent_from(const Group& group) const;
  Time ask_at(const Group& group) const;
  void judge(Group& group, Time now);
  void change_over_if_it_works(Time now);
  void fall_back(Counter& why, Time now);

  Random* random_;
  std::vector<Group> groups_;  // by id
  wire::Delivery wanted_ = wire::Delivery::unicast;
  bool seeking_ = false;  // the parent's word
  bool hasten_ = false;
  bool rejoin_ = false;
  Duration patience_;  // without frames, whatever else comes; not the same for all children
  Time changed_over_{};
  Duration hold_{};    // unicast is kept for so long after the last failure; 0: there was none
  Time not_before_{};  // no change to multicast until then
  Duration rejoin_wait_;
  Time rejoin_at_ = kNever;
  DeliveryWayCounters counters_;
};

}  // namespace tiercast::control
