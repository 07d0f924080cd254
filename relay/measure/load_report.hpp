// What `tiercast load` has found, and whether it is good: plain numbers, judged and written. Knows no socket.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "relay/base/histogram.hpp"
#include "relay/measure/load_sample.hpp"

namespace tiercast::measure {

/// Why a join was given up; the denials are the node's own word.
enum class JoinFailure : std::uint8_t {
  no_answer,
  no_accept,
  version,
  puzzle,
  unknown_group,
  not_allowed,
  full,
  draining,
  loop,
  bad_request
};
inline constexpr std::size_t kJoinFailures = 10;
/// "no answer at all", "this node is full".
const char* to_text(JoinFailure failure);

/// Frames of all listeners together.
struct LoadFrames {
  std::uint64_t came = 0;  // each once
  std::uint64_t lost = 0;  // gaps, and what is missing at the end
  std::uint64_t twice = 0, late = 0, stale = 0, jumped = 0;
  std::uint64_t missed_at_start = 0;  // between what ACCEPT named as the newest and the first that came
  std::uint64_t attestations = 0, idles = 0;
  std::uint64_t after_leaving = 0;  // came to who had left: a few may have been on their way
  std::uint32_t longest_gap = 0;    // frames in a row, of one listener
  LoadFrames& operator+=(const LoadFrames& other);
};

/// Quantiles of a histogram of µs, in ms.
struct Quantiles {
  std::uint64_t count = 0;
  double p50 = 0, p90 = 0, p99 = 0, p999 = 0, most = 0;
  static Quantiles of(const Histogram<>& us);
};

struct LoadReport {
  // What was asked for.
  std::uint32_t listeners = 0, sampled = 0;
  double seconds = 0;  // that it held all of them, since the last was in
  bool interrupted = false;
  std::string counted;  // "in the socket", "below the stack of eth0 (native)"

  // Joining.
  std::uint32_t joined = 0;     // have had a lease
  std::uint32_t leases = 0;     // at the end
  double joins_per_second = 0;  // from the first HELLO to the last ACCEPT of the ramp
  std::uint64_t joins = 0, replaced = 0;
  std::array<std::uint64_t, kJoinFailures> failures{};
  Quantiles join_ms;

  // Leases.
  std::uint64_t keepalives = 0, keepalives_acknowledged = 0, keepalives_resent = 0, keepalives_unanswered = 0;
  std::uint64_t leases_lost = 0;   // its newest token is too old, or it was never confirmed
  std::uint64_t leases_ended = 0;  // by the edge
  Quantiles keepalive_ms;

  // Frames.
  unsigned frame_ms = 0;
  LoadFrames frames;                                  // since the first join
  std::uint64_t lost_steady = 0;                      // since the last of the ramp was in
  std::uint32_t listeners_that_lost = 0, silent = 0;  // to whom frames were due, and none came
  std::optional<double> nothing_for;                  // seconds since anybody got a new frame; none: none ever
  bool ended = false;                                 // the edge says that the broadcast is over

  // The sample.
  bool authenticated = false;  // source keys were given
  LoadSampleCounts sample;
  std::uint64_t sample_lost_above = 0;  // counted below the stack, and never seen in the socket
  std::uint64_t forged_epochs = 0;
  Quantiles behind_first_ms, first_since_sealed_ms, last_since_sealed_ms;
  std::uint64_t before_sealed = 0;

  // The tool itself.
  std::uint64_t socket_drops = 0;  // datagrams for which its own queue had no room
  std::uint64_t send_refused = 0, drop_foreign = 0, drop_malformed = 0, drop_control = 0;
  double cpu_share = 0;            // of one processor, while it held them
  double memory_per_listener = 0;  // bytes, resident, of this process
};

/// The one line that says what is wrong, worst first; empty: every listener joined, and nothing was lost since.
std::string judge(const LoadReport& report);
/// One JSON object, one line.
std::string to_json(const LoadReport& report);
/// A table for people.
std::string to_text(const LoadReport& report);

}  // namespace tiercast::measure
