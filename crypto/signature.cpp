#include "crypto/signature.hpp"

#include <sodium.h>

#include <cassert>

#include "crypto/blake2b.hpp"

namespace tiercast::crypto {
namespace {

constexpr std::string_view kFrameLabel = "tiercast frame v1";
constexpr std::string_view kAttestLabel = "tiercast attest v1";
constexpr std::string_view kEpochLabel = "tiercast epoch v1";

/// label ‖ message in one piece, as RFC 8032's Ed25519 reads its message twice.
class Labelled {
 public:
  Labelled(Bytes label, Bytes message) : writer_(buffer_) { writer_.bytes(label).bytes(message); }
  bool fits() const { return writer_.ok(); }
  Bytes bytes() const { return writer_.written(); }

 private:
  std::array<std::uint8_t, kMaxSigned> buffer_{};
  Writer writer_;
};

}  // namespace

SourceSigner::SourceSigner(const PrivateKey& seed) : public_key_{} {
  crypto_sign_ed25519_seed_keypair(public_key_.data(), secret_key_.bytes().data(), seed.view().data());
}

Signature SourceSigner::sign(Bytes label, Bytes message) const {
  const Labelled labelled{label, message};
  assert(labelled.fits());
  Signature out{};
  crypto_sign_ed25519_detached(out.data(), nullptr, labelled.bytes().data(), labelled.bytes().size(),
                               secret_key_.view().data());
  return out;
}

Signature SourceSigner::sign_frame(Bytes datagram) const {
  assert(datagram.size() <= wire::kMaxSealed);
  return sign(as_bytes(kFrameLabel), datagram);
}

Signature SourceSigner::sign_attest(Bytes signed_part) const { return sign(as_bytes(kAttestLabel), signed_part); }

Signature SourceSigner::sign_epoch(const wire::EpochRecord& epoch) const {
  return sign(as_bytes(kEpochLabel), wire::signed_part(epoch));
}

bool verify(const PublicKey& source, Bytes label, Bytes message, Bytes signature) {
  const Labelled labelled{label, message};
  return labelled.fits() && signature.size() == wire::kSignature &&
         crypto_sign_ed25519_verify_detached(signature.data(), labelled.bytes().data(), labelled.bytes().size(),
                                             source.data()) == 0;
}

bool verify_frame(const PublicKey& source, Bytes datagram, Bytes signature) {
  return datagram.size() <= wire::kMaxSealed && verify(source, as_bytes(kFrameLabel), datagram, signature);
}

bool verify_attest(const PublicKey& source, Bytes signed_part, Bytes signature) {
  return verify(source, as_bytes(kAttestLabel), signed_part, signature);
}

bool verify_epoch(const PublicKey& source, const wire::EpochRecord& epoch) {
  return verify(source, as_bytes(kEpochLabel), wire::signed_part(epoch), epoch.signature);
}

AttestHash attest_hash(Bytes datagram) {
  AttestHash out{};
  Blake2b{out.size()}.add(datagram).finish(out);
  return out;
}

LinkMac link_mac(std::span<const std::uint8_t, 32> key, Bytes datagram, Bytes signature) {
  LinkMac out{};
  Blake2b{out.size(), key}.add(datagram).add(signature).finish(out);
  return out;
}

bool verify_link_mac(std::span<const std::uint8_t, 32> key, Bytes all_before, Bytes mac) {
  return equal(link_mac(key, all_before), mac);
}

}  // namespace tiercast::crypto
