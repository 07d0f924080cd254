// Who speaks, proven: the source's Ed25519 signatures (RFC 8032) over frames and attestations, and the relay link's
// MAC.
#pragma once

#include "crypto/keys.hpp"
#include "relay/wire/packets.hpp"
#include "relay/wire/records.hpp"

namespace tiercast::crypto {

using Signature = std::array<std::uint8_t, wire::kSignature>;
using AttestHash = std::array<std::uint8_t, wire::kAttestHash>;
using LinkMac = std::array<std::uint8_t, wire::kLinkMac>;

inline constexpr std::size_t kMaxSigned = 32 + wire::kMaxDatagram;  // a label and a datagram

/// Signs as one source. Holds the expanded secret key in guarded memory.
class SourceSigner {
 public:
  explicit SourceSigner(const PrivateKey& seed);
  const PublicKey& public_key() const { return public_key_; }
  /// Ed25519 over "tiercast frame v1" ‖ datagram (header, ciphertext, tag). datagram ≤ kMaxSealed.
  Signature sign_frame(Bytes datagram) const;
  /// Ed25519 over "tiercast attest v1" ‖ signed_part (header to hashes).
  Signature sign_attest(Bytes signed_part) const;
  /// Ed25519 over "tiercast epoch v1" ‖ wire::signed_part(epoch).
  Signature sign_epoch(const wire::EpochRecord& epoch) const;
  /// Ed25519 over label ‖ message, together ≤ kMaxSigned bytes: what all of the above are.
  Signature sign(Bytes label, Bytes message) const;

 private:
  Secret<64> secret_key_;
  PublicKey public_key_;
};

/// All verifiers: false also when the signature is not 64 bytes, or the message longer than anything that is signed.
bool verify(const PublicKey& source, Bytes label, Bytes message, Bytes signature);
bool verify_frame(const PublicKey& source, Bytes datagram, Bytes signature);
bool verify_attest(const PublicKey& source, Bytes signed_part, Bytes signature);
bool verify_epoch(const PublicKey& source, const wire::EpochRecord& epoch);

/// BLAKE2b-128 of a FRAME datagram (header, ciphertext, tag).
AttestHash attest_hash(Bytes datagram);

/// Keyed BLAKE2b-128 over all bytes before it on a relay link.
LinkMac link_mac(std::span<const std::uint8_t, 32> key, Bytes datagram, Bytes signature = {});
/// Constant time.
bool verify_link_mac(std::span<const std::uint8_t, 32> key, Bytes all_before, Bytes mac);

}  // namespace tiercast::crypto
