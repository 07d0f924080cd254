// CONTROL's AEAD: ChaCha20-Poly1305-IETF, the 18-byte header as associated data, nonce = 4 zero bytes ‖
// counter u64 as it stands in the header. Keeps no counter and no replay window.
#pragma once

#include <optional>

#include "crypto/secret.hpp"
#include "relay/wire/packets.hpp"

namespace tiercast::crypto {

inline constexpr std::size_t kControlKeyBytes = 32;
using ControlKey = std::span<const std::uint8_t, kControlKeyBytes>;

/// Writes header ‖ ciphertext ‖ tag to `out`; whole length, or 0 when `out` is too short or the whole longer than
/// kMaxDatagram. The caller never uses a counter twice with a key. `records` may lie at out + kControlHeader.
std::size_t seal_control(ControlKey key, Lane lane, LeaseId lease, std::uint64_t counter, Bytes records,
                         MutableBytes out);
/// Opens into `records` (≥ sealed - 16); its length, or nullopt: forged (`records` is then zeros), or no room.
std::optional<std::size_t> open_control(ControlKey key, const wire::Control& control, MutableBytes records);

/// A relay link's MAC key, one a direction: BLAKE2b-256 keyed with that direction's CONTROL key over "tiercast link".
void derive_link_key(ControlKey key, std::span<std::uint8_t, 32> out);

}  // namespace tiercast::crypto
