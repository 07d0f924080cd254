// Replay protection of one sender's counters under one key (RFC 4303 §3.4.3's window, 64 wide). One sender, one key:
// not to be confused with dedupe, which merges several parents.
#pragma once

#include <cstdint>

namespace tiercast::control {

class ReplayWindow {
 public:
  /// Would this counter be new? Asked before the AEAD, changes nothing.
  bool fresh(std::uint64_t counter) const {
    if (!any_ || counter > highest_) return true;
    const std::uint64_t back = highest_ - counter;
    return back < 64 && (seen_ >> back & 1) == 0;
  }
  /// Is it beyond all that were marked? What must not be undone by a datagram that was late asks this.
  bool newest(std::uint64_t counter) const { return !any_ || counter > highest_; }
  /// Marks it seen. Only after the AEAD has proven it.
  void mark(std::uint64_t counter) {
    if (!any_ || counter > highest_) {
      const std::uint64_t ahead = any_ ? counter - highest_ : 64;
      seen_ = ahead < 64 ? seen_ << ahead | 1 : 1;
      highest_ = counter;
      any_ = true;
    } else if (highest_ - counter < 64) {
      seen_ |= std::uint64_t{1} << (highest_ - counter);
    }
  }

 private:
  std::uint64_t highest_ = 0;
  std::uint64_t seen_ = 0;
  bool any_ = false;
};

}  // namespace tiercast::control
