// A fan-out worker as plain code: its leases, its groups' destinations, and what it answers. The shell around it
// (worker_thread) owns the socket, the clock and the rings.
#pragma once

#include <array>
#include <vector>

#include "crypto/signature.hpp"
#include "relay/base/spsc_ring.hpp"
#include "relay/control/tally.hpp"
#include "relay/forward/send_cost.hpp"
#include "relay/node/outlet.hpp"
#include "relay/node/passage.hpp"
#include "relay/node/worker_group.hpp"

namespace tiercast::node {

/// Listeners by the loss that they last reported: up to such a share of the frames. The last one takes all.
inline constexpr std::array<double, 8> kLossShares{0, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1};
/// The same as keepalives say it, of 65535.
inline constexpr auto kLossBounds = [] {
  std::array<std::uint16_t, kLossShares.size()> bounds{};
  for (std::size_t i = 0; i < bounds.size(); ++i) bounds[i] = static_cast<std::uint16_t>(kLossShares[i] * 65535);
  return bounds;
}();

struct WorkerCounters {
  Counter frames, datagrams, send_failed, relay_datagrams, attestations, idles, frames_gone, too_late, stale;
  Counter memberships, leases, multicast_leases, bytes_reserved;  // now
  /// Listeners' leases now: those that have reported no loss yet, then by kLossBounds.
  std::array<Counter, kLossBounds.size() + 1> listeners_by_loss;
  Counter subscribes, subscribe_denied, drop_subscribe, drop_not_member;
  Counter removed_members, ended_leases, delivery_changes, go_aways;
  template <class F>
  void each(F&& f) const {
    f("fanout_frame", frames);
    f("fanout_datagram", datagrams);
    f("fanout_drop_send", send_failed);
    f("fanout_relay_datagram", relay_datagrams);
    f("fanout_attestation", attestations);
    f("fanout_idle", idles);
    f("fanout_drop_overwritten", frames_gone);
    f("fanout_drop_late",
      too_late);                    // frames, attestations, IDLEs that a worker was too busy to send listeners in time
    f("fanout_drop_stale", stale);  // frames that listeners were not sent: FrameReady::stale
    f("worker_subscribe", subscribes);
    f("worker_subscribe_denied", subscribe_denied);
    f("worker_drop_subscribe", drop_subscribe);     // more in one CONTROL than one CONTROL can answer
    f("worker_drop_not_member", drop_not_member);   // about a group that the lease does not receive
    f("worker_removed_member", removed_members);    // of groups that this node carries no more
    f("worker_ended_lease", ended_leases);          // by this node, not by its holder or time
    f("worker_delivery_change", delivery_changes);  // between unicast, multicast and none
    f("worker_go_away", go_aways);                  // leases told to go elsewhere, each as often as it was told
  }
};

class Worker {
 public:
  struct Setup {
    Lane lane;
    std::uint16_t boot_tag = 0;
    std::uint32_t max_leases = 0;
    control::LeaseSecrets* secrets = nullptr;
    const crypto::MacKey* token_key = nullptr;
    Outlet* outlet = nullptr;
    forward::FanOutMaker* fan_outs = nullptr;
    double spread = 0;                     // of a frame's length: how long sending it takes at least
    bool sends_multicast = false;          // the node does
    MulticastOutlet* multicast = nullptr;  // then, at the one worker that does it for all
    SpscRing<Report>* reports = nullptr;
  };
  /// The pointers outlive the worker.
  Worker(Setup setup, Time now);
  ~Worker();

  void on_command(const Command& command, Time now);
  void on_datagram(Bytes datagram, const Endpoint& from, const LocalAddress& local, Time now);
  void on_timer(Time now);
  /// When send_some() has something to do; kNever: not before something is told.
  Time due() const { return due_; }
  /// Sends listeners a piece of what is due, of about a millisecond. False: nothing is due.
  bool send_some(Time now);
  /// What the last on_command() or send_some() sent is sent: that took so much of a processor's time, whatever else the
  /// processor had to do meanwhile.
  void sent_until(Time now, Duration processor);
  Time next_deadline() const;
  /// Gives up all tables, on the thread that used them.
  void close();
  /// Something was reported to the feed since the last call: ring its bell.
  bool take_reported() { return std::exchange(reported_, false); }

  const WorkerCounters& counters() const { return counters_; }
  const Passage& passage() const { return passage_; }
  const control::LeaseCounters& lease_counters() const;
  const ResendCounters& resend_counters() const;
  const control::TallyCounters& tally_counters() const { return tally_.counters(); }

 private:
  static constexpr Duration kLoadEvery = std::chrono::milliseconds{100};
  static constexpr std::uint32_t kNone = WorkerGroup::kNone;
  using RelayChild = WorkerGroup::RelayChild;
  static constexpr std::size_t kChildrenTold = 64;  // a second; the others' turns come after
  struct Membership {
    std::uint32_t slot = kNone;
    GroupIndex group;
    bool relay : 1 = false;
    bool counted : 1 = false;       // in the tally
    bool by_multicast : 1 = false;  // a listener's, in WorkerGroup::by_multicast
    std::uint8_t socket = 0;        // whose listeners have it
    std::uint32_t index = kNone;    // in those listeners or in relays; kNone: nothing is sent it by unicast
    std::uint32_t next = kNone;     // of the same lease
  };

  // worker_membership.cpp
  WorkerGroup* group_by_id(GroupId id);
  Membership* find_membership(const control::Lease& lease, GroupIndex group);
  void subscribe(control::Lease& lease, GroupIndex group, Time now);
  void unsubscribe(control::Lease& lease, GroupIndex group, Time now);
  void place(control::Lease& lease, std::uint32_t membership);
  void displace(std::uint32_t membership);
  void count_multicast(const control::Lease& lease, int by);
  wire::Delivery offered(wire::Delivery asked) const;
  /// True: it was a standby's lease, and is a live one now.
  bool set_delivery(control::Lease& lease, wire::Delivery delivery);
  void readdress(control::Lease& lease, Time now);
  std::size_t memberships_of(const control::Lease& lease) const;
  void end_memberships(const control::Lease& lease, Time now);
  void drop_membership(std::uint32_t membership, Time now);
  static bool counts_listener(const control::Lease& lease) {  // a standby does not, unasked
    return lease.role == wire::Role::listener && lease.delivery != wire::Delivery::none;
  }
  void count(Membership& member, bool counts);
  void count_confirmed(const control::Lease& lease, Time now);
  void on_tally(control::Lease& lease, const wire::Tally& tally, Time now);
  void end_lease(control::LeaseSlot slot, Time now);
  void return_slot(const control::Lease& ended);
  void members_changed(WorkerGroup& group, Time now);
  void report_tallies(Time now);
  void lease_installed(const control::Lease& lease, Time now);
  void forget_lease(const control::Lease& lease);
  void note_loss(control::Lease& lease);
  void report_children(Time now);
  void add_group(const AddGroup& added);
  void remove_group(GroupIndex group, Time now);
  void say_goodbyes(Time now);
  void remove_member(const Membership& member, Time now);
  void end_lease_of(LeaseId id, Time now);
  // worker_drain.cpp
  void begin_drain(const Drain& drain, Time now);
  void tell_to_go(Time now);
  std::uint32_t next_to_tell();
  void begin_telling(Time now);
  void on_stays(control::Lease& lease);
  bool report(Report&& report);

  // worker.cpp
  void send_frame(WorkerGroup& group, const FrameReady& ready, Time now);
  /// `signed_form`: for relays, without the link's MAC. Listeners get it from where `item` says it stands.
  void send_below(WorkerGroup& group, Bytes signed_form, const Outgoing::Item& item, Time now);
  void send_to_relays(WorkerGroup& group, Bytes signed_form, bool multicast, Time now);
  void send_to_listeners(WorkerGroup& group, const Outgoing::Item& item);
  void end_expired(Time now);
  double share() const;
  std::uint32_t standing_by(const WorkerGroup& group) const;
  void report_load(Time now);
  void say_goodbye();
  void send_to_relay(const RelayChild& child, Bytes signed_form);
  void resend_due(Time now);
  void send_info(WorkerGroup& group, Time now);
  void send_records(control::LeaseSlot slot, Bytes records);
  void on_records(const control::ControlResult& result, Time now);
  void on_subscribe(control::Lease& lease, const wire::Subscribe& request, Writer& answers, Time now);
  void on_nack(control::Lease& lease, const wire::Nack& nack, Resender::Allowance& allowance, Time now);
  void note_reserved();
  void acknowledge(control::Lease& lease, const wire::Keepalive& keepalive, const wire::EpochsHeld& held, Time now);
  void write_missing_epochs(Writer& out, const control::Lease& lease, const wire::EpochsHeld& held);
  control::LeaseSlot slot_of_member(const Membership& member) const { return control::LeaseSlot{member.slot}; }

  Setup setup_;
  control::LeaseTable leases_;
  Resender resender_;
  control::Tally tally_;
  std::array<WorkerGroup*, wire::kMaxGroups> groups_{};  // by index; null: none
  std::vector<WorkerGroup*> carried_;                    // of these, but for those that leave
  std::vector<WorkerGroup*> leaving_;
  Time next_goodbye_ = kNever;
  std::vector<Membership> memberships_;
  std::vector<std::uint32_t> free_memberships_;
  std::vector<SlotFreed> to_return_;
  std::vector<control::LeaseSlot> relay_leases_;
  std::size_t next_child_ = 0;  // in relay_leases_: who is told of first
  Time next_children_ = kNever;
  Standing standing_;
  bool reported_ = false;
  Time next_tally_expiry_{};
  std::size_t next_sent_ = 0;  // of carried_: whose turn it is
  Time due_ = kNever;          // of what carried_ groups have to send, the first
  struct Measured {
    std::uint32_t listeners = 0, relays = 0;  // that were sent a datagram each since sent_until()
    bool many = false;                        // the group has many listeners
  } measured_;
  std::uint32_t frames_begun_ = 0, frames_overrun_ = 0;  // that had waited for longer than two intervals; since judged
  bool stopping_ = false, stopped_ = false;
  struct Telling {
    Duration over{};  // many are told in half of this
    const std::vector<std::uint16_t>* elsewhere = nullptr;
    Time began, next;       // this time round; its next part
    std::size_t relay = 0;  // of relay_leases_: the next one, before all listeners
    std::uint32_t slot = 0;
  };
  std::optional<Telling> telling_;  // leases to go elsewhere
  bool overrun_ = false;            // most of them
  forward::SendCost listener_cost_, many_cost_, relay_cost_;
  Time last_load_, next_load_ = kNever;
  std::uint32_t installed_ = 0;
  std::uint32_t relays_placed_ = 0;
  WorkerCounters counters_;
  Passage passage_;
};

}  // namespace tiercast::node
