// One frame's seal: ChaCha20-Poly1305-IETF (RFC 8439), header as associated data, nonce = IV xor sequence (u48, in the
// nonce's last six bytes). Knows no clock, no epoch's life, no trailers.
#pragma once

#include <optional>

#include "crypto/secret.hpp"
#include "relay/wire/packets.hpp"

namespace tiercast::crypto {

/// Key and IV of one epoch of one source: see derive().
class FrameKey {
 public:
  /// BLAKE2b (44 bytes out, keyed with `group_secret`, or 32 zeros when it is empty) over
  /// value 32 ‖ group u24 ‖ source u8 ‖ epoch u32: 32 bytes of key, 12 of IV. `group_secret`: none, or 16 to 64 bytes.
  static FrameKey derive(Bytes group_secret, const wire::EpochValue& value, GroupId group, SourceId source,
                         Epoch epoch);

  /// Opens a FRAME datagram (header ‖ ciphertext ‖ tag, no trailers) into `opus` (≥ datagram - 32 bytes); the length of
  /// the Opus packet, or nullopt: forged, sealed under another key, no FRAME, or no room. May open in place
  /// (opus at datagram + 16).
  std::optional<std::size_t> open(Bytes datagram, MutableBytes opus) const;

 private:
  friend class FrameSealer;
  FrameKey() = default;
  Secret<44> key_and_iv_;
};

/// The only way to seal. Refuses every sequence not above the last: one key never sees a nonce twice. A moved-from
/// sealer seals nothing more.
class FrameSealer {
 public:
  /// Takes over the key; nothing else seals with it. `above`: sequences up to this are refused too.
  FrameSealer(FrameKey key, GroupId group, SourceId source, Epoch epoch, Sequence above);
  FrameSealer(FrameSealer&& other) noexcept;
  FrameSealer& operator=(FrameSealer&& other) noexcept;
  /// Writes header ‖ ciphertext ‖ tag into `out`; its length, or nullopt: opus too long (kMaxOpus), `out` too short, or
  /// the sequence is not above the last one sealed, or beyond 48 bits.
  std::optional<std::size_t> seal(Sequence sequence, std::uint8_t flags, Bytes opus, MutableBytes out);
  Epoch epoch() const { return epoch_; }
  std::uint64_t sealed() const { return sealed_; }

 private:
  FrameKey key_;
  GroupId group_;
  SourceId source_;
  Epoch epoch_;
  Sequence last_;
  std::uint64_t sealed_ = 0;
};

}  // namespace tiercast::crypto
