// What an operator wants to know of an input: does it come, how much, what is lost, and why something was refused.
// Must not know: how packets become ticks.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "relay/base/counter.hpp"
#include "relay/base/types.hpp"

namespace tiercast::publish {

enum class RefusalReason : std::uint8_t {
  malformed,       // no RTP version 2 header that holds together
  payload_type,    // detail: the payload type
  not_opus,        //
  other_duration,  // detail: the packet's length, samples at 48 kHz
  too_long,        // detail: bytes
  too_fast,        // faster than real time
};

struct Refusal {
  RefusalReason reason = RefusalReason::malformed;
  std::uint32_t detail = 0;
  bool operator==(const Refusal&) const = default;
};

/// A sentence for people: what came, what is right, and what to do.
std::string to_text(const Refusal& refusal, std::uint8_t frame_ms);

struct IngestHealth {
  std::optional<Duration> age;        // of the last good packet; none yet: nullopt
  std::uint64_t bits_per_second = 0;  // of Opus, over the last two seconds
  std::uint64_t packets = 0;          // good ones
  std::uint64_t lost = 0;             // by RTP sequence numbers, RFC 3550 §A.3, over all senders
  std::uint64_t reordered = 0;        // and put right
  std::uint64_t duplicates = 0;
  std::uint32_t ssrc = 0;  // of the present sender
  std::optional<Refusal> last_refusal;
};

struct IngestCounters {
  Counter packets, reordered, rtcp, senders, reanchored, jumps, ticks, empty_ticks;
  Counter malformed, payload_type, not_opus, other_duration, too_long, too_fast;
  Counter duplicate, late, other_sender, jump_unconfirmed, full, ended;
  template <class F>
  void each(F&& f) const {
    f("ingest_packet", packets);
    f("ingest_reordered", reordered);
    f("ingest_rtcp", rtcp);
    f("ingest_sender", senders);
    f("ingest_reanchored", reanchored);
    f("ingest_jump", jumps);
    f("ingest_tick", ticks);
    f("ingest_tick_empty", empty_ticks);
    f("ingest_drop_malformed", malformed);
    f("ingest_drop_payload_type", payload_type);
    f("ingest_drop_not_opus", not_opus);
    f("ingest_drop_other_duration", other_duration);
    f("ingest_drop_too_long", too_long);
    f("ingest_drop_too_fast", too_fast);
    f("ingest_drop_duplicate", duplicate);
    f("ingest_drop_late", late);
    f("ingest_drop_other_sender", other_sender);
    f("ingest_drop_jump_unconfirmed", jump_unconfirmed);
    f("ingest_drop_full", full);
    f("ingest_drop_ended", ended);
  }
  Counter& of(RefusalReason reason);
};

/// Bytes over the last two seconds, in slices of a quarter second.
class RateMeter {
 public:
  void add(std::size_t bytes, Time now);
  std::uint64_t bits_per_second(Time now) const;

 private:
  static constexpr Duration kSlice = 250ms;
  static constexpr std::int64_t kSlices = 8;
  static std::int64_t slice_of(Time t) { return t.time_since_epoch() / kSlice; }
  struct Slice {
    std::int64_t number = -1;
    std::uint64_t bytes = 0;
  };
  std::array<Slice, kSlices> slices_{};
};

/// Tells each change of reason once, and no more than one a second: a sender that alternates does not fill the log.
class RefusalNotice {
 public:
  void note(const Refusal& refusal) { last_ = refusal; }
  const std::optional<Refusal>& last() const { return last_; }
  std::optional<Refusal> take(Time now);

 private:
  std::optional<Refusal> last_;
  std::optional<Refusal> told_;
  Time told_at_;
};

}  // namespace tiercast::publish
