// The feed's thread, the process's main one: io_uring, sockets, files, signals, the admin socket, systemd. Carries
// bytes and time to the feed and what it says to where it goes; decides nothing about frames or leases.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "config/config.hpp"
#include "relay/net/loop.hpp"
#include "relay/node/disk_thread.hpp"
#include "relay/node/feed.hpp"
#include "relay/node/media_thread.hpp"
#include "relay/node/parent_changes.hpp"
#include "relay/node/placement.hpp"
#include "relay/node/public_outlet.hpp"
#include "relay/node/reloader.hpp"
#include "relay/node/status.hpp"
#include "relay/node/uplink_sockets.hpp"
#include "relay/node/worker_thread.hpp"
#include "relay/ops/admin_server.hpp"
#include "relay/ops/sd_notify.hpp"
#include "relay/store/leftovers.hpp"
#include "relay/store/origin_state.hpp"

namespace tiercast::node {

class FeedThread {
 public:
  static constexpr Duration kGoodbye = std::chrono::seconds{2};  // workers get so long to say it
  struct Setup {
    config::Config config;
    ReadConfig read_config;  // for a reload
    std::unique_ptr<net::Loop> loop;
    std::unique_ptr<net::Wake> bell;
    std::vector<net::UdpSocket> join_sockets;  // one a listen address
    std::vector<std::unique_ptr<WorkerThread>> workers;
    std::vector<std::unique_ptr<MediaThread>> media;  // of sources that are not RTP
    std::optional<store::OriginState> state;
    std::unique_ptr<FinishedCommands> commands;
    RecordingSetup recordings;
    Feed::Setup feed;
    Backend backend;
    Moment start;
  };
  explicit FeedThread(Setup setup);
  ~FeedThread();

  /// Sockets, admin socket, signals: everything that may fail at start. READY is told by run().
  tl::expected<void, net::Error> open();
  /// Until SIGTERM or SIGINT (SIGHUP: the file is read again), or an input that is not what it should be; the exit
  /// status.
  int run();

 private:
  class JoinHandler;
  class RtpHandler;
  struct StateToSave {
    GroupIndex group;
    GroupId id;
    SourceId source;
    store::SourceState state;
  };
  struct StateSaved {
    GroupIndex group;
    std::string problem;  // empty: it is on the disk
  };
  struct Recovered {
    store::RecordingPlace place;
    std::vector<store::Leftover> files;  // oldest first
  };
  void on_signal();
  void take_media(Moment now);
  void stop(Moment now, int exit_code);

  // feed_thread_drain.cpp
  void drain(Duration over, Moment now);
  void go_on_draining(Moment now);
  std::optional<std::string> answer_drain(std::string_view seconds, std::uint64_t connection, Moment now);
  void tell_followers(bool over, Moment now);
  std::optional<DrainStatus> drain_status(Moment now) const;
  void turn();
  void housekeeping(Moment now);
  void save_states(Moment now);
  void take_recovered();
  void watch_inputs(Moment now);
  void watch_alignment(Moment now);
  void watch_parents(Moment now);
  void watch_multicast(std::size_t parent, const std::string& name);
  void watch_multicast_below();
  void feed_watchdog(Moment now);
  /// Nothing: it is answered later.
  std::optional<std::string> answer(std::string_view request, std::uint64_t connection);
  std::string status_line() const;
  bool receive_rtp(GroupIndex group, net::UdpSocket socket);
  void hear_bell();

  // feed_thread_reload.cpp
  bool request_reload(std::optional<std::uint64_t> connection);
  void begin_reload();
  void finish_reload(Moment now);
  void apply(PreparedReload& prepared, Moment now);
  std::vector<PresentParent> present_parents() const;
  void apply_parents(Moment now);
  void add_group(PreparedGroup& prepared, Moment now);
  std::unique_ptr<Recorder> recorder_of(const FeedGroup& group, std::unique_ptr<store::Recording> files);
  GroupIndex index_of(GroupId id) const;

  Setup setup_;
  config::Config config_;  // what runs
  config::EdgeSerials edges_seen_;
  const crypto::PublicKey own_key_;
  PlacementCounters placement_counters_;
  Random* random_;
  net::Loop& loop_;
  PublicOutlet outlet_;
  UplinkSockets uplinks_;
  UplinkSockets align_links_;  // to the other origins of groups whose source is here
  std::unique_ptr<Feed> feed_;
  std::unique_ptr<JoinHandler> join_handler_;
  std::vector<std::unique_ptr<RtpHandler>> rtp_;
  // What origins must have on the disk before they go on: all of it, also at the end.
  std::unique_ptr<DiskThread<StateToSave, StateSaved>> saver_;
  // What killed processes left of recordings: whole files are read. What is not looked at, the next start looks at.
  std::unique_ptr<DiskThread<store::RecordingPlace, Recovered>> recovery_;
  std::unique_ptr<ops::AdminServer> admin_;
  ops::Notifier notifier_;
  std::unique_ptr<Reloader> reloader_;
  std::vector<std::uint64_t> waiting_, answering_;  // connections to be told of the next reload, and of this one
  bool reload_wanted_ = false;
  std::optional<PreparedReload> held_;  // until a removed group of an added one's id is gone
  net::Descriptor signals_;

  struct InputWatch {
    bool silent = false;
    bool ever = false;
    std::optional<publish::Aligned> aligned;  // as told
    Time next_refresh{};                      // of the socket to the other origin
  };
  struct ParentWatch {
    bool leased = false;
    control::Duty duty = control::Duty::cold;
    Time since;  // not leased since then
    bool warned = false;
    std::uint8_t denied = 0;
    bool by_multicast = false;
    std::string multicast_problem;  // told
    void joined_or_lost(bool is_leased, Time now) {
      leased = is_leased;
      since = now;
      warned = false;
      denied = 0;
    }
  };
  std::array<InputWatch, wire::kMaxGroups> inputs_;  // by group
  std::vector<ParentWatch> parents_;
  std::vector<std::uint64_t> turns_seen_;
  std::vector<Time> turns_at_;
  Time next_housekeeping_, next_watchdog_;
  struct Draining {
    Time until;
    Time next_told;  // whoever follows it
    std::optional<Time> asked;
    std::vector<std::uint64_t> followers;  // connections
  };
  std::optional<Draining> draining_;  // those below are to leave before this node stops
  std::optional<Time> stopping_since_;
  int exit_code_ = 0;
  std::uint64_t multicast_sent_ = 0, multicast_dropped_ = 0;  // as last seen
  bool multicast_fails_ = false;
  bool stall_told_ = false;
  bool join_failed_ = false;
};

}  // namespace tiercast::node
