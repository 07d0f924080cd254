// Noise_IK_25519_ChaChaPoly_BLAKE2b and Noise_NK_… by the Noise Protocol Framework, revision 34. Two messages each.
// Knows neither packets nor what the payloads say.
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

/// One side of one handshake. A failed write() is final. A message that read() refuses changes nothing: the true one
/// may still come, so that who only watches and forges faster cannot end a handshake. Ephemerals come in as an argument
/// (fresh random ones in use, published ones under test).
class NoiseHandshake {
 public:
  /// `local_static` is read for IK only (may be null for NK).
  static NoiseHandshake initiator(wire::Pattern pattern, Bytes prologue, const PrivateKey* local_static,
                                  const PublicKey& remote_static, PrivateKey ephemeral);
  static NoiseHandshake responder(wire::Pattern pattern, Bytes prologue, const PrivateKey& local_static,
                                  PrivateKey ephemeral);
  /// The same by who keeps its public key at hand (node_public_key(local_static)): a base point multiplication less.
  static NoiseHandshake responder(wire::Pattern pattern, Bytes prologue, const PrivateKey& local_static,
                                  const PublicKey& local_public, PrivateKey ephemeral);

  /// The next message of this side: its length, or nullopt (out too short, wrong turn, or a low-order key).
  std::optional<std::size_t> write(Bytes payload, MutableBytes out);
  /// The other side's message: the payload's length, or nullopt (forged, wrong key, too short, wrong turn, no
  /// room). `payload` may start where the message's payload does; when refused, what stands there is of no meaning.
  std::optional<std::size_t> read(Bytes message, MutableBytes payload);

  /// IK's responder, after message 1 was read: who the initiator is.
  const PublicKey& remote_static() const { return remote_static_; }
  /// After message 2. Once: asserted.
  TransportKeys split();

 private:
  NoiseHandshake(wire::Pattern pattern, bool initiator, Bytes prologue, const PublicKey& responder_static);
  bool mix_dh(const PrivateKey& own, const PublicKey& theirs);

  // SymmetricState and CipherState of the framework, §5.1 and §5.2.
  struct Symmetric {
    Symmetric copy() const;
    void initialise(std::string_view name);
    void mix_hash(Bytes data);
    void mix_key(Bytes input);
    std::size_t encrypt_and_hash(Bytes plain, MutableBytes out);
    std::optional<std::size_t> decrypt_and_hash(Bytes sealed, MutableBytes out);

    Secret<64> chaining_key;
    Secret<32> cipher_key;
    std::array<std::uint8_t, 64> hash{};
    std::uint64_t nonce = 0;
    bool has_key = false;
  };
  std::optional<std::size_t> read_parts(int message, Bytes in, MutableBytes payload);
  Symmetric symmetric_;
  wire::Pattern pattern_;
  bool initiator_;
  static constexpr int kComplete = 3;  // both messages are through
  static constexpr int kDead = 0;      // failed, or split
  int next_message_ = 1;
  std::optional<PrivateKey> local_static_;
  std::optional<PrivateKey> ephemeral_;
  PublicKey remote_static_{};
  PublicKey remote_ephemeral_{};
};

}  // namespace tiercast::crypto
