// The newest frames of a source that is not the active one, with their signatures, for when they are needed: a few,
// fixed storage. Must not know why, or whether they are proven.
#pragma once

#include <algorithm>
#include <array>
#include <memory>

#include "relay/wire/packets.hpp"

namespace tiercast::forward {

class SpareFrames {
 public:
  /// More than the silence limit has, and than two ways differ by.
  static constexpr std::size_t kFrames = 32;

  struct Frame {
    wire::Header header;   // sequence 0: nothing is here
    bool waiting = false;  // may be of use yet; else kept to know its copies by
    std::uint16_t length = 0;
    std::array<std::uint8_t, wire::kMaxSealed + wire::kSignature> bytes;
    Bytes sealed() const { return Bytes{bytes}.first(length); }
    Bytes signature() const { return Bytes{bytes}.subspan(length, wire::kSignature); }
  };

  /// Not `enabled`: has no room, and is given nothing.
  explicit SpareFrames(bool enabled) : frames_(enabled ? std::make_unique<Frame[]>(kFrames) : nullptr) {}

  /// An equal copy is here.
  bool holds(const wire::Header& header, Bytes sealed, Bytes signature) const {
    const Frame& at = frames_[header.sequence.value % kFrames];
    return at.header.sequence == header.sequence && std::ranges::equal(at.sealed(), sealed) &&
           std::ranges::equal(at.signature(), signature);
  }
  /// In the place of an older one; a newer one stays, and the first one of a sequence that waits.
  void keep(const wire::Header& header, Bytes sealed, Bytes signature) {
    Frame& at = frames_[header.sequence.value % kFrames];
    if (at.header.sequence > header.sequence || (at.waiting && at.header.sequence == header.sequence)) return;
    at.header = header;
    at.waiting = true;
    at.length = static_cast<std::uint16_t>(sealed.size());
    std::copy(sealed.begin(), sealed.end(), at.bytes.begin());
    std::copy(signature.begin(), signature.end(), at.bytes.begin() + static_cast<std::ptrdiff_t>(sealed.size()));
  }
  /// Of those that wait the one with the lowest sequence.
  const Frame* lowest() const {
    const Frame* found = nullptr;
    for (std::size_t i = 0; frames_ && i < kFrames; ++i) {
      const Frame& at = frames_[i];
      if (at.waiting && (found == nullptr || at.header.sequence < found->header.sequence)) found = &at;
    }
    return found;
  }
  void done(Sequence sequence) { frames_[sequence.value % kFrames].waiting = false; }

 private:
  std::unique_ptr<Frame[]> frames_;
};

}  // namespace tiercast::forward
