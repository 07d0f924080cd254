#include "crypto/blake2b.hpp"

#include <sodium.h>

#include <cassert>

namespace tiercast::crypto {

Blake2b::Blake2b(std::size_t length, Bytes key) : length_(length) {
  assert(length >= crypto_generichash_blake2b_BYTES_MIN && length <= crypto_generichash_blake2b_BYTES_MAX);
  assert(key.empty() || (key.size() >= crypto_generichash_blake2b_KEYBYTES_MIN &&
                         key.size() <= crypto_generichash_blake2b_KEYBYTES_MAX));
  crypto_generichash_blake2b_init(&state_, key.empty() ? nullptr : key.data(), key.size(), length);
}

Blake2b::~Blake2b() { sodium_memzero(&state_, sizeof state_); }

Blake2b& Blake2b::add(Bytes piece) {
  crypto_generichash_blake2b_update(&state_, piece.data(), piece.size());
  return *this;
}

Blake2b& Blake2b::add(std::string_view piece) { return add(as_bytes(piece)); }

void Blake2b::finish(MutableBytes out) {
  assert(out.size() == length_);
  crypto_generichash_blake2b_final(&state_, out.data(), out.size());
}

}  // namespace tiercast::crypto
