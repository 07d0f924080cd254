// An io_uring with the newest flags that the kernel takes, or the reason why there is none.
#pragma once

#include <liburing.h>

#include <tl/expected.hpp>

#include "relay/net/error.hpp"

namespace tiercast::net {

/// Owns the ring. It is made disabled, so that the thread that enables it is the one that submits.
class Uring {
 public:
  static tl::expected<Uring, Error> create(unsigned submissions, unsigned completions);
  Uring(Uring&& other) noexcept : ring_(other.ring_), live_(std::exchange(other.live_, false)) {}
  Uring& operator=(Uring&&) = delete;
  ~Uring() {
    if (live_) io_uring_queue_exit(&ring_);
  }
  io_uring& get() { return ring_; }

 private:
  Uring() = default;
  io_uring ring_{};
  bool live_ = false;
};

/// Why io_uring_setup(2) failed with `error`, and what to change. `sysctl` is kernel.io_uring_disabled; -1: no such.
std::string io_uring_refusal(int error, int sysctl);

}  // namespace tiercast::net
