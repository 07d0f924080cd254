// What a slow reader has not taken yet: whole pieces of output (a tick's samples, a page), bounded in number. Knows no
// descriptor.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "relay/base/types.hpp"

namespace tiercast::node {

/// When it is full the oldest piece makes room: what a listener hears late is worth least. Never one whose first bytes
/// have been taken already, nor one that the rest is nothing without (a header).
class OutputQueue {
 public:
  explicit OutputQueue(std::size_t pieces) : slots_(std::max<std::size_t>(pieces, 1)) {}

  /// Copies it. A place's memory is kept for the next one in it.
  void push(Bytes piece, bool keep) {
    if (count_ == slots_.size() && !drop_oldest()) {
      ++dropped_;  // nothing but what must be kept
      return;
    }
    Slot& slot = at(count_++);
    slot.bytes.assign(piece.begin(), piece.end());
    slot.keep = keep;
  }
  bool empty() const { return count_ == 0; }
  std::size_t size() const { return count_; }
  /// That wait.
  std::size_t bytes() const {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < count_; ++i) sum += slots_[(first_ + i) % slots_.size()].bytes.size();
    return sum - taken_;
  }
  /// What is left of the oldest piece; only if there is one.
  Bytes front() const { return Bytes{slots_[first_].bytes}.subspan(taken_); }
  /// `bytes` of front() have gone, at most all of it. True: and with them the piece.
  bool take(std::size_t bytes) {
    taken_ += bytes;
    if (taken_ < slots_[first_].bytes.size()) return false;
    taken_ = 0;
    first_ = (first_ + 1) % slots_.size();
    --count_;
    return true;
  }
  /// Nobody will take what waits.
  void drop_all() {
    dropped_ += count_;
    count_ = taken_ = 0;
  }
  std::uint64_t dropped() const { return dropped_; }

 private:
  struct Slot {
    std::vector<std::uint8_t> bytes;
    bool keep = false;
  };
  Slot& at(std::size_t i) { return slots_[(first_ + i) % slots_.size()]; }
  bool drop_oldest() {
    for (std::size_t i = taken_ == 0 ? 0 : 1; i < count_; ++i) {
      if (at(i).keep) continue;
      for (; i > 0; --i) std::swap(at(i), at(i - 1));
      first_ = (first_ + 1) % slots_.size();
      --count_;
      ++dropped_;
      return true;
    }
    return false;
  }
  std::vector<Slot> slots_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::size_t taken_ = 0;  // bytes of the first
  std::uint64_t dropped_ = 0;
};

}  // namespace tiercast::node
