// The feed as plain code: joins, parents, every group's intake, the origin's frames; what it decides leaves as commands
// to the workers. A frame moves forward only: parent or origin -> history -> workers. The shell around it (feed_thread)
// owns sockets, clocks and files.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "relay/control/join_responder.hpp"
#include "relay/control/parent.hpp"
#include "relay/node/feed_group.hpp"
#include "relay/node/outlet.hpp"
#include "relay/node/worker_link.hpp"

namespace tiercast::node {

/// A relay with a lease at one of this node's workers, as it was last told of.
struct Child {
  LeaseId lease;
  std::size_t downstream = 0;  // index into [[downstream]]
  Endpoint peer;
  Time joined;
  std::optional<ChildSeen> seen;  // not yet: nullopt
};

/// What came from a parent.
struct UplinkFigures {
  std::uint64_t datagrams = 0;
  std::uint16_t loss = 0;  // of 65535: the share of frames that it did not bring before the last keepalive
};

struct FeedCounters {
  Counter drop_worker_ring_full, drop_parent_malformed, drop_parent_unleased, drop_not_wanted, drop_frame_length,
      drop_statement, drop_opaque_pinned, drop_epoch, subscription_denied, children_unlisted;
  template <class F>
  void each(F&& f) const {
    f("feed_drop_worker_ring_full", drop_worker_ring_full);
    f("feed_drop_parent_malformed", drop_parent_malformed);
    f("feed_drop_parent_unleased", drop_parent_unleased);
    f("feed_drop_not_wanted", drop_not_wanted);
    f("feed_drop_frame_length", drop_frame_length);
    f("feed_drop_statement", drop_statement);
    f("feed_drop_opaque_pinned", drop_opaque_pinned);
    f("feed_drop_epoch", drop_epoch);  // an announcement of no source of the group, or not signed by it
    f("feed_subscription_denied", subscription_denied);
    f("feed_child_unlisted", children_unlisted);  // more than status has room for
  }
};

class Feed final : private control::Doorkeeper, private FrameSink {
 public:
  struct Setup {
    const crypto::PrivateKey* key = nullptr;
    const crypto::MacKey* token_key = nullptr;
    Random* random = nullptr;
    std::span<const std::unique_ptr<Group>> groups;
    std::vector<std::unique_ptr<FeedGroup>> feed_groups;  // one a group, in their order
    std::vector<control::ParentConfig> parents;
    std::vector<crypto::PublicKey> relay_keys;  // [[downstream]]
    std::vector<WorkerLink> workers;
    Outlet* outlet = nullptr;
    UplinkOutlet* uplinks = nullptr;
  };
  /// The pointers outlive the feed.
  Feed(Setup setup, Moment now);
  ~Feed() override;

  void on_join(Bytes datagram, const Endpoint& from, const LocalAddress& local, Moment now);
  void on_uplink(std::size_t parent, Bytes datagram, Moment now);
  void on_uplink_unreachable(std::size_t parent, Moment now);
  void on_rtp(GroupIndex group, Bytes datagram, Moment now);
  void on_reports(Moment now);
  void on_timer(Moment now);
  Time next_deadline() const;

  /// `tiercast end`: the group's broadcast ends with an attested last frame. False: no source here.
  bool end_group(GroupIndex group, Moment now);
  /// `tiercast rotate`. An error text, empty when done or under way.
  std::string rotate(GroupIndex group, Moment now);
  /// Goodbye to parents and children; then stopped() becomes true.
  void stop(Moment now);
  bool stopped() const;

  // --- for status ---
  NodeId id() const { return id_; }
  std::span<const std::unique_ptr<FeedGroup>> groups() const { return setup_.feed_groups; }
  std::span<const control::Parent> parents() const { return parents_; }
  std::span<const WorkerLink> workers() const { return setup_.workers; }
  const control::JoinResponder& responder() const { return responder_; }
  const FeedCounters& counters() const { return counters_; }
  const Standing& standing() const { return standing_; }
  std::span<const Child> children() const { return children_; }
  const UplinkFigures& uplink_figures(std::size_t parent) const { return uplink_figures_[parent]; }
  /// Of the whole subtree.
  wire::Tally tally(GroupIndex group) const;

 private:
  static constexpr std::size_t kChildren = 256;  // listed for status
  static constexpr Duration kLinger = 30s;       // a group that nobody wants any more is kept so long
  // Doorkeeper
  std::optional<LeaseId> admit(const control::Joiner& joiner, Writer& records, Time now) override;
  void seat(LeaseId lease, const control::Joiner& joiner, const crypto::TransportKeys& keys, Time now) override;
  void withdraw(LeaseId lease) override;
  std::optional<wire::DenyReason> refuse(const control::Joiner& joiner) const;
  // FrameSink
  void on_frame_stored(FeedGroup& group, Sequence sequence) override;
  void on_attestation_stored(FeedGroup& group, std::uint64_t number) override;
  void on_opaque_stored(FeedGroup& group, std::uint64_t number) override;

  // feed_uplinks.cpp
  FeedGroup* group_by_id(GroupId id);
  void on_stream(std::size_t parent, Bytes datagram, Time now);
  void on_parent_joined(std::size_t parent, Time now);
  void on_info(const wire::GroupInfo& info, Time now);
  void on_parent_records(std::size_t parent, Bytes records, Time now);
  void on_subscribed(std::size_t parent, const wire::Subscribed& answer, Time now);
  void begin_subscription(FeedGroup& group, Time now);
  void subscribe_up(FeedGroup& group, std::size_t parent, Time now);
  void subscribe_again(Time now);
  void unsubscribe_up(FeedGroup& group, Time now);
  void unsubscribe_at(FeedGroup& group, std::size_t parent);
  void list_epochs(std::size_t parent, wire::EpochsHeld& held);
  bool loops(std::size_t parent) const;
  Duration frame_interval() const;
  void send_up(std::size_t parent, Bytes records);
  void pump(std::size_t parent, Time now);
  void ask_for_missing(Time now);
  void report_tallies_up(Time now);
  void update_standing(Time now);
  std::optional<std::size_t> primary(Time now) const;
  void update_expectations(Time now);
  void learn_epoch(FeedGroup& group, const wire::EpochRecord& epoch);
  void learn_epoch_from(std::size_t parent, const wire::EpochRecord& epoch);
  void use_epoch(FeedGroup& group, SourceId source, Epoch epoch);
  void publish_info(FeedGroup& group, Moment now);

  bool command(std::size_t worker, Command&& command);
  void command_all(const Command& command);
  void wake_workers();
  void update_wanted(FeedGroup& group, Time now);
  void child_joined(LeaseId lease, const control::Joiner& joiner, Time now);
  void child_left(std::uint16_t boot_tag, control::LeaseSlot slot);
  void child_seen(const ChildSeen& seen);
  void run_origins(Moment now);

  Setup setup_;
  Moment moment_;  // of the event under way
  NodeId id_;
  std::vector<control::Parent> parents_;
  control::JoinResponder responder_;
  Standing standing_;
  std::size_t next_asked_ = 0;
  Time next_tally_up_, next_info_;
  bool stopping_ = false;
  Time resync_at_ = kNever;                    // a worker's ring was full: what it must know is told again
  std::vector<forward::Distrust> distrust_;    // one a parent
  std::vector<std::size_t> next_listed_;       // one a parent: the group whose epochs its next keepalive lists first
  std::vector<Child> children_;                // for status, ≤ kChildren
  std::vector<UplinkFigures> uplink_figures_;  // one a parent
  FeedCounters counters_;
};

}  // namespace tiercast::node
