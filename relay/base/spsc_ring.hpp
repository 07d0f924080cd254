// A bounded single-producer single-consumer ring: the only way between the feed and a worker.
#pragma once

#include <atomic>
#include <bit>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include "relay/base/types.hpp"

namespace tiercast {

/// T is default-constructible and movable. Capacity is rounded up to a power of two; nothing is allocated after
/// construction. push() fails when full: the producer counts that and goes on.
template <class T>
class SpscRing {  // NOLINT(clang-analyzer-optin.performance.Padding): two ends, a cache line each
 public:
  explicit SpscRing(std::size_t capacity)
      : mask_(std::bit_ceil(capacity < 2 ? std::size_t{2} : capacity) - 1), slots_(std::make_unique<T[]>(mask_ + 1)) {}

  bool push(T&& item) {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    if (head - cached_tail_ > mask_) {
      cached_tail_ = tail_.load(std::memory_order_acquire);
      if (head - cached_tail_ > mask_) return false;
    }
    slots_[head & mask_] = std::move(item);
    head_.store(head + 1, std::memory_order_release);
    return true;
  }

  std::optional<T> pop() {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail == cached_head_) {
      cached_head_ = head_.load(std::memory_order_acquire);
      if (tail == cached_head_) return std::nullopt;
    }
    std::optional<T> item{std::move(slots_[tail & mask_])};
    tail_.store(tail + 1, std::memory_order_release);
    return item;
  }

  /// The producer's: less than a quarter is free.
  bool nearly_full() {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    cached_tail_ = tail_.load(std::memory_order_acquire);
    return head - cached_tail_ > (mask_ + 1) / 4 * 3;
  }

  /// The producer's: how many the consumer has taken so far, and whether that is all.
  std::size_t taken() const { return tail_.load(std::memory_order_acquire); }
  bool all_taken() const { return head_.load(std::memory_order_relaxed) == taken(); }

  std::size_t capacity() const { return mask_ + 1; }

 private:
  static constexpr std::size_t kLine = 64;
  const std::size_t mask_;
  std::unique_ptr<T[]> slots_;
  alignas(kLine) std::atomic<std::size_t> head_{0};
  std::size_t cached_tail_ = 0;  // producer's
  alignas(kLine) std::atomic<std::size_t> tail_{0};
  std::size_t cached_head_ = 0;  // consumer's
};

}  // namespace tiercast
