// A vector with its storage inside and a fixed capacity: bounded, allocates nothing.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>

namespace tiercast {

template <class T, std::size_t N>
class InlineVector {
 public:
  constexpr std::size_t size() const { return size_; }
  constexpr bool empty() const { return size_ == 0; }
  constexpr bool full() const { return size_ == N; }
  static constexpr std::size_t capacity() { return N; }
  /// False (and nothing changed) when full.
  constexpr bool push_back(const T& item) {
    if (full()) return false;
    items_[size_++] = item;
    return true;
  }
  constexpr void erase_at(std::size_t at) {
    assert(at < size_);
    for (std::size_t i = at + 1; i < size_; ++i) items_[i - 1] = items_[i];
    --size_;
  }
  constexpr void clear() { size_ = 0; }
  constexpr T& operator[](std::size_t i) { return items_[i]; }
  constexpr const T& operator[](std::size_t i) const { return items_[i]; }
  constexpr T& back() { return items_[size_ - 1]; }
  constexpr T* begin() { return items_.data(); }
  constexpr T* end() { return items_.data() + size_; }
  constexpr const T* begin() const { return items_.data(); }
  constexpr const T* end() const { return items_.data() + size_; }

 private:
  std::array<T, N> items_{};
  std::size_t size_ = 0;
};

}  // namespace tiercast
