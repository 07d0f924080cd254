// A group's recent past: sealed frames by sequence, attestations by the order in which they came. What the feed writes
// here once is what every worker sends from, resends from, and what a joiner resumes from.
#pragma once

#include "relay/forward/slot_ring.hpp"
#include "relay/wire/packets.hpp"

namespace tiercast::forward {

class History {
 public:
  /// Room for `frames` frames (kHistory / frame length). Attestations: one every 500 ms and some spare.
  explicit History(std::size_t frames) : frames_(frames), attestations_(kSpare), opaque_(kSpare) {}

  // --- the feed's ---
  std::optional<MutableBytes> claim_frame(Sequence s) { return frames_.claim(s.value); }
  void publish_frame(Sequence s, std::size_t length) {
    frames_.publish(s.value, length, wire::kSignature);
    if (s.value > newest_.load(std::memory_order_relaxed)) newest_.store(s.value, std::memory_order_release);
  }
  /// Keeps an ATTEST; its number, or nullopt: readers hold the slots that are next.
  std::optional<std::uint64_t> add_attestation(Bytes datagram);

  /// Keeps a datagram of a type that is only passed on, for as long as workers need to send it.
  std::optional<std::uint64_t> add_opaque(Bytes datagram);

  // --- anybody's ---
  SlotRing::Pin frame(Sequence s) const { return frames_.pin(s.value); }
  bool has(Sequence s) const { return frames_.has(s.value); }
  SlotRing::Pin attestation(std::uint64_t number) const { return attestations_.pin(number); }
  SlotRing::Pin opaque(std::uint64_t number) const { return opaque_.pin(number); }
  /// The newest attestation that covers a sequence; `source`: of that one, if given.
  SlotRing::Pin attestation_covering(Sequence s, std::optional<SourceId> source = {}) const;
  /// Whose frame stands here for a sequence.
  std::optional<SourceId> source_of(Sequence s) const;
  /// 0: nothing yet.
  Sequence newest() const { return Sequence{newest_.load(std::memory_order_acquire)}; }
  std::size_t frames() const { return frames_.size(); }
  /// Older sequences than this are forgotten.
  Sequence oldest() const {
    const std::uint64_t newest = newest_.load(std::memory_order_acquire);
    return Sequence{newest >= frames_.size() ? newest - frames_.size() + 1 : 0};
  }
  std::size_t bytes_reserved() const {
    return frames_.bytes_reserved() + attestations_.bytes_reserved() + opaque_.bytes_reserved();
  }

 private:
  static constexpr std::size_t kSpare = 64;
  static constexpr std::uint64_t kTries = 4;
  SlotRing frames_;
  SlotRing attestations_;
  SlotRing opaque_;
  std::atomic<std::uint64_t> newest_{0};
  std::atomic<std::uint64_t> attested_{0};
  std::uint64_t opaques_ = 0;
};

}  // namespace tiercast::forward
