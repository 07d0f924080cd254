// BLAKE2b (RFC 7693), piece by piece, keyed or not: under every MAC, hash and key derivation here.
#pragma once

#include <sodium/crypto_generichash_blake2b.h>

#include <string_view>

#include "relay/base/types.hpp"

namespace tiercast::crypto {

/// One hash of `length` bytes (16 to 64). `key` is empty or 16 to 64 bytes. The state is wiped when it goes.
class Blake2b {
 public:
  explicit Blake2b(std::size_t length, Bytes key = {});
  ~Blake2b();
  Blake2b(const Blake2b&) = delete;
  Blake2b& operator=(const Blake2b&) = delete;
  Blake2b& add(Bytes piece);
  Blake2b& add(std::string_view piece);
  /// Once. `out` has the length given at construction.
  void finish(MutableBytes out);

 private:
  crypto_generichash_blake2b_state state_;
  std::size_t length_;
};

inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace tiercast::crypto
