// ChaCha20-Poly1305-IETF (RFC 8439): the one AEAD under frames, CONTROL and Noise. Knows neither packets nor counters.
#pragma once

#include <optional>

#include "relay/base/types.hpp"
#include "relay/wire/limits.hpp"

namespace tiercast::crypto {

using AeadKey = std::span<const std::uint8_t, 32>;
using AeadNonce = std::span<const std::uint8_t, 12>;

/// Writes ciphertext ‖ tag (plain + kTag bytes) to `out`; 0 when `out` is too short. `plain` may be where the
/// ciphertext goes, but may not overlap it otherwise.
std::size_t aead_seal(AeadKey key, AeadNonce nonce, Bytes associated, Bytes plain, MutableBytes out);
/// Opens ciphertext ‖ tag into `out` (≥ sealed - kTag bytes); the plaintext's length, or nullopt: forged, too short, or
/// `out` too short. `out` may start where `sealed` does. Whoever forges gets zeros in `out`, never plaintext.
std::optional<std::size_t> aead_open(AeadKey key, AeadNonce nonce, Bytes associated, Bytes sealed, MutableBytes out);

}  // namespace tiercast::crypto
