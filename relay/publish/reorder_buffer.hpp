// Packets that wait for their turn, in the order of their sequences: fixed storage, no allocation after construction.
// Must not know: RTP, Opus, when a packet may leave.
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <memory>

#include "relay/base/inline_vector.hpp"
#include "relay/wire/limits.hpp"

namespace tiercast::publish {

struct HeldPacket {
  Sequence sequence;
  std::uint64_t sender = 0;  // which one, counted from the start
  std::int64_t number = 0;   // the sender's own, unwrapped
  Time arrived;
  bool released = false;  // waits for nothing before it
  std::uint32_t ssrc = 0;
  std::uint32_t rtp_timestamp = 0;
  Bytes opus;  // at most kMaxOpus; a view into the buffer once held
};

class ReorderBuffer {
 public:
  static constexpr std::size_t kCapacity = 64;

  ReorderBuffer() : payloads_(std::make_unique<Payload[]>(kCapacity)) {
    for (std::uint8_t i = 0; i < kCapacity; ++i) free_.push_back(i);
  }

  bool empty() const { return order_.empty(); }
  bool full() const { return order_.full(); }
  const HeldPacket& front() const { return packets_[order_[0]]; }
  const HeldPacket& back() const { return packets_[order_[order_.size() - 1]]; }
  bool contains(Sequence sequence) const {
    for (std::uint8_t at : order_)
      if (packets_[at].sequence == sequence) return true;
    return false;
  }
  /// Copies the payload. Not when full, nor for a sequence that is held.
  void insert(const HeldPacket& packet) {
    assert(!full() && packet.opus.size() <= wire::kMaxOpus && !contains(packet.sequence));
    const std::uint8_t at = free_.back();
    free_.erase_at(free_.size() - 1);
    packets_[at] = packet;
    std::memcpy(payloads_[at].data(), packet.opus.data(), packet.opus.size());
    packets_[at].opus = Bytes{payloads_[at]}.first(packet.opus.size());
    order_.push_back(at);
    for (std::size_t i = order_.size() - 1; i > 0 && packets_[order_[i - 1]].sequence > packet.sequence; --i)
      std::swap(order_[i - 1], order_[i]);
  }
  /// The payload's bytes stay as they are until the next insert().
  HeldPacket take_front() {
    const std::uint8_t at = order_[0];
    order_.erase_at(0);
    free_.push_back(at);
    return packets_[at];
  }
  void release_all() {
    for (std::uint8_t at : order_) packets_[at].released = true;
  }
  /// The sequences of that sender's packets, which are the last ones, are so much higher.
  void shift(std::int64_t by, std::uint64_t sender) {
    for (std::uint8_t at : order_)
      if (packets_[at].sender == sender) packets_[at].sequence.value += static_cast<std::uint64_t>(by);
    std::sort(order_.begin(), order_.end(),
              [this](std::uint8_t a, std::uint8_t b) { return packets_[a].sequence < packets_[b].sequence; });
  }
  /// When the first of those held came. Not when empty.
  Time earliest_arrival() const {
    Time earliest = Time::max();
    for (std::uint8_t at : order_) earliest = std::min(earliest, packets_[at].arrived);
    return earliest;
  }

 private:
  using Payload = std::array<std::uint8_t, wire::kMaxOpus>;
  std::unique_ptr<Payload[]> payloads_;
  std::array<HeldPacket, kCapacity> packets_{};
  InlineVector<std::uint8_t, kCapacity> order_;
  InlineVector<std::uint8_t, kCapacity> free_;
};

}  // namespace tiercast::publish
