// Secrets in guarded, locked, wiped memory (sodium_malloc). Move-only; never printed, never compared but in constant
// time. Knows nothing of what a secret is for.
#pragma once

#include <array>
#include <cstring>

#include "relay/base/types.hpp"

namespace tiercast::crypto {

/// Initialises libsodium; call once before any thread. False: the library is unusable (exit 71).
bool initialise();
/// Wipes memory in a way the compiler keeps.
void wipe(MutableBytes secret);
/// Constant time. False also when the lengths differ.
bool equal(Bytes a, Bytes b);

/// `size` bytes of guarded memory, zeros at first. Up to 64 bytes are a cell of a shared guarded slab (no system call
/// but for a new slab), more are a mapping of their own. Throws std::bad_alloc when it cannot be had. A moved-from one
/// is empty: nothing but assigning and destroying is left to it.
class SecretMemory {
 public:
  explicit SecretMemory(std::size_t size);
  ~SecretMemory();
  SecretMemory(SecretMemory&& other) noexcept;
  SecretMemory& operator=(SecretMemory&& other) noexcept;
  SecretMemory(const SecretMemory&) = delete;
  SecretMemory& operator=(const SecretMemory&) = delete;
  MutableBytes bytes() { return {data_, size_}; }
  Bytes view() const { return {data_, size_}; }

 private:
  std::uint8_t* data_;
  std::size_t size_;
};

template <std::size_t N>
class Secret {
 public:
  Secret() : memory_(N) {}  // zeros
  explicit Secret(std::span<const std::uint8_t, N> from) : memory_(N) {
    std::memcpy(memory_.bytes().data(), from.data(), N);
  }
  std::span<std::uint8_t, N> bytes() { return memory_.bytes().template first<N>(); }
  std::span<const std::uint8_t, N> view() const { return memory_.view().template first<N>(); }

 private:
  SecretMemory memory_;
};

/// A short-lived secret on the stack: wiped when it goes.
template <std::size_t N>
class Scratch {
 public:
  Scratch() = default;
  ~Scratch() { wipe(bytes_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::span<std::uint8_t, N> bytes() { return std::span<std::uint8_t, N>{bytes_}; }
  std::span<const std::uint8_t, N> view() const { return std::span<const std::uint8_t, N>{bytes_}; }

 private:
  std::array<std::uint8_t, N> bytes_{};
};

}  // namespace tiercast::crypto
