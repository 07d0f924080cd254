#include "relay/net/buffer_ring.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>

namespace tiercast::net {
namespace {
constexpr unsigned kMostBuffers = 32768;  // the kernel's limit on a buffer ring
}

BufferRing::BufferRing(io_uring& ring, std::uint16_t group, unsigned count)
    : ring_(ring), group_(group), count_(std::bit_ceil(std::clamp(count, 1U, kMostBuffers))) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t entries = (count_ * sizeof(io_uring_buf) + page - 1) / page * page;
  mapped_ = entries + count_ * kSize;
  void* memory = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    error_ = errno;
    return;
  }
  entries_ = static_cast<io_uring_buf_ring*>(memory);
  buffers_ = static_cast<std::uint8_t*>(memory) + entries;

  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(entries_);
  registration.ring_entries = count_;
  registration.bgid = group_;
  if (const int result = io_uring_register_buf_ring(&ring_, &registration, 0); result < 0) {
    error_ = -result;
    return;
  }
  io_uring_buf_ring_init(entries_);
  for (unsigned id = 0; id < count_; ++id) add(static_cast<std::uint16_t>(id), static_cast<int>(id));
  io_uring_buf_ring_advance(entries_, static_cast<int>(count_));
}

BufferRing::~BufferRing() {
  if (entries_ == nullptr) return;
  if (error_ == 0) io_uring_unregister_buf_ring(&ring_, group_);
  munmap(entries_, mapped_);
}

void BufferRing::add(std::uint16_t id, int offset) {
  io_uring_buf_ring_add(entries_, buffers_ + std::size_t{id} * kSize, kSize, id, io_uring_buf_ring_mask(count_),
                        offset);
}

void BufferRing::give_back(std::uint16_t id) {
  add(id, 0);
  io_uring_buf_ring_advance(entries_, 1);
}

}  // namespace tiercast::net
