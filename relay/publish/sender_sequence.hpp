// One RTP sender's sequence numbers: unwrapped once, checked and counted as RFC 3550 §A.1 and §A.3 do.
// Must not know: timestamps, payloads, our own sequences.
#pragma once

#include "relay/base/types.hpp"

namespace tiercast::publish {

enum class Arrival : std::uint8_t {
  newer,      // above all before it, perhaps with some missing between
  older,      // below the newest and not seen before, as far as is remembered
  duplicate,  // seen before
  jump,       // far off: believed only if its successor follows
  restart,    // that successor: the sender has started again
};

struct Arrived {
  Arrival kind = Arrival::newer;
  std::int64_t number = 0;  // unwrapped; meaningless for jump and restart
};

class SenderSequence {
 public:
  SenderSequence(std::uint32_t ssrc, std::uint16_t first);

  Arrived on_packet(std::uint16_t sequence_number);
  std::uint32_t ssrc() const { return ssrc_; }
  std::int64_t newest() const { return newest_; }
  /// True if every number in [from, to) has arrived; false too for what lies too far back to be remembered.
  bool all_received(std::int64_t from, std::int64_t to) const;
  std::uint64_t received() const { return received_; }
  /// Expected minus received: the packets that have not come (yet).
  std::uint64_t lost() const;

 private:
  static constexpr int kMaxDropout = 3000;  // RFC 3550 §A.1
  static constexpr int kMaxMisorder = 100;  // RFC 3550 §A.1
  static constexpr std::int64_t kRemembered = 64;
  bool seen(std::int64_t number) const;

  std::uint32_t ssrc_;
  std::int64_t first_;
  std::int64_t newest_;
  std::uint64_t seen_ = 1;  // bit n: newest - n
  std::int32_t after_jump_ = -1;
  std::uint64_t received_ = 1;
};

}  // namespace tiercast::publish
