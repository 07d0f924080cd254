// The group's media clock: which sequence is due when, and which sequence an RTP timestamp means.
// Must not know: packets, their order, the wall after the start.
#pragma once

#include <optional>

#include "relay/base/types.hpp"

namespace tiercast::publish {

/// One point of a stream's numbering: by it the same process, or the next one of this boot, numbers on as it was.
struct ClockPoint {
  std::uint8_t frame_ms = 0;  // with other frames it says nothing
  Sequence sequence;
  Time due;                         // of that sequence
  std::uint32_t ssrc = 0;           // with rtp_timestamp, …
  std::uint32_t rtp_timestamp = 0;  // … what the sender calls it; 0, 0: there was none yet
  bool operator==(const ClockPoint&) const = default;
};

/// Sequences against monotonic time. Reads the wall once, at the very first start, so that a clock step later moves
/// nothing; then it follows what arrives, so that a sender whose crystal drifts is neither early nor late for long.
class MediaClock {
 public:
  static constexpr Duration kWait = std::chrono::milliseconds{250};
  /// frame_ms is 10, 20, 40 or 60. The first sequence is floor(unix ms / frame ms), or the one that is due by `before`,
  /// but never below `continue_at`: that one is waited for if the wall, or `before`, is there within kWait, so that all
  /// who go by the same number alike, and else due now.
  MediaClock(std::uint8_t frame_ms, Sequence continue_at, Moment start,
             const std::optional<ClockPoint>& before = std::nullopt);

  Duration frame() const { return frame_; }
  Sequence first() const { return first_; }
  Time due(Sequence sequence) const;
  /// The newest sequence due at `t`.
  Sequence due_at(Time t) const;
  /// The sequence whose due time is nearest to `t`.
  Sequence nearest(Time t) const;
  /// `sequence` is due at `at` from here on.
  void anchor(Sequence sequence, Time at);
  /// Every sequence is due when the one so much lower was.
  void shift(std::int64_t by);
  /// `sequence` arrived at `at`. A late one moves the clock all the way (after a stall: a
  /// sixteenth of it), an early one hardly: due times follow the
  /// latest arrivals, since a sender's bursts (ffmpeg's come every 128 ms) must not look like holes. Nothing that came
  /// waits for its due time, so this costs no latency; and drift of the sender's crystal is followed both ways.
  void observe(Sequence sequence, Time at);

 private:
  Duration frame_;
  Sequence first_;
  Sequence base_;
  Time base_at_;
};

/// One sender's RTP timestamps (48 kHz, RFC 7587 §4.1) on the grid of sequences. Unwraps them once.
class RtpTimeline {
 public:
  explicit RtpTimeline(std::uint8_t frame_ms) : step_(std::int64_t{frame_ms} * 48) {}

  /// `timestamp` means `sequence`.
  void anchor(std::uint32_t timestamp, Sequence sequence);
  /// Every timestamp means a sequence so much higher.
  void shift(std::int64_t by);
  /// The nearest sequence on the grid.
  Sequence sequence_of(std::uint32_t timestamp) const;
  /// What its packet would say, had all stamps been as regular as the sequences.
  std::uint32_t timestamp_of(Sequence sequence) const;
  /// The newest packet's timestamp was taken as `sequence`, which may be another than sequence_of() says. Keeps the
  /// unwrapping up to date, and moves the grid onto timestamps that stay off it in the same way (GStreamer's second
  /// one is short by the encoder's lookahead).
  void follow(std::uint32_t timestamp, Sequence sequence);

 private:
  static constexpr int kPersistent = 5;  // packets off the grid by the same amount
  std::int64_t extend(std::uint32_t timestamp) const;
  std::int64_t step_;
  std::int64_t newest_ = 0;  // unwrapped
  std::int64_t anchor_ = 0;  // unwrapped
  Sequence anchor_sequence_;
  std::int64_t offset_ = 0;
  int offset_run_ = 0;
};

}  // namespace tiercast::publish
