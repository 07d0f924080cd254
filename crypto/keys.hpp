// Node keys (X25519) and source or ticket keys (Ed25519), and their base64 text form (WireGuard's: one line, 44
// characters).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "crypto/secret.hpp"
#include "relay/base/random.hpp"

namespace tiercast::crypto {

using PublicKey = std::array<std::uint8_t, 32>;  // X25519 or Ed25519
using PrivateKey = Secret<32>;                   // X25519 scalar, or Ed25519 seed (RFC 8032 §5.1.5)

PrivateKey generate_private_key(Random& random);
/// RFC 7748.
PublicKey node_public_key(const PrivateKey& key);
/// RFC 8032.
PublicKey signing_public_key(const PrivateKey& seed);
/// RFC 7748 §6.1. False: the result would be all zeros (a point of low order); `out` is then zeros.
bool diffie_hellman(std::span<std::uint8_t, 32> out, const PrivateKey& own, const PublicKey& theirs);

/// The caller wipes the text of a private key.
std::string to_base64(Bytes key);
/// Strict: exactly the 44 characters of 32 bytes. nullopt otherwise. Constant time in the contents.
std::optional<PublicKey> public_key_from_base64(std::string_view text);
std::optional<PrivateKey> private_key_from_base64(std::string_view text);

/// First 8 bytes of BLAKE2b-256 over the public key, big-endian.
NodeId node_id(const PublicKey& key);

}  // namespace tiercast::crypto
