// The newest frames of each source as they came, for a while: a source's signature over one may come after it. Fixed
// storage. Must not know keys, or what is true.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "relay/wire/packets.hpp"

namespace tiercast::receive {

class RecentFrames {
 public:
  /// As many sequences as can be without an attestation, and what a changeover takes.
  static constexpr std::size_t kFrames = 128;

  /// Not `enabled`: keeps nothing.
  explicit RecentFrames(bool enabled) : frames_(enabled ? kFrames * wire::kMaxSources : 0) {}

  /// A FRAME without trailers, whole and of at most kMaxSealed bytes. `source`: its index.
  void keep(std::size_t source, Sequence sequence, Bytes datagram) {
    if (frames_.empty()) return;
    Frame& at = frames_[index(source, sequence)];
    if (at.sequence > sequence) return;
    at.sequence = sequence;
    at.length = static_cast<std::uint16_t>(datagram.size());
    std::copy(datagram.begin(), datagram.end(), at.bytes.begin());
  }
  /// Empty: it is not here.
  Bytes find(std::size_t source, Sequence sequence) const {
    if (frames_.empty()) return {};
    const Frame& at = frames_[index(source, sequence)];
    return at.sequence == sequence ? Bytes{at.bytes}.first(at.length) : Bytes{};
  }

 private:
  struct Frame {
    Sequence sequence;
    std::uint16_t length = 0;
    std::array<std::uint8_t, wire::kMaxSealed> bytes;
  };
  static std::size_t index(std::size_t source, Sequence sequence) {
    return source % wire::kMaxSources * kFrames + static_cast<std::size_t>(sequence.value % kFrames);
  }
  std::vector<Frame> frames_;
};

}  // namespace tiercast::receive
