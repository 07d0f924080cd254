// A ring of receive buffers that the kernel picks from (io_uring provided buffers). liburing 2.3 has no helper to set
// one up: page-aligned memory and io_uring_register_buf_ring.
#pragma once

#include <liburing.h>

#include "relay/base/types.hpp"

namespace tiercast::net {

class BufferRing {
 public:
  /// Maps `count` buffers (rounded up to a power of two, at most 32768) and registers them as `group`.
  /// errno() of what failed is in error(); then the ring is unusable.
  BufferRing(io_uring& ring, std::uint16_t group, unsigned count);
  /// Unregisters; the kernel must have completed every receive that uses the group.
  ~BufferRing();
  BufferRing(const BufferRing&) = delete;
  BufferRing& operator=(const BufferRing&) = delete;

  int error() const { return error_; }
  unsigned count() const { return count_; }
  /// Bytes in one buffer: the kernel's header, address and control data, and a payload of any datagram that fits
  /// Ethernet.
  static constexpr std::size_t kSize = 2048;

  MutableBytes buffer(std::uint16_t id) { return {buffers_ + std::size_t{id} * kSize, kSize}; }
  /// Hands a buffer back to the kernel.
  void give_back(std::uint16_t id);

 private:
  void add(std::uint16_t id, int offset);

  io_uring& ring_;
  std::uint16_t group_;
  unsigned count_;
  int error_ = 0;
  std::size_t mapped_ = 0;
  io_uring_buf_ring* entries_ = nullptr;
  std::uint8_t* buffers_ = nullptr;
};

}  // namespace tiercast::net
