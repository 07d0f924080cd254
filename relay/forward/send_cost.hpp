// What a send takes, as measured: time per datagram, smoothed, so that a moment in which the thread had no processor
// tells little. Knows no clock.
#pragma once

#include <cstdint>

#include "relay/base/types.hpp"

namespace tiercast::forward {

class SendCost {
 public:
  void add(std::uint32_t datagrams, Duration took) {
    if (datagrams == 0 || took < Duration::zero()) return;
    datagrams_ += datagrams;
    ns_ += static_cast<double>(took.count());
  }
  /// Takes in what was added since the last call: of so many calls' mean, a tenth.
  void settle() {
    if (datagrams_ == 0) return;
    const double now = ns_ / static_cast<double>(datagrams_);
    smoothed_ = smoothed_ > 0 ? smoothed_ + (now - smoothed_) / 10 : now;
    datagrams_ = 0;
    ns_ = 0;
  }
  /// Nanoseconds a datagram; 0: nothing was measured yet.
  double ns() const { return smoothed_; }

 private:
  std::uint64_t datagrams_ = 0;  // since settle()
  double ns_ = 0;
  double smoothed_ = 0;
};

}  // namespace tiercast::forward
