// The type-length-value records inside CONTROL, JOIN and ACCEPT: type u8 (0x80 set: critical), length u16, value.
// A record of unknown type is skipped unless its critical bit is set. Specified in crypto/PROTOCOL.md.
#pragma once

#include <optional>
#include <variant>

#include "relay/base/inline_vector.hpp"
#include "relay/wire/packets.hpp"

namespace tiercast::wire {

enum class RecordType : std::uint8_t {
  keepalive = 0x01,
  acknowledgement = 0x02,
  subscribe = 0x03,
  unsubscribe = 0x04,
  nack = 0x05,
  epoch = 0x06,
  group_info = 0x07,
  go_away = 0x08,
  tally = 0x09,
  leave = 0x0a,
  epochs_held = 0x0b,
  token = 0x0c,
  subscribed = 0x0d,
  // in JOIN and ACCEPT only
  join_request = 0x10,
  accepted = 0x11,
  denied = 0x12,
  ticket = 0x13,
};
inline constexpr std::uint8_t kCritical = 0x80;

enum class Delivery : std::uint8_t { none = 0, unicast = 1, multicast = 2 };
enum class Role : std::uint8_t { listener = 1, relay = 2 };
enum class NackKind : std::uint8_t { frame = 0, attestation = 1 };
enum class DenyReason : std::uint8_t {
  unknown_group = 1,
  not_allowed = 2,  // a relay whose key has no [[downstream]], a listener without a valid ticket
  full = 3,
  draining = 4,
  loop = 5,
  bad_request = 6,
};
/// A few words for people, e.g. "this node does not carry that group".
const char* to_text(DenyReason reason);
enum class LeaveReason : std::uint8_t { stop = 1, drain = 2, loss = 3, idle = 4 };

/// down→up, every 5 s. 19 B.
struct Keepalive {
  std::uint32_t number = 0;  // echoed by the acknowledgement: round trips are told from it
  Token token{};             // the newest received
  std::uint16_t loss = 0;    // share of frames that this parent did not bring since the last keepalive, of 65535
  std::uint32_t round_trip_us = 0;
  Delivery delivery = Delivery::unicast;
};
/// down→up, beside a keepalive: one per epoch whose value is known. group u24, source u8, epoch u32.
struct HeldEpoch {
  GroupId group;
  SourceId source;
  Epoch epoch;
};
struct EpochsHeld {
  InlineVector<HeldEpoch, kMaxHeldEpochs> epochs;
};
/// up→down. number u32, token 8, seeking u8 (1: this node's own upstreams are all dead), path u8 × u64 (this node
/// first, towards the origin).
struct Acknowledgement {
  std::uint32_t number = 0;
  Token token{};
  bool seeking = false;
  InlineVector<NodeId, kMaxPath> path;
};
/// up→down, alone: an address that has not echoed a token yet gets this and nothing else.
struct TokenOnly {
  Token token{};
};
/// down→up. group u24, then the ticket's public part (may be empty).
struct Subscribe {
  GroupId group;
  Bytes ticket;
};
struct Unsubscribe {
  GroupId group;
};
/// up→down: the answer to subscribe. group u24, 0 or a DenyReason u8.
struct Subscribed {
  GroupId group;
  std::uint8_t denied = 0;
};
/// down→up. group u24, kind u8, then ranges: first u48, count u16 (≥ 1).
struct NackRange {
  Sequence first;
  std::uint16_t count = 1;
};
struct Nack {
  GroupId group;
  NackKind kind = NackKind::frame;
  InlineVector<NackRange, kMaxNackRanges> ranges;
};
/// up→down. group u24, source u8, epoch u32, value 32 B, the source's signature over all of that 64 B.
struct EpochRecord {
  GroupId group;
  SourceId source;
  Epoch epoch;
  EpochValue value{};
  std::array<std::uint8_t, kSignature> signature{};
};
/// What the signature is over: the record's contents before it.
std::array<std::uint8_t, 8 + kEpochValue> signed_part(const EpochRecord& epoch);
inline constexpr std::size_t kEpochRecord = 3 + 8 + kEpochValue + kSignature;  // with type and length
/// up→down. group u24, source u8 (the active one), frame_ms u8, flags u8, newest u48 (the anchor), then the origin's
/// statement: sequence u48, unix time u64 µs at which it was sealed, SSRC u32 and RTP timestamp u32 that it was fed
/// from (0, 0: not from RTP).
struct GroupInfo {
  GroupId group;
  SourceId source;
  std::uint8_t frame_ms = 20;
  std::uint8_t flags = 0;  // kInfo…
  Sequence newest;
  Sequence stamped;
  std::uint64_t stamped_unix_us = 0;
  std::uint32_t ssrc = 0;
  std::uint32_t rtp_timestamp = 0;
};
inline constexpr std::uint8_t kInfoEnded = 0x01;       // the broadcast has ended
inline constexpr std::uint8_t kInfoAnchored = 0x02;    // `newest` is a frame that exists
inline constexpr std::uint8_t kInfoStamped = 0x04;     // the origin's statement is present
inline constexpr std::uint8_t kInfoTicketKeys = 0x08;  // keys = "ticket": relays forward blind
/// up→down. reason u8, retry after u16 s, then indices u16 into the operator's edge list.
struct GoAway {
  LeaveReason reason = LeaveReason::drain;
  std::uint16_t retry_after_s = 0;
  Bytes where_else;  // 2 B each
};
/// down→up, the answer to a parent that drains: whoever says so has no other one, and is not to be waited for.
inline constexpr GoAway kStays{LeaveReason::drain, 0, {}};
/// down→up. group u24, listeners u32, relays u32: the subtree of the sender, a relay itself included; to every parent
/// but the one that counts it, zeros. A listener is counted until it says 0.
struct Tally {
  GroupId group;
  std::uint32_t listeners = 0;
  std::uint32_t relays = 0;
};
/// Either direction: the lease ends now.
struct Leave {
  LeaveReason reason = LeaveReason::stop;
};
/// JOIN: group u24 (0: none yet, relays only), role u8, delivery u8.
struct JoinRequest {
  GroupId group;
  Role role = Role::listener;
  Delivery delivery = Delivery::unicast;
};
/// JOIN: the public part of an admission ticket, opaque here.
struct TicketRecord {
  Bytes ticket;
};
/// ACCEPT: lane u8, lease u64, token 8, path as in acknowledgement.
struct Accepted {
  Lane lane;
  LeaseId lease;
  Token token{};
  InlineVector<NodeId, kMaxPath> path;
};
/// ACCEPT: reason u8, retry after u16 s, indices u16 into the operator's edge list.
struct Denied {
  DenyReason reason = DenyReason::bad_request;
  std::uint16_t retry_after_s = 0;
  Bytes where_else;
};
struct UnknownRecord {
  std::uint8_t type = 0;  // critical bit removed
};

using Record = std::variant<Keepalive, EpochsHeld, Acknowledgement, TokenOnly, Subscribe, Unsubscribe, Subscribed, Nack,
                            EpochRecord, GroupInfo, GoAway, Tally, Leave, JoinRequest, TicketRecord, Accepted, Denied,
                            UnknownRecord>;

enum class RecordError : std::uint8_t { truncated, bad_value, unknown_critical };

/// Walks the records of one opened CONTROL, JOIN or ACCEPT payload. next() gives nullopt at the end or at the first
/// error; then error() tells which. Views point into the payload.
class RecordReader {
 public:
  explicit RecordReader(Bytes payload) : in_(payload) {}
  std::optional<Record> next();
  std::optional<RecordError> error() const { return error_; }

 private:
  Reader in_;
  std::optional<RecordError> error_;
};

/// Appends one record; the writer fails if it does not fit (then nothing of later records is written either).
void write_record(Writer& out, const Keepalive& r);
void write_record(Writer& out, const EpochsHeld& r);
void write_record(Writer& out, const Acknowledgement& r);
void write_record(Writer& out, const TokenOnly& r);
void write_record(Writer& out, const Subscribe& r);
void write_record(Writer& out, const Unsubscribe& r);
void write_record(Writer& out, const Subscribed& r);
void write_record(Writer& out, const Nack& r);
void write_record(Writer& out, const EpochRecord& r);
void write_record(Writer& out, const GroupInfo& r);
void write_record(Writer& out, const GoAway& r);
void write_record(Writer& out, const Tally& r);
void write_record(Writer& out, const Leave& r);
void write_record(Writer& out, const JoinRequest& r);
void write_record(Writer& out, const TicketRecord& r);
void write_record(Writer& out, const Accepted& r);
void write_record(Writer& out, const Denied& r);

}  // namespace tiercast::wire
