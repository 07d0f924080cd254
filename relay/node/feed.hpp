// The feed as plain code: joins, parents, every group's intake, the origin's frames; what it decides leaves as commands
// to the workers. A frame moves forward only: parent or origin -> history -> workers. The shell around it (feed_thread)
// owns sockets, clocks and files.
#pragma once

#include <array>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "relay/control/join_responder.hpp"
#include "relay/control/parents.hpp"
#include "relay/node/ask.hpp"
#include "relay/node/feed_group.hpp"
#include "relay/node/known_edges.hpp"
#include "relay/node/multicast_uplink.hpp"
#include "relay/node/outlet.hpp"
#include "relay/node/parent_setup.hpp"
#include "relay/node/worker_link.hpp"

namespace tiercast::node {

/// A relay with a lease at one of this node's workers, as it was last told of.
struct Child {
  LeaseId lease;
  crypto::PublicKey key{};  // by which a [[downstream]] names it
  Endpoint peer;
  Time joined;
  std::optional<ChildSeen> seen;  // not yet: nullopt
  bool told_end = false;          // no [[downstream]] names it any more
};

/// What came from a parent.
struct UplinkFigures {
  std::uint64_t datagrams = 0;
  std::uint16_t loss = 0;  // of 65535: the share of frames that it did not bring before the last keepalive
};

struct FeedCounters {
  Counter drop_worker_ring_full, drop_parent_malformed, drop_parent_unleased, drop_not_wanted, drop_frame_length,
      drop_statement, drop_opaque_pinned, drop_epoch, drop_unplaced, subscription_denied, proofs;
  template <class F>
  void each(F&& f) const {
    f("feed_drop_worker_ring_full", drop_worker_ring_full);
    f("feed_drop_parent_malformed", drop_parent_malformed);
    f("feed_drop_parent_unleased", drop_parent_unleased);
    f("feed_drop_not_wanted", drop_not_wanted);
    f("feed_drop_frame_length", drop_frame_length);
    f("feed_drop_statement", drop_statement);
    f("feed_drop_opaque_pinned", drop_opaque_pinned);
    f("feed_drop_epoch", drop_epoch);        // an announcement of no source of the group, or not signed by it
    f("feed_drop_unplaced", drop_unplaced);  // by multicast, before any parent told where the stream is
    f("feed_subscription_denied", subscription_denied);
    f("feed_proof", proofs);  // to listeners, of frames that a source died with
  }
};

class Feed final : private control::Doorkeeper, private FrameSink {
 public:
  struct Setup {
    const crypto::PrivateKey* key = nullptr;
    const crypto::MacKey* token_key = nullptr;
    Random* random = nullptr;
    std::vector<std::unique_ptr<FeedGroup>> groups;  // ≤ wire::kMaxGroups
    std::vector<ParentSetup> parents;                // as UplinkOutlet has them, those to be preferred first
    std::size_t live_parents = 2;                    // so many at once, the others stand by
    std::vector<crypto::PublicKey> relay_keys;       // [[downstream]]
    EdgeKeys edges;                                  // where a parent may send this node
    std::vector<std::uint16_t> elsewhere;            // of them, those that whoever is sent away from here is told of
    std::vector<WorkerLink> workers;
    Outlet* outlet = nullptr;
    UplinkOutlet* uplinks = nullptr;
    UplinkOutlet* align_links = nullptr;  // one a group that has one, in their order; null: none has
  };
  /// The pointers outlive the feed.
  Feed(Setup setup, Moment now);
  ~Feed() override;

  void on_join(Bytes datagram, const Endpoint& from, const LocalAddress& local, Moment now);
  /// `received`: when the datagram came, where that is known to have been before `now`.
  void on_uplink(std::size_t parent, Bytes datagram, Moment now, std::optional<Time> received = {});
  /// By the parent's IP multicast.
  void on_multicast(std::size_t parent, Bytes datagram, Moment now, std::optional<Time> received = {});
  void on_uplink_unreachable(std::size_t parent, Moment now);
  void on_rtp(GroupIndex group, Bytes datagram, Moment now);
  /// From the other origin of a group whose source is here.
  void on_align(std::size_t link, Bytes datagram, Moment now);
  void on_align_unreachable(std::size_t link, Moment now);
  void on_reports(Moment now);
  void on_timer(Moment now);
  Time next_deadline() const;

  /// `tiercast end`: the group's broadcast ends with an attested last frame. False: no source here.
  bool end_group(GroupIndex group, Moment now);
  /// `tiercast rotate`. An error text, empty when done or under way.
  std::string rotate(GroupIndex group, Moment now);

  // --- what comes and goes while it runs (feed_changes.cpp) ---
  /// Also an origin's, its state on the disk. False: as many as a node can carry, with those that still
  /// leave, or one of this id leaves.
  bool add_group(std::unique_ptr<FeedGroup> group, Moment now);
  /// Its members are told, its recording is closed. Its memory goes when every worker has let go of it.
  void remove_group(GroupId id, Moment now);
  /// Of an origin's epochs; nothing where there is no source.
  void set_rotation(GroupIndex group, Duration every, Moment now);
  void set_pinned(GroupIndex group, bool pinned, Moment now);
  void set_parity(GroupIndex group, forward::ParityShape shape) { group_at(group)->set_parity(shape); }
  /// Null: none from now on. The one before is finished.
  void set_recorder(GroupIndex group, std::unique_ptr<Recorder> recorder, Moment now);
  /// The outlet has it as its last one already. Parents of a lower preference are live before it.
  void add_parent(const ParentSetup& parent, std::size_t preference, Moment now);
  /// It is left as soon as another one brings frames, at the latest after kRetireAfter; then UplinkOutlet::close_up().
  void retire_parent(std::size_t parent, Moment now);
  void keep_parent(std::size_t parent, std::size_t preference);
  /// So many at once.
  void set_live_parents(std::size_t live, Moment now);
  bool retiring(std::size_t parent) const { return uplinks_[parent].retiring.has_value(); }
  /// All [[downstream]]: a relay that is none of them any more loses its lease.
  void set_relay_keys(std::vector<crypto::PublicKey> keys, Moment now);
  /// It was removed, and workers still hold it: no other one of this id can be added.
  bool leaving(GroupId id) const;
  /// Groups and recordings that are not wholly gone.
  std::size_t leaving() const { return leaving_.size() + closing_.size(); }

  /// As in Setup; not while this node drains. Parents that were learnt and are not in it any more are given up.
  void set_edges(EdgeKeys edges, std::vector<std::uint16_t> elsewhere, Moment now);
  /// A parent that was learnt is found elsewhere now, as the edge of that number: joined there, and retired where it
  /// was.
  void find_again(std::size_t parent, std::uint16_t edge, Moment now);
  /// A parent has named it: none of [[upstream]].
  bool learnt(std::size_t parent) const { return uplinks_[parent].learnt; }
  const ElsewhereCounters& elsewhere_counters() const { return edges_.counters(); }
  /// Nobody is let in any more, and all below are told to go elsewhere, in about half of `over` if they are many. They
  /// are served until stop().
  void drain(Duration over, Moment now);
  /// Of all workers, those that a joiner was promised included.
  std::size_t leases() const;
  /// Of these: told to go elsewhere, their holders said that they cannot.
  std::size_t staying() const;
  /// Goodbye to parents and children; then stopped() becomes true.
  void stop(Moment now);
  bool stopped() const;

  // --- for status ---
  NodeId id() const { return id_; }
  std::span<const std::unique_ptr<FeedGroup>> groups() const { return groups_; }
  /// Null: none, or one that leaves.
  FeedGroup* group_at(GroupIndex index) const { return index == kNoGroup ? nullptr : by_index_[index.value]; }
  std::span<const control::Parent> parents() const { return parents_; }
  const control::Parents& choice() const { return choice_; }
  std::span<const WorkerLink> workers() const { return setup_.workers; }
  const control::JoinResponder& responder() const { return responder_; }
  const FeedCounters& counters() const { return counters_; }
  const Standing& standing() const { return standing_; }
  std::span<const std::uint16_t> elsewhere() const { return setup_.elsewhere; }
  std::span<const Child> children() const { return children_; }
  const UplinkFigures& uplink_figures(std::size_t parent) const { return uplinks_[parent].figures; }
  /// Null: there is none.
  const MulticastUplink* multicast(std::size_t parent) const {
    return uplinks_[parent].multicast ? &*uplinks_[parent].multicast : nullptr;
  }
  /// Of the whole subtree.
  wire::Tally tally(GroupIndex group) const;

 private:
  static constexpr Duration kLinger = 30s;      // a group that nobody wants any more is kept so long
  static constexpr Duration kRetireAfter = 5s;  // a parent that is given up waits so long for another one
  // Doorkeeper
  std::optional<LeaseId> admit(const control::Joiner& joiner, Writer& records, Time now) override;
  void seat(LeaseId lease, const control::Joiner& joiner, const crypto::TransportKeys& keys, Time now) override;
  void withdraw(LeaseId lease) override;
  bool aligns(const control::Joiner& joiner) const;
  std::optional<wire::DenyReason> refuse(const control::Joiner& joiner, const Standing& standing) const;
  bool has_room(const WorkerLink& worker, const control::Joiner& joiner) const;
  // FrameSink
  void on_frame_stored(FeedGroup& group, Sequence sequence) override;
  void on_attestation_stored(FeedGroup& group, std::uint64_t number) override;
  void on_opaque_stored(FeedGroup& group, std::uint64_t number) override;

  // feed_uplinks.cpp
  FeedGroup* group_by_id(GroupId id) const;
  /// `multicast`: by which it came; null: by unicast.
  void on_stream(std::size_t parent, Bytes datagram, MulticastUplink* multicast, Time now);
  void on_fresh_frame(FeedGroup& group, const wire::Header& header, Sequence newest_before,
                      std::optional<std::size_t> parent, const forward::Way& way, Time now);
  Time prove_at(const FeedGroup& group, std::size_t source) const;
  void prove_unattested(FeedGroup& group, Time now);
  void take_released(FeedGroup& group, std::optional<std::size_t> parent, Time now);
  void not_wanted(GroupId group, FeedGroup* known, std::size_t parent, Time now);
  void on_parent_joined(std::size_t parent, Time now);
  void on_info(std::size_t parent, const wire::GroupInfo& info, Time now);
  void on_parent_records(std::size_t parent, Bytes records, Time now);
  void on_subscribed(std::size_t parent, const wire::Subscribed& answer, Time now);
  void begin_subscription(FeedGroup& group, Time now);
  void subscribe_up(FeedGroup& group, std::size_t parent, Time now);
  void subscribe_again(Time now);
  void unsubscribe_up(FeedGroup& group, Time now);
  void unsubscribe_at(GroupId group, std::size_t parent);
  void list_epochs(std::size_t parent, wire::EpochsHeld& held);
  Duration frame_interval() const;
  bool choose_parents(Time now);
  Bytes resume(MutableBytes buffer) const;
  void send_up(std::size_t parent, Bytes records);
  void pump(std::size_t parent, Time now);
  void ask_for_missing(Time now);
  void update_expectations(Time now);
  void learn_epoch(FeedGroup& group, const wire::EpochRecord& epoch);
  void learn_epoch_from(std::size_t parent, const wire::EpochRecord& epoch);
  void use_epoch(FeedGroup& group, SourceId source, Epoch epoch);
  void publish_info(FeedGroup& group, Moment now);

  // feed_standing.cpp
  bool brings(std::size_t parent, Time now) const;
  bool cuts_off(const InlineVector<NodeId, wire::kMaxPath>& path, std::optional<NodeId> joiner) const;
  std::optional<std::size_t> primary(Time now, std::optional<NodeId> joiner = {}) const;
  Standing stand(Time now, std::optional<NodeId> joiner = {}) const;
  void update_standing(Time now);
  void report_tallies_up(Time now);

  bool command(std::size_t worker, Command&& command);
  void command_all(const Command& command);
  void tell_to_go();
  std::uint16_t back_after(wire::Role role, Time now) const;
  void tell_to_stop();
  void wake_workers();
  void update_wanted(FeedGroup& group, Time now);
  void child_joined(LeaseId lease, const control::Joiner& joiner, Time now);
  void child_left(std::uint16_t boot_tag, control::LeaseSlot slot);
  void child_seen(const ChildSeen& seen);
  void run_origins(Moment now);
  void run_origin(FeedGroup& group, Moment now);
  FeedGroup* align_group(std::size_t link) const;
  void pump_align(FeedGroup& group, Moment now);
  void make_parity(FeedGroup& group, Sequence sequence);

  // feed_changes.cpp
  bool adopt(std::unique_ptr<FeedGroup> group);
  bool tell_worker(FeedGroup& group, std::size_t worker);
  void tell_to_let_go(FeedGroup& group, std::size_t worker);
  void on_let_go(std::size_t worker, GroupIndex group);
  void end_leases_of_removed();
  void tell_changes_again();
  void free_what_is_gone();
  void retire_parents(Time now);
  bool stays(std::size_t parent) const;
  bool replaces(std::size_t other, std::size_t parent, Time now) const;
  void drop_parent(std::size_t parent);
  void leave_parent(std::size_t parent, Time now);
  void on_go_away(std::size_t parent, const wire::GoAway& away, Time now);
  void learn(const control::EdgeIndices& told);
  void learn(std::uint16_t edge, const crypto::PublicKey& key);
  void update_parents();
  void close_recorder(FeedGroup& group);

  struct Uplink {
    forward::Distrust distrust;
    std::size_t next_listed = 0;  // the group whose epochs its next keepalive lists first
    std::optional<Time> retiring;
    bool learnt = false;
    UplinkFigures figures;
    std::optional<MulticastUplink> multicast;
  };

  Setup setup_;
  std::vector<std::unique_ptr<FeedGroup>> groups_;
  std::array<FeedGroup*, wire::kMaxGroups> by_index_{};
  std::vector<std::unique_ptr<FeedGroup>> leaving_;  // workers still hold them
  std::vector<std::unique_ptr<Recorder>> closing_;   // what they wrote is on its way to the disk
  std::vector<Child> children_;
  std::multiset<NodeId> below_;   // of these
  Moment moment_;                 // of the event under way
  std::optional<Time> received_;  // the datagram that is the event
  NodeId id_;
  std::vector<control::Parent> parents_;
  control::Parents choice_;  // of them
  KnownEdges edges_;
  control::JoinResponder responder_;
  Standing standing_;
  Asking asking_;
  Time next_tally_up_, next_info_;
  bool stopping_ = false;
  struct Draining {
    Duration over{};
    Time until;
  };
  std::optional<Draining> drain_;
  Time resync_at_ = kNever;      // a worker's ring was full: what it must know is told again
  std::vector<Uplink> uplinks_;  // one a parent
  Time next_unsubscribe_;        // from what this node carries no more
  Time next_retire_ = kNever;
  FeedCounters counters_;
};

}  // namespace tiercast::node
