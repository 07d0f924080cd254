#include "crypto/noise.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "crypto/aead.hpp"
#include "crypto/blake2b.hpp"

namespace tiercast::crypto {
namespace {

constexpr std::size_t kHash = 64;    // HASHLEN of BLAKE2b
constexpr std::size_t kBlock = 128;  // its BLOCKLEN
constexpr std::size_t kKey = 32;     // DHLEN and the cipher's key

constexpr std::string_view name_of(wire::Pattern pattern) {
  return pattern == wire::Pattern::ik ? "Noise_IK_25519_ChaChaPoly_BLAKE2b" : "Noise_NK_25519_ChaChaPoly_BLAKE2b";
}
static_assert(name_of(wire::Pattern::ik).size() <= kHash && name_of(wire::Pattern::nk).size() <= kHash);

/// RFC 2104 over unkeyed BLAKE2b, as the framework's §4.3 wants it: not BLAKE2b's own keyed mode. The key is one hash.
void hmac(std::span<const std::uint8_t, kHash> key, Bytes first, Bytes second, std::span<std::uint8_t, kHash> out) {
  Scratch<kBlock> pad;
  Scratch<kHash> inner;
  const auto padded = [&](std::uint8_t with) -> Bytes {
    std::fill(pad.bytes().begin(), pad.bytes().end(), with);
    for (std::size_t i = 0; i < kHash; ++i) pad.bytes()[i] ^= key[i];
    return pad.view();
  };
  Blake2b{kHash}.add(padded(0x36)).add(first).add(second).finish(inner.bytes());
  Blake2b{kHash}.add(padded(0x5c)).add(inner.view()).finish(out);
}

/// §4.3's HKDF with two outputs.
void hkdf(std::span<const std::uint8_t, kHash> chaining_key, Bytes input, std::span<std::uint8_t, kHash> first,
          std::span<std::uint8_t, kHash> second) {
  static constexpr std::array<std::uint8_t, 1> kOne{1};
  static constexpr std::array<std::uint8_t, 1> kTwo{2};
  Scratch<kHash> temporary;
  hmac(chaining_key, input, {}, temporary.bytes());
  hmac(temporary.view(), kOne, {}, first);
  hmac(temporary.view(), first, kTwo, second);
}

/// §12.3: 32 zero bits, then the number little-endian (unlike all else here).
std::array<std::uint8_t, 12> noise_nonce(std::uint64_t n) {
  std::array<std::uint8_t, 12> nonce{};
  for (std::size_t i = 0; i < 8; ++i) nonce[4 + i] = static_cast<std::uint8_t>(n >> (8 * i));
  return nonce;
}

}  // namespace

// --- SymmetricState and its CipherState, §5.1 and §5.2 ---

void NoiseHandshake::Symmetric::initialise(std::string_view name) {
  std::copy(name.begin(), name.end(), hash.begin());  // shorter than a hash: padded with zeros
  std::copy(hash.begin(), hash.end(), chaining_key.bytes().begin());
}

NoiseHandshake::Symmetric NoiseHandshake::Symmetric::copy() const {
  Symmetric out;
  std::copy(chaining_key.view().begin(), chaining_key.view().end(), out.chaining_key.bytes().begin());
  std::copy(cipher_key.view().begin(), cipher_key.view().end(), out.cipher_key.bytes().begin());
  out.hash = hash;
  out.nonce = nonce;
  out.has_key = has_key;
  return out;
}

void NoiseHandshake::Symmetric::mix_hash(Bytes data) { Blake2b{kHash}.add(hash).add(data).finish(hash); }

void NoiseHandshake::Symmetric::mix_key(Bytes input) {
  Scratch<kHash> next;
  Scratch<kHash> key;
  hkdf(chaining_key.view(), input, next.bytes(), key.bytes());
  std::copy(next.view().begin(), next.view().end(), chaining_key.bytes().begin());
  std::copy_n(key.view().begin(), kKey, cipher_key.bytes().begin());
  nonce = 0;
  has_key = true;
}

std::size_t NoiseHandshake::Symmetric::encrypt_and_hash(Bytes plain, MutableBytes out) {
  assert(has_key);  // in both patterns a DH comes before anything that is encrypted
  const std::size_t length = aead_seal(cipher_key.view(), noise_nonce(nonce++), hash, plain, out);
  mix_hash(out.first(length));
  return length;
}

std::optional<std::size_t> NoiseHandshake::Symmetric::decrypt_and_hash(Bytes sealed, MutableBytes out) {
  assert(has_key);
  // The ciphertext is hashed, and opening in place would overwrite it: hash first, with the old hash at hand.
  const auto before = hash;
  mix_hash(sealed);
  return aead_open(cipher_key.view(), noise_nonce(nonce++), before, sealed, out);
}

// --- HandshakeState, §5.3: IK  <- s … -> e, es, s, ss  <- e, ee, se;  NK  <- s … -> e, es  <- e, ee ---

NoiseHandshake::NoiseHandshake(wire::Pattern pattern, bool initiator, Bytes prologue, const PublicKey& responder_static)
    : pattern_(pattern), initiator_(initiator) {
  symmetric_.initialise(name_of(pattern));
  symmetric_.mix_hash(prologue);
  symmetric_.mix_hash(responder_static);
}

NoiseHandshake NoiseHandshake::initiator(wire::Pattern pattern, Bytes prologue, const PrivateKey* local_static,
                                         const PublicKey& remote_static, PrivateKey ephemeral) {
  assert(pattern == wire::Pattern::nk || local_static != nullptr);
  NoiseHandshake out{pattern, true, prologue, remote_static};
  out.remote_static_ = remote_static;
  if (pattern == wire::Pattern::ik) out.local_static_.emplace(local_static->view());
  out.ephemeral_ = std::move(ephemeral);
  return out;
}

NoiseHandshake NoiseHandshake::responder(wire::Pattern pattern, Bytes prologue, const PrivateKey& local_static,
                                         PrivateKey ephemeral) {
  return responder(pattern, prologue, local_static, node_public_key(local_static), std::move(ephemeral));
}

NoiseHandshake NoiseHandshake::responder(wire::Pattern pattern, Bytes prologue, const PrivateKey& local_static,
                                         const PublicKey& local_public, PrivateKey ephemeral) {
  NoiseHandshake out{pattern, false, prologue, local_public};
  out.local_static_.emplace(local_static.view());
  out.ephemeral_ = std::move(ephemeral);
  return out;
}

bool NoiseHandshake::mix_dh(const PrivateKey& own, const PublicKey& theirs) {
  Scratch<kKey> shared;
  if (!diffie_hellman(shared.bytes(), own, theirs)) return false;
  symmetric_.mix_key(shared.view());
  return true;
}

std::optional<std::size_t> NoiseHandshake::write(Bytes payload, MutableBytes out) {
  const int message = std::exchange(next_message_, kDead);
  if (message != (initiator_ ? 1 : 2)) return std::nullopt;
  const std::size_t length = noise_overhead(pattern_, message) + payload.size();
  if (out.size() < length) return std::nullopt;

  Writer w{out.first(length)};
  const PublicKey ephemeral = node_public_key(*ephemeral_);
  w.bytes(ephemeral);  // e
  symmetric_.mix_hash(ephemeral);
  if (message == 1) {
    if (!mix_dh(*ephemeral_, remote_static_)) return std::nullopt;  // es
    if (pattern_ == wire::Pattern::ik) {
      w.advance(symmetric_.encrypt_and_hash(node_public_key(*local_static_), w.rest().first(kKey + wire::kTag)));  // s
      if (!mix_dh(*local_static_, remote_static_)) return std::nullopt;                                            // ss
    }
  } else {
    if (!mix_dh(*ephemeral_, remote_ephemeral_)) return std::nullopt;                                // ee
    if (pattern_ == wire::Pattern::ik && !mix_dh(*ephemeral_, remote_static_)) return std::nullopt;  // se
  }
  w.advance(symmetric_.encrypt_and_hash(payload, w.rest()));
  next_message_ = message + 1;
  return w.size();
}

std::optional<std::size_t> NoiseHandshake::read(Bytes in, MutableBytes payload) {
  const int message = initiator_ ? 2 : 1;
  if (next_message_ != message) return std::nullopt;
  const std::size_t overhead = noise_overhead(pattern_, message);
  if (in.size() < overhead || payload.size() < in.size() - overhead) return std::nullopt;

  Symmetric before = symmetric_.copy();
  const PublicKey remote_static = remote_static_;
  const auto length = read_parts(message, in, payload);
  if (length) {
    next_message_ = message + 1;
  } else {
    symmetric_ = std::move(before);
    remote_static_ = remote_static;
  }
  return length;
}

std::optional<std::size_t> NoiseHandshake::read_parts(int message, Bytes in, MutableBytes payload) {
  Reader r{in};
  remote_ephemeral_ = r.array<kKey>();  // e
  symmetric_.mix_hash(remote_ephemeral_);
  if (message == 1) {
    if (!mix_dh(*local_static_, remote_ephemeral_)) return std::nullopt;  // es
    if (pattern_ == wire::Pattern::ik) {
      if (!symmetric_.decrypt_and_hash(r.bytes(kKey + wire::kTag), remote_static_)) return std::nullopt;  // s
      if (!mix_dh(*local_static_, remote_static_)) return std::nullopt;                                   // ss
    }
  } else {
    if (!mix_dh(*ephemeral_, remote_ephemeral_)) return std::nullopt;                                      // ee
    if (pattern_ == wire::Pattern::ik && !mix_dh(*local_static_, remote_ephemeral_)) return std::nullopt;  // se
  }
  return symmetric_.decrypt_and_hash(r.all(), payload);
}

TransportKeys NoiseHandshake::split() {
  assert(next_message_ == kComplete);
  next_message_ = kDead;
  Scratch<kHash> first;
  Scratch<kHash> second;
  hkdf(symmetric_.chaining_key.view(), {}, first.bytes(), second.bytes());
  TransportKeys keys;
  std::copy_n(first.view().begin(), kKey, keys.initiator_to_responder.bytes().begin());
  std::copy_n(second.view().begin(), kKey, keys.responder_to_initiator.bytes().begin());
  keys.handshake_hash = symmetric_.hash;
  return keys;
}

}  // namespace tiercast::crypto
