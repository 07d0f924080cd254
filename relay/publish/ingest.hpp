// RTP in, ticks of the media clock out: one for each sequence, with audio or empty, in order, none twice, none missing.
// Must not know: sockets, keys, what becomes of a tick.
#pragma once

#include <utility>

#include "relay/base/credit.hpp"
#include "relay/publish/ingest_health.hpp"
#include "relay/publish/media_clock.hpp"
#include "relay/publish/opus_packet.hpp"
#include "relay/publish/reorder_buffer.hpp"
#include "relay/publish/rtp.hpp"
#include "relay/publish/sender_sequence.hpp"
#include "relay/wire/packets.hpp"

namespace tiercast::publish {

/// One step of the media clock.
struct Tick {
  Sequence sequence;
  std::uint8_t flags = 0;  // wire::kFlag…
  Bytes opus;              // may be empty; valid until the next call of whoever made the tick
  std::uint32_t ssrc = 0;  // with rtp_timestamp, what the tick was fed from; 0, 0 when it is empty
  std::uint32_t rtp_timestamp = 0;
};

/// After every on_…() or end(), call next() until it is false. Give on_datagram() all that the socket has before
/// on_timer(): only on_timer() declares something missing, so that after a hiccup of the process what waits in the
/// socket still gets its own tick. Allocates at construction only.
class Ingest {
 public:
  /// frame_ms is 10, 20, 40 or 60. The first tick is the wall clock's, but never below `continue_at`: above
  /// whatever was sealed before. It is a discontinuity. With `before`, what point() of an earlier one said, it is that
  /// one's clock instead, and a sender that goes on keeps its numbers.
  Ingest(std::uint8_t frame_ms, Sequence continue_at, Moment start,
         const std::optional<ClockPoint>& before = std::nullopt);

  void on_datagram(Bytes datagram, Moment now);
  void on_timer(Moment now);
  /// When on_timer() has something to do; kNever after the end.
  Time next_deadline() const;
  /// The next tick that is ready.
  bool next(Tick& tick);
  /// Ends the broadcast: what is held leaves, then an empty tick; all these carry kFlagEnd. Nothing follows.
  void end(Moment now);

  // --- a second origin of the group, which gives each frame the same sequence (alignment.hpp) ---

  /// A packet that was taken, as its sender has it and as it is numbered here.
  struct Taken {
    std::uint32_t ssrc = 0;
    std::uint32_t timestamp = 0;
    Sequence sequence;
    Bytes opus;               // of the datagram
    bool new_sender = false;  // the first of this sender
  };
  /// Of the last on_datagram(); once.
  std::optional<Taken> take_taken() { return std::exchange(taken_, std::nullopt); }
  /// From now on no tick leaves: where the stream is, is not known yet. Packets are held, as many as there is room for.
  void hold_back() { held_back_ = true; }
  bool held_back() const { return held_back_; }
  /// Ticks leave again. Where none has left before, they begin with the first packet held, or else with `first`, which
  /// is due now; never with one below `continue_at`.
  void go_on(std::optional<Sequence> first, Moment now);
  /// The present sender's packets are numbered so much higher, those that are held too. What is below the last tick
  /// then is dropped as late.
  void shift(std::int64_t by);
  /// The sender's stamps alone say which tick a packet is: one whose tick has left empty is dropped, and the others
  /// keep theirs. Else, and at first, it is taken for the tick that is due, and all after it move with it.
  void set_locked(bool locked) { locked_ = locked; }

  /// How it numbers, by its newest packet.
  ClockPoint point() const;
  /// How often it began to number otherwise than before.
  std::uint64_t moves() const { return moves_; }
  IngestHealth health(Time now) const;
  /// A refusal that the log does not know yet; see to_text().
  std::optional<Refusal> take_refusal(Time now) { return refusals_.take(now); }
  const IngestCounters& counters() const { return counters_; }

 private:
  /// A tick has left, or the first one is not about to be due; what comes just before it only tells the sender's time.
  bool begun() const {
    const Duration left = clock_.due(next_) - now_;
    return counters_.ticks.get() > 0 || left <= Duration{0} || left > MediaClock::kWait;
  }
  void begin(Moment now, bool timer);
  std::optional<Refusal> check_payload(Bytes payload) const;
  void refuse(Refusal refusal);
  bool may_take_over(std::uint32_t ssrc);
  void take_over(const RtpPacket& packet);
  std::optional<Sequence> number_of_before(const RtpPacket& packet) const;
  void drop_as_late(const RtpPacket& packet, Sequence sequence);
  bool rejoins(Sequence sequence) const;
  void accept_newer(const RtpPacket& packet, std::int64_t number);
  void accept_older(const RtpPacket& packet, std::int64_t number);
  bool affordable(Sequence sequence);
  void hold(const RtpPacket& packet, std::int64_t number, Sequence sequence);
  bool may_pass(const HeldPacket& packet) const;
  Duration patience() const;
  void jump_to(Sequence sequence);
  void emit(Tick& tick);

  void drop_late();
  void take(const RtpPacket& packet, Sequence sequence, bool new_sender);

  const Sequence continue_at_;
  const std::uint32_t frame_samples_;
  const std::uint64_t jump_ticks_;  // a longer gap is jumped
  MediaClock clock_;
  RtpTimeline timeline_;
  std::optional<SenderSequence> sender_;
  std::optional<std::uint32_t> previous_ssrc_;
  ReorderBuffer held_;
  Credit pace_;
  Credit takeovers_;

  Time now_;
  Sequence next_;            // the next tick to leave
  std::uint8_t next_flags_;  // kFlagDiscontinuity when it does not follow the one before
  Sequence newest_;          // of the packets taken
  std::uint64_t moves_ = 0;
  std::int64_t expected_ = 0;   // the sender's number that follows what has left
  bool resynchronise_ = false;  // after a jump: nothing before the next packet is waited for
  bool timer_turn_ = false;
  bool ending_ = false;
  bool finished_ = false;
  bool held_back_ = false;
  bool locked_ = false;
  bool rejoining_ = false;  // a sender of before goes on with ticks that have left already
  std::optional<ClockPoint> before_;
  std::optional<Taken> taken_;

  std::optional<Time> last_packet_;
  std::uint64_t lost_before_ = 0;  // by earlier senders
  RateMeter rate_;
  RefusalNotice refusals_;
  IngestCounters counters_;
};

}  // namespace tiercast::publish
