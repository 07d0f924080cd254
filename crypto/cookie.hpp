// Proofs of address: the cookie of joining and the token of a lease. Stateless MACs by one node for itself.
#pragma once

#include "crypto/secret.hpp"
#include "relay/base/endpoint.hpp"
#include "relay/wire/packets.hpp"

namespace tiercast::crypto {

using MacKey = Secret<32>;

/// Keyed BLAKE2b-128 over address 16 ‖ port u16 ‖ nonce 8 ‖ issued u32 ‖ wait u16 ‖ difficulty u8.
wire::Cookie make_cookie(const MacKey& key, const Endpoint& from, const wire::Challenge& challenge);
/// Constant time; `challenge.cookie` is what is checked. Says nothing about time.
bool verify_cookie(const MacKey& key, const Endpoint& from, const wire::Challenge& challenge);

/// Leading zero bits of BLAKE2b-256 over the whole JOIN (RFC 8019's puzzle).
bool solves(Bytes join, std::uint8_t difficulty);

/// A lease's token: issue time u16 (low bits of units of kTokenUnit) ‖ 6 bytes of keyed BLAKE2b over
/// lease u64 ‖ address 16 ‖ port u16 ‖ issue time u64 (whole, same units).
wire::Token make_token(const MacKey& key, LeaseId lease, const Endpoint& to, Time now);
/// The token's issue time, if it was made for this lease and address not more than `max_age` ago (and not in the
/// future); nullopt otherwise. Constant time.
std::optional<Time> verify_token(const MacKey& key, LeaseId lease, const Endpoint& from, const wire::Token& token,
                                 Time now, Duration max_age);

}  // namespace tiercast::crypto
