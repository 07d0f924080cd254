#include "crypto/keys.hpp"

#include <sodium.h>

#include "crypto/base64.hpp"
#include "crypto/blake2b.hpp"

namespace tiercast::crypto {
PrivateKey generate_private_key(Random& random) {
  PrivateKey key;
  random.fill(key.bytes());
  return key;
}

PublicKey node_public_key(const PrivateKey& key) {
  PublicKey out;
  crypto_scalarmult_curve25519_base(out.data(), key.view().data());
  return out;
}

PublicKey signing_public_key(const PrivateKey& seed) {
  PublicKey out;
  Scratch<crypto_sign_ed25519_SECRETKEYBYTES> expanded;
  crypto_sign_ed25519_seed_keypair(out.data(), expanded.bytes().data(), seed.view().data());
  return out;
}

bool diffie_hellman(std::span<std::uint8_t, 32> out, const PrivateKey& own, const PublicKey& theirs) {
  // libsodium refuses points of low order and all-zero results (RFC 7748 §6.1, last paragraph).
  if (crypto_scalarmult_curve25519(out.data(), own.view().data(), theirs.data()) == 0) return true;
  wipe(out);
  return false;
}

std::string to_base64(Bytes key) {
  std::string text(sodium_base64_encoded_len(key.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(text.data(), text.size(), key.data(), key.size(), sodium_base64_VARIANT_ORIGINAL);
  text.pop_back();  // its terminating zero
  return text;
}

std::optional<PublicKey> public_key_from_base64(std::string_view text) {
  PublicKey key{};
  if (!from_base64(text, key)) return std::nullopt;
  return key;
}

std::optional<PrivateKey> private_key_from_base64(std::string_view text) {
  PrivateKey key;
  if (!from_base64(text, key.bytes())) return std::nullopt;
  return key;
}

NodeId node_id(const PublicKey& key) {
  std::array<std::uint8_t, 32> hash{};
  Blake2b{hash.size()}.add(key).finish(hash);
  return NodeId{load_be<8>(hash.data())};
}

}  // namespace tiercast::crypto
