#include "relay/wire/records.hpp"

namespace tiercast::wire {
namespace {

using Path = InlineVector<NodeId, kMaxPath>;

std::optional<Path> read_path(Reader& in) {
  const std::size_t count = in.u8();
  if (count > kMaxPath) return std::nullopt;
  Path path;
  for (std::size_t i = 0; i < count; ++i) path.push_back(NodeId{in.u64()});
  return path;
}

void write_path(Writer& out, const Path& path) {
  out.u8(path.size());
  for (NodeId id : path) out.u64(id.value);
}

template <class Body>
void record(Writer& out, RecordType type, std::size_t length, Body body) {
  out.u8(static_cast<std::uint8_t>(type)).u16(length);
  if (out.left() < length) out.advance(length);  // fails the writer before half a record is written
  if (out.ok()) body();
}

template <class Enum>
std::optional<Enum> one_of(std::uint8_t v, std::uint8_t lowest, std::uint8_t highest) {
  if (v < lowest || v > highest) return std::nullopt;
  return Enum{v};
}

// Each reader gets exactly its record's value; nullopt: a field is out of range. A value longer than what this
// version knows is accepted: fields are only ever appended.

std::optional<Record> read_keepalive(Reader& in) {
  Keepalive r;
  r.number = in.u32();
  r.token = in.array<kToken>();
  r.loss = in.u16();
  r.round_trip_us = in.u32();
  auto delivery = one_of<Delivery>(in.u8(), 0, 2);
  if (!delivery) return std::nullopt;
  r.delivery = *delivery;
  return r;
}

std::optional<Record> read_epochs_held(Reader& in) {
  EpochsHeld r;
  while (in.ok() && in.left() > 0) {
    HeldEpoch held{GroupId{in.u24()}, SourceId{in.u8()}, Epoch{in.u32()}};
    if (in.ok() && !r.epochs.push_back(held)) return std::nullopt;
  }
  return r;
}

std::optional<Record> read_acknowledgement(Reader& in) {
  Acknowledgement r;
  r.number = in.u32();
  r.token = in.array<kToken>();
  r.seeking = in.u8() != 0;
  auto path = read_path(in);
  if (!path) return std::nullopt;
  r.path = *path;
  return r;
}

std::optional<Record> read_nack(Reader& in) {
  Nack r;
  r.group = GroupId{in.u24()};
  auto kind = one_of<NackKind>(in.u8(), 0, 1);
  if (!kind) return std::nullopt;
  r.kind = *kind;
  while (in.ok() && in.left() > 0) {
    NackRange range{Sequence{in.u48()}, in.u16()};
    if (in.ok() && (range.count == 0 || !r.ranges.push_back(range))) return std::nullopt;
  }
  return r;
}

std::optional<Record> read_epoch(Reader& in) {
  EpochRecord r;
  r.group = GroupId{in.u24()};
  r.source = SourceId{in.u8()};
  r.epoch = Epoch{in.u32()};
  r.value = in.array<kEpochValue>();
  r.signature = in.array<kSignature>();
  return r;
}

std::optional<Record> read_group_info(Reader& in) {
  GroupInfo r;
  r.group = GroupId{in.u24()};
  r.source = SourceId{in.u8()};
  r.frame_ms = in.u8();
  r.flags = in.u8();
  r.newest = Sequence{in.u48()};
  r.stamped = Sequence{in.u48()};
  r.stamped_unix_us = in.u64();
  r.ssrc = in.u32();
  r.rtp_timestamp = in.u32();
  if (r.frame_ms != 10 && r.frame_ms != 20 && r.frame_ms != 40 && r.frame_ms != 60) return std::nullopt;
  return r;
}

std::optional<Record> read_go_away(Reader& in) {
  GoAway r;
  auto reason = one_of<LeaveReason>(in.u8(), 1, 4);
  r.retry_after_s = in.u16();
  r.where_else = in.all();
  if (!reason || r.where_else.size() % 2 != 0) return std::nullopt;
  r.reason = *reason;
  return r;
}

std::optional<Record> read_tally(Reader& in) {
  Tally r;
  r.group = GroupId{in.u24()};
  r.listeners = in.u32();
  r.relays = in.u32();
  return r;
}

std::optional<Record> read_leave(Reader& in) {
  auto reason = one_of<LeaveReason>(in.u8(), 1, 4);
  if (!reason) return std::nullopt;
  return Leave{*reason};
}

std::optional<Record> read_join_request(Reader& in) {
  JoinRequest r;
  r.group = GroupId{in.u24()};
  auto role = one_of<Role>(in.u8(), 1, 2);
  auto delivery = one_of<Delivery>(in.u8(), 0, 2);
  if (!role || !delivery) return std::nullopt;
  r.role = *role;
  r.delivery = *delivery;
  return r;
}

std::optional<Record> read_accepted(Reader& in) {
  Accepted r;
  r.lane = Lane{in.u8()};
  r.lease = LeaseId{in.u64()};
  r.token = in.array<kToken>();
  auto path = read_path(in);
  if (!path) return std::nullopt;
  r.path = *path;
  return r;
}

std::optional<Record> read_denied(Reader& in) {
  Denied r;
  auto reason = one_of<DenyReason>(in.u8(), 1, 6);
  r.retry_after_s = in.u16();
  r.where_else = in.all();
  if (!reason || r.where_else.size() % 2 != 0) return std::nullopt;
  r.reason = *reason;
  return r;
}

std::optional<Record> read_value(RecordType type, Reader& in) {
  switch (type) {
    case RecordType::keepalive: return read_keepalive(in);
    case RecordType::acknowledgement: return read_acknowledgement(in);
    case RecordType::subscribe: {
      const GroupId group{in.u24()};
      return Subscribe{group, in.all()};
    }
    case RecordType::unsubscribe: return Unsubscribe{GroupId{in.u24()}};
    case RecordType::nack: return read_nack(in);
    case RecordType::epoch: return read_epoch(in);
    case RecordType::group_info: return read_group_info(in);
    case RecordType::go_away: return read_go_away(in);
    case RecordType::tally: return read_tally(in);
    case RecordType::leave: return read_leave(in);
    case RecordType::epochs_held: return read_epochs_held(in);
    case RecordType::token: return TokenOnly{in.array<kToken>()};
    case RecordType::subscribed: {
      const GroupId group{in.u24()};
      return Subscribed{group, in.u8()};
    }
    case RecordType::join_request: return read_join_request(in);
    case RecordType::accepted: return read_accepted(in);
    case RecordType::denied: return read_denied(in);
    case RecordType::ticket: return TicketRecord{in.all()};
  }
  return UnknownRecord{static_cast<std::uint8_t>(type)};
}

}  // namespace

const char* to_text(DenyReason reason) {
  switch (reason) {
    case DenyReason::unknown_group: return "this node does not carry that group";
    case DenyReason::not_allowed: return "not allowed here";
    case DenyReason::full: return "this node is full";
    case DenyReason::draining: return "this node is draining";
    case DenyReason::loop: return "that would make a loop";
    case DenyReason::bad_request: return "the request made no sense to it";
  }
  return "unknown reason";
}

std::optional<Record> RecordReader::next() {
  if (error_ || in_.left() == 0) return std::nullopt;
  const std::uint8_t type = in_.u8();
  const std::uint16_t length = in_.u16();
  Reader value{in_.bytes(length)};
  if (!in_.ok()) {
    error_ = RecordError::truncated;
    return std::nullopt;
  }
  auto record = read_value(RecordType{static_cast<std::uint8_t>(type & ~kCritical)}, value);
  if (!record) {
    error_ = RecordError::bad_value;
  } else if (!value.ok()) {
    error_ = RecordError::truncated;
  } else if ((type & kCritical) != 0 && std::holds_alternative<UnknownRecord>(*record)) {
    error_ = RecordError::unknown_critical;
  } else {
    return record;
  }
  return std::nullopt;
}

void write_record(Writer& out, const Keepalive& r) {
  record(out, RecordType::keepalive, 19, [&] {
    out.u32(r.number).bytes(r.token).u16(r.loss).u32(r.round_trip_us).u8(static_cast<std::uint8_t>(r.delivery));
  });
}

void write_record(Writer& out, const EpochsHeld& r) {
  record(out, RecordType::epochs_held, 8 * r.epochs.size(), [&] {
    for (const HeldEpoch& held : r.epochs) out.u24(held.group.value).u8(held.source.value).u32(held.epoch.value);
  });
}

void write_record(Writer& out, const Acknowledgement& r) {
  record(out, RecordType::acknowledgement, 14 + 8 * r.path.size(), [&] {
    out.u32(r.number).bytes(r.token).u8(r.seeking ? 1 : 0);
    write_path(out, r.path);
  });
}

void write_record(Writer& out, const TokenOnly& r) {
  record(out, RecordType::token, kToken, [&] { out.bytes(r.token); });
}

void write_record(Writer& out, const Subscribe& r) {
  record(out, RecordType::subscribe, 3 + r.ticket.size(), [&] { out.u24(r.group.value).bytes(r.ticket); });
}

void write_record(Writer& out, const Unsubscribe& r) {
  record(out, RecordType::unsubscribe, 3, [&] { out.u24(r.group.value); });
}

void write_record(Writer& out, const Subscribed& r) {
  record(out, RecordType::subscribed, 4, [&] { out.u24(r.group.value).u8(r.denied); });
}

void write_record(Writer& out, const Nack& r) {
  record(out, RecordType::nack, 4 + 8 * r.ranges.size(), [&] {
    out.u24(r.group.value).u8(static_cast<std::uint8_t>(r.kind));
    for (const NackRange& range : r.ranges) out.u48(range.first.value).u16(range.count);
  });
}

void write_record(Writer& out, const EpochRecord& r) {
  record(out, RecordType::epoch, 8 + kEpochValue + kSignature, [&] { out.bytes(signed_part(r)).bytes(r.signature); });
}

std::array<std::uint8_t, 8 + kEpochValue> signed_part(const EpochRecord& r) {
  std::array<std::uint8_t, 8 + kEpochValue> bytes;
  Writer{bytes}.u24(r.group.value).u8(r.source.value).u32(r.epoch.value).bytes(r.value);
  return bytes;
}

void write_record(Writer& out, const GroupInfo& r) {
  record(out, RecordType::group_info, 34, [&] {
    out.u24(r.group.value).u8(r.source.value).u8(r.frame_ms).u8(r.flags).u48(r.newest.value);
    out.u48(r.stamped.value).u64(r.stamped_unix_us).u32(r.ssrc).u32(r.rtp_timestamp);
  });
}

void write_record(Writer& out, const GoAway& r) {
  record(out, RecordType::go_away, 3 + r.where_else.size(),
         [&] { out.u8(static_cast<std::uint8_t>(r.reason)).u16(r.retry_after_s).bytes(r.where_else); });
}

void write_record(Writer& out, const Tally& r) {
  record(out, RecordType::tally, 11, [&] { out.u24(r.group.value).u32(r.listeners).u32(r.relays); });
}

void write_record(Writer& out, const Leave& r) {
  record(out, RecordType::leave, 1, [&] { out.u8(static_cast<std::uint8_t>(r.reason)); });
}

void write_record(Writer& out, const JoinRequest& r) {
  record(out, RecordType::join_request, 5, [&] {
    out.u24(r.group.value).u8(static_cast<std::uint8_t>(r.role)).u8(static_cast<std::uint8_t>(r.delivery));
  });
}

void write_record(Writer& out, const TicketRecord& r) {
  record(out, RecordType::ticket, r.ticket.size(), [&] { out.bytes(r.ticket); });
}

void write_record(Writer& out, const Accepted& r) {
  record(out, RecordType::accepted, 18 + 8 * r.path.size(), [&] {
    out.u8(r.lane.value).u64(r.lease.value).bytes(r.token);
    write_path(out, r.path);
  });
}

void write_record(Writer& out, const Denied& r) {
  record(out, RecordType::denied, 3 + r.where_else.size(),
         [&] { out.u8(static_cast<std::uint8_t>(r.reason)).u16(r.retry_after_s).bytes(r.where_else); });
}

}  // namespace tiercast::wire
