// What a node said of itself at one moment, as plain values: the part of its status that people are shown. Two of them
// make rates. Everything in it is the node's word: texts may be long or odd, numbers are what they are.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace tiercast::cli {

using Counters = std::map<std::string, std::uint64_t>;

struct Snapshot {
  struct Listen {
    std::string addresses;  // "192.0.2.1:4800, [2001:db8::1]:4800"
    std::uint64_t leases = 0, max_leases = 0, listeners = 0;
    std::vector<double> worker_quiet_ms;  // since each worker was last seen to turn
    struct Loss {
      double up_to = 0;  // a share of the frames
      std::uint64_t listeners = 0;
    };
    std::string backend, backend_why;
    std::uint64_t direct = 0;                   // listeners that the xdp backend reaches below the stack
    std::vector<std::string> detours;           // "3 unresolved": those that it does not, by why
    double load = 0, full_at = 1;               // the fullest worker's share of time that sending takes; joins end here
    std::uint64_t standing_by = 0;              // leases that nothing is sent to yet
    double taken_up = 0, full_taken_up_at = 1;  // the share that sending to these, too, would take; joins end here, too
    std::optional<std::uint64_t> room;          // for listeners
    std::vector<Loss> by_loss;                  // rising
    struct Passage {
      std::uint64_t frames = 0;
      double median_ms = 0, p99_ms = 0, most_ms = 0;
    };
    Passage hand_off, first_send, last_send;  // of frames through this node, since its start
    std::string multicast;                    // "239.10.0.1:4801 on eth1"; empty: none
    std::uint64_t by_multicast = 0;           // leases
  };
  struct Parent {
    std::string address;
    std::string state;     // live, standby, reserve, silent, denied, joining
    std::string denied;    // why
    std::string problem;   // why there is no socket to it
    bool answers = false;  // while it joins: it was heard, but it has not accepted
    bool seeking = false;  // it says that nothing comes to it from above
    std::optional<double> round_trip_ms;
    double loss = 0;
    std::uint64_t datagrams = 0;  // by both ways
    std::string multicast;        // as above; empty: none
    std::string multicast_problem;
    bool by_multicast = false;  // that brings the frames
    Counters counters;
    bool live() const { return state == "live"; }
    bool as_wanted() const { return live() || state == "standby" || state == "reserve"; }
  };
  struct Input {
    std::string kind, from, last_refused;
    std::optional<double> age_ms;
    std::uint64_t bits_per_second = 0, lost = 0;
  };
  /// One of a group's two sources, as a relay sees it.
  struct Source {
    std::uint64_t id = 0;
    bool active = false, good = false;
    std::optional<double> age_ms;  // of its newest frame; none has come: nullopt
  };
  /// At an origin: how its numbers stand to those of the other source's origin.
  struct Align {
    std::uint64_t source = 0;
    std::string by;             // announcement, payloads, alone, seeking
    std::string state, denied;  // of the way to the other origin, as a parent's
    std::int64_t off_ticks = 0;
    bool aligned() const { return by == "announcement" || by == "payloads"; }
  };
  struct Group {
    std::string name;
    std::uint64_t id = 0;
    bool ended = false, subscribed = false;
    std::optional<Input> input;  // at its origin
    std::optional<Align> align;
    std::vector<Source> sources;  // of two
    std::optional<double> last_frame_ms, latency_ms;
    std::uint64_t listeners = 0, relays = 0;  // in the whole tree below
    std::optional<std::uint64_t> epoch;       // in use
    bool epoch_known = true;
    std::uint64_t frames = 0, audio_bytes = 0;  // so far; sealed, or from parents
    std::string recording_problem;              // what its disk refuses; empty: nothing, or it is not recorded
    Counters counters;
  };
  struct Child {
    std::string name, address;
    bool seen = false;  // the rest counts only then
    bool counted_here = false;
    std::uint64_t listeners = 0, relays = 0;
    double loss = 0, round_trip_ms = 0;
  };

  std::string version, name, id, role;
  double uptime_ms = 0;
  std::int64_t started_unix_ms = 0;  // tells one run of a node from the next
  bool seeking = false;
  struct Drain {
    std::uint64_t leases = 0, staying = 0;
    double seconds_left = 0;
  };
  std::optional<Drain> drain;  // it will stop
  std::optional<Listen> listen;
  std::vector<Parent> parents;
  std::size_t live_parents = 0;  // so many of them are wanted at once
  std::vector<Group> groups;
  std::vector<Child> children;
  Counters counters;
};

/// From `status`' answer. What an older node does not say is left as it is above. The error: a clause.
tl::expected<Snapshot, std::string> read_snapshot(const nlohmann::ordered_json& status);

/// Two snapshots of one run of a node, or one alone: then there are no rates.
class Interval {
 public:
  /// Neither is copied. `before` may be null, of another node, or of the node before its restart: then it is not used.
  Interval(const Snapshot& now, const Snapshot* before);
  const Snapshot& now() const { return now_; }
  const Snapshot* before() const { return before_; }
  /// Between two values of one counter; nullopt: there is none yet.
  std::optional<double> per_second(std::uint64_t now, std::optional<std::uint64_t> before) const;
  /// Of one of the node's counters.
  std::optional<double> per_second(const std::string& counter) const;
  /// Whether it rose in between.
  bool rises(const std::string& counter) const { return per_second(counter).value_or(0) > 0; }
  // The same parent or group as it was then; null: there is none.
  const Snapshot::Parent* before(const Snapshot::Parent& parent) const;
  const Snapshot::Group* before(const Snapshot::Group& group) const;

 private:
  const Snapshot& now_;
  const Snapshot* before_;
  double seconds_ = 0;
};

/// A counter that is not there has counted nothing.
std::uint64_t count(const Counters& counters, const std::string& name);

}  // namespace tiercast::cli
