// Two origins of one group, fed by one encoder, give a frame the same sequence: which of the two follows, and by how
// much its numbers are off. By what the other one announces of its RTP, where both have the same SSRC; else by the Opus
// packets themselves: eight in a row, each of which has come once. Knows hashes of packets, no bytes, no keys, no
// sockets; what it decides its owner does.
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "relay/base/counter.hpp"
#include "relay/publish/ingest.hpp"
#include "relay/wire/records.hpp"

namespace tiercast::publish {

/// By what this origin's sequences are known to be the other one's.
enum class Aligned : std::uint8_t {
  seeking,       // not yet: the other one has been heard, or is waited for
  alone,         // the other one is not there
  announcement,  // of the other one's SSRC and RTP timestamp
  payloads,
};
const char* to_text(Aligned aligned);

struct AlignmentCounters {
  Counter announced, matched, shifts, shifted_ticks, timeouts, agreed;
  template <class F>
  void each(F&& f) const {
    f("align_by_announcement", announced);
    f("align_by_payloads", matched);
    f("align_shift", shifts);
    f("align_shifted_ticks", shifted_ticks);
    f("align_timeout", timeouts);
    f("align_agreed", agreed);  // packets that both have at the same sequence
  }
};

/// Who follows: who had no audio while the other one had; else the one with the higher id. Who follows waits for a
/// while before it numbers a new sender's packets, and moves its own numbers when they prove to be others; who leads
/// never does.
class Alignment {
 public:
  /// `lower`: this source's id is the lower one.
  Alignment(std::chrono::milliseconds frame, bool lower, Time now);

  // --- of the other one ---
  /// Its statement; without kInfoStamped: it is there, and has sealed nothing yet.
  void on_statement(const wire::GroupInfo& info, Time now);
  /// A proven frame of its; `hash` of its Opus packet, 0: empty.
  void on_frame(Sequence sequence, std::uint64_t hash, Time now);

  // --- of this one ---
  void on_packet(const Ingest::Taken& packet, std::uint64_t hash, Time now);
  /// Does what is to be done to `ingest`, which is held back from its start. After each of the above, and when it is
  /// time.
  void run(Ingest& ingest, Moment now);
  Time next_deadline() const { return deadline_; }

  Aligned state() const { return state_; }
  /// As long as both agree, neither may move alone.
  bool agree() const { return state_ == Aligned::announcement || state_ == Aligned::payloads; }
  /// Ticks by which the other one's packets are known to be later than the same ones here; it is for the other to mend.
  std::int64_t off() const { return off_; }
  bool other_lives(Time now) const { return last_frame_ && now - *last_frame_ < kLife; }
  const AlignmentCounters& counters() const { return counters_; }

  /// Of a packet, never 0; of an empty one 0.
  static std::uint64_t hash(Bytes opus);

 private:
  static constexpr std::size_t kRun = 8;
  static constexpr std::size_t kOwn = 128;            // packets of this one that are compared
  static constexpr std::size_t kOther = 1024;         // at least a history of the other one's frames
  static constexpr Duration kLife = 1s;               // without a frame for so long it is not there
  static constexpr Duration kWaitAtStart = 1s;        // for the other one to be heard
  static constexpr Duration kFollowerWaits = 500ms;   // longer: when both start at once one of them leads
  static constexpr Duration kDiffers = 2s;            // who has come behind mends it at once, the other one after that
  static constexpr Duration kWaitForPackets = 500ms;  // and the time of kRun packets
  struct Seen {
    Sequence sequence;
    std::uint64_t hash = 0;
  };
  Duration wait_for_packets() const { return kWaitForPackets + static_cast<int>(kRun) * frame_; }
  bool follows() const { return behind_ || !lower_; }
  bool other_speaks(Time now) const { return last_audio_ && now - *last_audio_ < kLife; }
  std::optional<std::int64_t> announced() const;
  void match(Sequence own, Sequence other);
  const Seen* only(std::uint64_t hash) const;
  void settle(Ingest& ingest, std::int64_t by, Aligned how, Moment now);
  void move_own(std::int64_t by);

  const std::chrono::milliseconds frame_;
  const bool lower_;
  bool behind_ = false;   // this one's audio has come later
  bool started_ = false;  // ticks have left
  bool waits_for_leader_ = false;
  std::array<Seen, kOwn> own_{};
  std::unique_ptr<std::array<Seen, kOther>> other_;
  std::optional<wire::GroupInfo> statement_;
  std::optional<Time> last_frame_, last_audio_;
  Sequence newest_;  // of the other one's
  struct Own {
    std::uint32_t ssrc = 0, timestamp = 0;
    Sequence sequence;
  };
  std::optional<Own> packet_;  // the newest
  Time packet_at_;
  bool new_sender_ = false;  // its place is not settled
  std::optional<Time> differs_since_;
  std::optional<std::int64_t> matched_;
  Time deadline_;
  Aligned state_ = Aligned::seeking;
  std::int64_t off_ = 0;
  AlignmentCounters counters_;
};

}  // namespace tiercast::publish
