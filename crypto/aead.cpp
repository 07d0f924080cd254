#include "crypto/aead.hpp"

#include <sodium.h>

namespace tiercast::crypto {

static_assert(crypto_aead_chacha20poly1305_ietf_ABYTES == wire::kTag);
static_assert(crypto_aead_chacha20poly1305_ietf_KEYBYTES == AeadKey::extent);
static_assert(crypto_aead_chacha20poly1305_ietf_NPUBBYTES == AeadNonce::extent);

std::size_t aead_seal(AeadKey key, AeadNonce nonce, Bytes associated, Bytes plain, MutableBytes out) {
  if (out.size() < wire::kTag || out.size() - wire::kTag < plain.size()) return 0;
  unsigned long long length = 0;
  crypto_aead_chacha20poly1305_ietf_encrypt(out.data(), &length, plain.data(), plain.size(), associated.data(),
                                            associated.size(), nullptr, nonce.data(), key.data());
  return static_cast<std::size_t>(length);
}

std::optional<std::size_t> aead_open(AeadKey key, AeadNonce nonce, Bytes associated, Bytes sealed, MutableBytes out) {
  if (sealed.size() < wire::kTag || out.size() < sealed.size() - wire::kTag) return std::nullopt;
  // A null output means "only verify" to libsodium; an empty plaintext may well come with an empty span.
  std::uint8_t nothing = 0;
  std::uint8_t* to = out.empty() ? &nothing : out.data();
  unsigned long long length = 0;
  if (crypto_aead_chacha20poly1305_ietf_decrypt(to, &length, nullptr, sealed.data(), sealed.size(), associated.data(),
                                                associated.size(), nonce.data(), key.data()) != 0)
    return std::nullopt;
  return static_cast<std::size_t>(length);
}

}  // namespace tiercast::crypto
