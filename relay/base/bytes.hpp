// Reading and writing of numbers, big-endian as the protocol is, with bounds that cannot be forgotten.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>

#include "relay/base/types.hpp"

namespace tiercast {

/// Reads `N` bytes at `p` as a big-endian number. The caller has checked the length.
template <std::size_t N>
constexpr std::uint64_t load_be(const std::uint8_t* p) {
  static_assert(N >= 1 && N <= 8);
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < N; ++i) v = v << 8 | p[i];
  return v;
}

/// The same of a little-endian one, as files have them.
template <std::size_t N>
constexpr std::uint64_t load_le(const std::uint8_t* p) {
  static_assert(N >= 1 && N <= 8);
  std::uint64_t v = 0;
  for (std::size_t i = N; i-- > 0;) v = v << 8 | p[i];
  return v;
}

/// Writes the low `N` bytes of `v` at `p`, big-endian.
template <std::size_t N>
constexpr void store_be(std::uint8_t* p, std::uint64_t v) {
  static_assert(N >= 1 && N <= 8);
  for (std::size_t i = N; i-- > 0; v >>= 8) p[i] = static_cast<std::uint8_t>(v);
}

/// A cursor over received bytes. The first read past the end fails it for good; later reads give zeros.
class Reader {
 public:
  explicit Reader(Bytes bytes) : rest_(bytes) {}
  bool ok() const { return ok_; }
  std::size_t left() const { return rest_.size(); }
  std::uint8_t u8() { return static_cast<std::uint8_t>(number<1>()); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(number<2>()); }
  std::uint32_t u24() { return static_cast<std::uint32_t>(number<3>()); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(number<4>()); }
  std::uint64_t u48() { return number<6>(); }
  std::uint64_t u64() { return number<8>(); }
  Bytes bytes(std::size_t n) {
    if (n > rest_.size()) return fail();
    Bytes taken = rest_.first(n);
    rest_ = rest_.subspan(n);
    return taken;
  }
  Bytes all() { return bytes(rest_.size()); }
  template <std::size_t N>
  std::array<std::uint8_t, N> array() {
    std::array<std::uint8_t, N> out{};
    Bytes taken = bytes(N);
    std::copy(taken.begin(), taken.end(), out.begin());
    return out;
  }

 private:
  template <std::size_t N>
  std::uint64_t number() {
    Bytes taken = bytes(N);
    return taken.empty() ? 0 : load_be<N>(taken.data());
  }
  Bytes fail() {
    ok_ = false;
    rest_ = {};
    return {};
  }
  Bytes rest_;
  bool ok_ = true;
};

/// A cursor over a buffer to fill. What does not fit fails it for good and is not written.
class Writer {
 public:
  explicit Writer(MutableBytes buffer) : buffer_(buffer) {}
  bool ok() const { return ok_; }
  std::size_t size() const { return size_; }
  std::size_t left() const { return buffer_.size() - size_; }
  Bytes written() const { return Bytes{buffer_}.first(size_); }
  MutableBytes rest() { return buffer_.subspan(size_); }
  Writer& u8(std::uint64_t v) { return number<1>(v); }
  Writer& u16(std::uint64_t v) { return number<2>(v); }
  Writer& u24(std::uint64_t v) { return number<3>(v); }
  Writer& u32(std::uint64_t v) { return number<4>(v); }
  Writer& u48(std::uint64_t v) { return number<6>(v); }
  Writer& u64(std::uint64_t v) { return number<8>(v); }
  Writer& bytes(Bytes from) {
    if (std::uint8_t* at = take(from.size()); at && !from.empty()) std::memcpy(at, from.data(), from.size());
    return *this;
  }
  Writer& zeros(std::size_t n) {
    if (std::uint8_t* at = take(n)) std::fill_n(at, n, std::uint8_t{0});
    return *this;
  }
  /// Counts `n` bytes as written that the caller put at rest() itself.
  Writer& advance(std::size_t n) {
    take(n);
    return *this;
  }

 private:
  template <std::size_t N>
  Writer& number(std::uint64_t v) {
    if (std::uint8_t* at = take(N)) store_be<N>(at, v);
    return *this;
  }
  std::uint8_t* take(std::size_t n) {
    if (!ok_ || n > left()) {
      ok_ = false;
      return nullptr;
    }
    std::uint8_t* at = buffer_.data() + size_;
    size_ += n;
    return at;
  }
  MutableBytes buffer_;
  std::size_t size_ = 0;
  bool ok_ = true;
};

}  // namespace tiercast
