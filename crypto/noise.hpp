// Noise_IK_25519_ChaChaPoly_BLAKE2b and Noise_NK_… by the Noise Protocol Framework, revision 34. Two messages each.
#pragma once

#include <optional>

#include "crypto/keys.hpp"
#include "relay/wire/packets.hpp"

namespace tiercast::crypto {

/// What both sides hold after message 2.
struct TransportKeys {
  Secret<32> initiator_to_responder;
  Secret<32> responder_to_initiator;
  std::array<std::uint8_t, 64> handshake_hash{};
};

/// Bytes a message adds to its payload.
constexpr std::size_t noise_overhead(wire::Pattern pattern, int message) {
  return message == 1 && pattern == wire::Pattern::ik ? 32 + 48 + 16 : 32 + 16;
}

/// One side of one handshake. Any failure is final: the object is then of no use. Ephemerals come in as an argument
/// (fresh random ones in use, published ones under test).
class NoiseHandshake {
 public:
  /// `local_static` is read for IK only (may be null for NK).
  static NoiseHandshake initiator(wire::Pattern pattern, Bytes prologue, const PrivateKey* local_static,
                                  const PublicKey& remote_static, PrivateKey ephemeral);
  static NoiseHandshake responder(wire::Pattern pattern, Bytes prologue, const PrivateKey& local_static,
                                  PrivateKey ephemeral);

  /// The next message of this side: its length, or nullopt (out too short, wrong turn, or a low-order key).
  std::optional<std::size_t> write(Bytes payload, MutableBytes out);
  /// The other side's message: the payload's length, or nullopt (forged, wrong key, too short, wrong turn).
  std::optional<std::size_t> read(Bytes message, MutableBytes payload);

  /// IK's responder, after message 1 was read: who the initiator is.
  const PublicKey& remote_static() const { return remote_static_; }
  /// After message 2. Once.
  TransportKeys split();

 private:
  NoiseHandshake(wire::Pattern pattern, bool initiator, Bytes prologue, const PublicKey& responder_static);
  // SymmetricState and CipherState of the framework, §5.1 and §5.2: left to the implementation.
  struct Symmetric {
    Secret<64> chaining_key;
    Secret<32> cipher_key;
    std::array<std::uint8_t, 64> hash{};
    std::uint64_t nonce = 0;
    bool has_key = false;
  };
  Symmetric symmetric_;
  wire::Pattern pattern_;
  bool initiator_;
  int next_message_ = 1;
  std::optional<PrivateKey> local_static_;
  std::optional<PrivateKey> ephemeral_;
  PublicKey remote_static_{};
  PublicKey remote_ephemeral_{};
};

}  // namespace tiercast::crypto
