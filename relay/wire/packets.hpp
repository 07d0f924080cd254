// The wire: every packet's layout as offsets, its parser (bytes -> view, everything checked once) and its writer.
// Big-endian throughout. Specified in crypto/PROTOCOL.md. Knows no key: what is sealed stays bytes here.
#pragma once

#include <optional>

#include "relay/base/bytes.hpp"
#include "relay/wire/limits.hpp"

namespace tiercast::wire {

enum class Type : std::uint8_t {
  hello = 0x01,
  retry = 0x02,
  join = 0x03,
  accept = 0x04,
  control = 0x10,
  frame = 0x20,
  parity = 0x21,
  attest = 0x22,
  idle = 0x23,
  proof = 0x24,
};
/// Byte 0; 0 when empty.
inline std::uint8_t type_of(Bytes d) { return d.empty() ? std::uint8_t{0} : d[0]; }

using Nonce = std::array<std::uint8_t, kNonce>;
using Cookie = std::array<std::uint8_t, kCookie>;
using Solution = std::array<std::uint8_t, kSolution>;
using Token = std::array<std::uint8_t, kToken>;
using EpochValue = std::array<std::uint8_t, kEpochValue>;

enum class Pattern : std::uint8_t { ik = 1, nk = 2 };

/// HELLO, exactly 64 bytes: type, 0, version u8, nonce 8, zeros.
struct Hello {
  std::uint8_t version = kVersion;
  Nonce nonce{};
};
std::optional<Hello> parse_hello(Bytes d);
void write_hello(std::span<std::uint8_t, kHello> out, const Hello& hello);

/// RETRY's and JOIN's shared clear fields: what the cookie is bound to beside the address.
struct Challenge {
  Nonce nonce{};
  std::uint32_t issued = 0;     // responder's clock, units of kTokenUnit
  std::uint16_t wait = 0;       // units of 100 ms
  std::uint8_t difficulty = 0;  // leading zero bits of BLAKE2b(JOIN)
  Cookie cookie{};
};

/// RETRY, exactly 35 bytes: type, 0, lowest u8, highest u8, nonce 8, issued u32, wait u16, difficulty u8, cookie 16.
struct Retry {
  std::uint8_t lowest = kVersion;
  std::uint8_t highest = kVersion;
  Challenge challenge;
};
std::optional<Retry> parse_retry(Bytes d);
void write_retry(std::span<std::uint8_t, kRetry> out, const Retry& retry);

/// JOIN: type, 0, version u8, pattern u8, nonce 8, issued u32, wait u16, difficulty u8, cookie 16, solution 8,
/// Noise message 1. `clear` is the first kJoinClear bytes without the solution (the Noise prologue has them).
struct Join {
  std::uint8_t version = kVersion;
  Pattern pattern = Pattern::nk;
  Challenge challenge;
  Solution solution{};
  Bytes noise;  // view into the datagram
};
inline constexpr std::size_t kJoinSolutionOffset = kJoinClear - kSolution;
std::optional<Join> parse_join(Bytes d);
/// Writes the kJoinClear bytes before the Noise message.
void write_join_clear(std::span<std::uint8_t, kJoinClear> out, const Join& join);

/// ACCEPT: type, 0, nonce 8, Noise message 2.
struct Accept {
  Nonce nonce{};
  Bytes noise;
};
std::optional<Accept> parse_accept(Bytes d);
void write_accept_clear(std::span<std::uint8_t, kAcceptClear> out, const Nonce& nonce);

/// CONTROL: type, lane (0 on what an upstream sends), lease u64, counter u64, AEAD(records). The first
/// kControlHeader bytes are the associated data.
struct Control {
  Lane lane;
  LeaseId lease;
  std::uint64_t counter = 0;
  Bytes header;
  Bytes sealed;  // ciphertext and tag
};
std::optional<Control> parse_control(Bytes d);
void write_control_header(std::span<std::uint8_t, kControlHeader> out, Lane lane, LeaseId lease, std::uint64_t counter);

// Flags, byte 1 of the 16-byte header.
inline constexpr std::uint8_t kFlagEnd = 0x01;            // the broadcast ends with this frame
inline constexpr std::uint8_t kFlagDiscontinuity = 0x02;  // the sequence jumped: nobody asks for what lies between
inline constexpr std::uint8_t kFlagSeeking = 0x04;        // IDLE's: nothing comes to its sender from above

/// FRAME, PARITY, ATTEST, IDLE: type u8, flags u8, source u8, group u24, epoch u32, sequence u48.
struct Header {
  Type type = Type::frame;
  std::uint8_t flags = 0;
  SourceId source;
  GroupId group;
  Epoch epoch;
  Sequence sequence;
  bool ends() const { return (flags & kFlagEnd) != 0; }
  bool jumps() const { return (flags & kFlagDiscontinuity) != 0; }
  bool seeks() const { return type == Type::idle && (flags & kFlagSeeking) != 0; }
};
/// Any type 0x20 to 0x3f with at least 16 bytes. `type` may be one this version does not know.
std::optional<Header> parse_header(Bytes d);
void write_header(std::span<std::uint8_t, kHeader> out, const Header& header);

/// What follows a FRAME's tag on the kind of link it came by.
enum class Trailers : std::uint8_t {
  none,       // to listeners
  signature,  // IP multicast: the source's signature
  link,       // unicast between relays: signature, then the link's MAC
};
/// Bytes of trailers behind a datagram of this type: a FRAME carries signature and MAC on a relay link, the others
/// the MAC alone.
constexpr std::size_t trailer_size(Type type, Trailers trailers) {
  const std::size_t signature = type == Type::frame && trailers != Trailers::none ? kSignature : 0;
  return signature + (trailers == Trailers::link ? kLinkMac : 0);
}

/// ATTEST after its header (sequence = first): count u8 (1..64), count × 16 B hashes (all zero: that frame is absent
/// from this attestation), Ed25519 signature over all before it.
struct Attest {
  Header header;
  std::uint8_t count = 0;
  Bytes hashes;       // count × kAttestHash
  Bytes signed_part;  // header to hashes
  Bytes signature;    // kSignature
  /// What parse_attest() gives has one frame at least.
  Sequence last() const { return header.sequence.plus(count - 1U); }
  Bytes hash(std::size_t i) const { return hashes.subspan(i * kAttestHash, kAttestHash); }
  bool covers(Sequence s) const { return s >= header.sequence && s.value < header.sequence.value + count; }
};
/// `d` without a link MAC.
std::optional<Attest> parse_attest(Bytes d);

/// PROOF, to listeners alone, after its header (sequence = first, source and epoch those of all that it covers): count
/// u8 (1..18), count × the frames' own signatures 64 B (all zero: nothing of that frame).
struct Proof {
  Header header;
  std::uint8_t count = 0;
  Bytes signatures;  // count × kSignature
  Bytes signature(std::size_t i) const { return signatures.subspan(i * kSignature, kSignature); }
};
std::optional<Proof> parse_proof(Bytes d);

/// PARITY after its header (sequence = first of its block, a multiple of k): k u8, r u8, index u8, symbol. What the
/// symbol is made of is not told by it.
struct Parity {
  Header header;
  std::uint8_t k = 0, r = 0, index = 0;  // 1..kMaxParityData, 1..min(k, kMaxParityRepair), below r
  Bytes symbol;                          // what a FRAME at least has, kMaxSymbol at most
};
std::optional<Parity> parse_parity(Bytes d);

}  // namespace tiercast::wire
