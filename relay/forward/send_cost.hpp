// What a send takes, as measured: time per datagram, of the last some ten thousand. Knows no clock.
#pragma once

#include <cstdint>
#include <optional>

#include "relay/base/types.hpp"

namespace tiercast::forward {

class SendCost {
 public:
  void add(std::uint32_t datagrams, Duration took) {
    if (datagrams == 0 || took < Duration::zero()) return;
    datagrams_ += datagrams;
    ns_ += static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(took).count());
    if (datagrams_ < kRemembered) return;
    datagrams_ /= 2;
    ns_ /= 2;
  }
  /// Nanoseconds a datagram; 0: nothing was measured yet.
  double ns() const { return datagrams_ >= 1 ? ns_ / datagrams_ : 0; }

 private:
  static constexpr double kRemembered = 65536;
  double datagrams_ = 0;
  double ns_ = 0;
};

}  // namespace tiercast::forward
