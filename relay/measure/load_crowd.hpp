// Many listeners as plain code: each joins, keeps its lease alive and counts its frames, as a real one does, in some
// hundred bytes. They ask for nothing again (no NACK): what the network or the edge loses is to be seen. Bytes, events
// and `now` come in, datagrams go out; knows no socket and no address but its listeners' numbers.
#pragma once

#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "relay/control/epoch_question.hpp"
#include "relay/control/expiry_wheel.hpp"
#include "relay/control/uplink_lease.hpp"
#include "relay/measure/load_account.h"
#include "relay/measure/load_progress.hpp"
#include "relay/measure/load_report.hpp"

namespace tiercast::measure {

struct LoadPlan {
  crypto::PublicKey edge{};
  GroupId group;
  std::vector<receive::SourceKey> sources;  // none: nothing is authenticated
  std::uint32_t listeners = 1;
  double ramp = 1000;        // joins begun a second, at most
  double churn = 0;          // leases a second that leave, once all are in, and are replaced
  std::uint32_t sample = 0;  // listeners whose frames are looked into
};

struct LoadCrowdCounters {
  std::uint64_t joins = 0, replaced = 0;
  std::array<std::uint64_t, kJoinFailures> failures{};
  std::uint64_t keepalives = 0, acknowledged = 0, resent = 0;
  std::uint64_t leases_lost = 0, leases_ended = 0;
  std::uint64_t forged_epochs = 0;
  std::uint64_t drop_malformed = 0;  // no packet of the protocol, or none that goes down
  std::uint64_t drop_control = 0;    // not of the listener's lease, replayed, forged
};

class LoadCrowd {
 public:
  class Outlet {
   public:
    virtual ~Outlet() = default;
    /// To the edge, from that listener's address. The bytes are the outlet's until it returns.
    virtual void send(std::uint32_t listener, Bytes datagram) = 0;
  };

  /// `accounts`: one a listener, zeros. `counted_below`: something else counts frames in them, and only those of the
  /// sampled come here. All outlive the crowd. Nobody joins before the first on_timer(). All memory is taken here but
  /// that of joins under way (at most kJoinsAtOnce) and of secrets.
  LoadCrowd(const LoadPlan& plan, std::span<load_account> accounts, bool counted_below, Random& random, Outlet& outlet,
            Time now);

  static constexpr std::uint32_t kJoinsAtOnce = 4096;

  /// From the edge's address and port to that listener's; `arrived` as the kernel stamped it.
  void on_datagram(std::uint32_t listener, Bytes datagram, Time now, WallTime arrived);
  void on_timer(Time now);
  Time next_deadline() const;

  /// Every listener has joined, or failed to once: since when; nullopt: not yet.
  std::optional<Time> complete_at() const { return complete_at_; }
  /// From now on nobody joins; the leases that are held are left, as fast as sockets can take it.
  void leave(Time now);
  bool gone() const { return leaving_ && leave_next_ == listeners_.size(); }

  /// Fills all that is the crowd's to know.
  void report(LoadReport& out, Time now) const;
  const LoadCrowdCounters& counters() const { return counters_; }
  std::uint32_t joined() const { return joined_; }
  bool is_sampled(std::uint32_t listener) const { return listener % stride_ == 0 && listener / stride_ < plan_.sample; }
  /// Bytes that every listener takes, beside its secrets.
  static std::size_t bytes_per_listener() { return sizeof(Listener) + sizeof(load_account); }

 private:
  // 5 ms: keepalives of many listeners leave evenly, not in lumps. 20 s: longer than anything here waits.
  using Wheel = control::TimerWheel<5'000'000, 4096>;
  enum class State : std::uint8_t {
    idle,     // has not begun; or waits for its turn to join
    joining,  // a handshake is under way
    leased,
    resting,  // has left, or failed: joins again when its time comes
  };
  struct Listener {
    Wheel::Links links;
    State state = State::idle;
    bool decided = false;    // it has joined, or failed to, before
    bool was_in = false;     // it has had a lease
    bool replacing = false;  // its lease was left to be replaced
    LoadEpochs::Held epochs = 0;
    std::uint32_t told_due = 0, told_lost = 0;  // of its account, by keepalives
    Time since{};                               // HELLO was sent; ACCEPT came; or when to go on, of who rests
    Sequence due;                               // the first frame that must come; 0: the first of all
    std::unique_ptr<control::JoinInitiator> joining;
    std::optional<control::UplinkLease> lease;
  };

  void begin(std::uint32_t i, Time now);
  void rest(std::uint32_t i, Duration length, Time now);
  void fail(std::uint32_t i, JoinFailure why, Time now);
  void on_joining(std::uint32_t i, Time now);
  void on_joined(std::uint32_t i, Time now);
  void on_control(std::uint32_t i, Bytes datagram, Time now);
  void on_epoch(Listener& listener, const wire::EpochRecord& record);
  void on_info(const wire::GroupInfo& info);
  void on_stream(std::uint32_t i, Bytes datagram, Time now, WallTime arrived);
  void on_sampled(std::uint32_t i, const wire::Header& header, Bytes datagram, Time now, WallTime arrived);
  void wake(std::uint32_t i, Time now);
  void pump(std::uint32_t i, Time now);
  void keep_alive(std::uint32_t i, Time now);
  std::uint16_t take_loss(std::uint32_t i);
  template <class Record>
  void send_record(std::uint32_t i, const Record& record);
  void close(std::uint32_t i, Time now);
  void schedule(std::uint32_t i, Time now);
  Time deadline(const Listener& listener) const;
  void join_those_due(Time now);
  void churn(Time now);
  void leave_some(Time now);
  void decide(std::uint32_t i, Time now);
  LoadFrames so_far(std::uint32_t i, Sequence settled) const;
  auto links() {
    return [this](std::uint32_t i) -> Wheel::Links& { return listeners_[i].links; };
  }

  LoadPlan plan_;
  std::span<load_account> accounts_;
  bool counted_below_;
  Random* random_;
  Outlet* outlet_;
  std::uint32_t stride_ = 1;
  std::vector<Listener> listeners_;
  std::vector<load_account> sampled_accounts_;           // with counted_below: what came here of the sampled
  std::vector<control::EpochQuestion> epoch_questions_;  // of the sampled
  Wheel wheel_;

  std::uint32_t fresh_ = 0;          // the first that has never begun
  std::deque<std::uint32_t> again_;  // others that wait for their turn to join
  std::uint32_t under_way_ = 0;      // handshakes
  Time next_join_, next_churn_ = kNever;
  std::uint32_t churned_ = 0;  // whose turn it is
  bool leaving_ = false;
  std::uint32_t leave_next_ = 0;
  Time next_leave_{};

  std::uint32_t undecided_ = 0, joined_ = 0;
  std::optional<Time> first_hello_, last_accept_, complete_at_;
  std::uint64_t lost_before_ = 0;  // until complete_at_

  LoadEpochs epochs_;
  LoadSample sample_;
  LoadProgress progress_;
  control::KeepaliveContents contents_;
  std::optional<LoadEpochs::Held> contents_of_;
  unsigned frame_ms_ = 0;
  bool ended_ = false;

  LoadFrames closed_;  // of leases that are over
  std::uint32_t closed_lost_ = 0;
  LoadCrowdCounters counters_;
  Histogram<> join_us_, keepalive_us_;
  std::array<std::uint8_t, wire::kMaxDatagram> records_{}, out_{};
};

}  // namespace tiercast::measure
