#include "relay/wire/packets.hpp"

namespace tiercast::wire {
namespace {

Challenge read_challenge(Reader& in) {
  Challenge c;
  c.nonce = in.array<kNonce>();
  c.issued = in.u32();
  c.wait = in.u16();
  c.difficulty = in.u8();
  c.cookie = in.array<kCookie>();
  return c;
}

void write_challenge(Writer& out, const Challenge& c) {
  out.bytes(c.nonce).u32(c.issued).u16(c.wait).u8(c.difficulty).bytes(c.cookie);
}

bool is(Bytes d, Type type) { return type_of(d) == static_cast<std::uint8_t>(type); }

}  // namespace

std::optional<Hello> parse_hello(Bytes d) {
  if (d.size() != kHello || !is(d, Type::hello)) return std::nullopt;
  Reader in{d.subspan(2)};
  Hello hello;
  hello.version = in.u8();
  hello.nonce = in.array<kNonce>();
  return hello;
}

void write_hello(std::span<std::uint8_t, kHello> out, const Hello& hello) {
  Writer w{out};
  w.u8(static_cast<std::uint8_t>(Type::hello)).u8(0).u8(hello.version).bytes(hello.nonce);
  w.zeros(w.left());
}

std::optional<Retry> parse_retry(Bytes d) {
  if (d.size() != kRetry || !is(d, Type::retry)) return std::nullopt;
  Reader in{d.subspan(2)};
  Retry retry;
  retry.lowest = in.u8();
  retry.highest = in.u8();
  retry.challenge = read_challenge(in);
  return retry;
}

void write_retry(std::span<std::uint8_t, kRetry> out, const Retry& retry) {
  Writer w{out};
  w.u8(static_cast<std::uint8_t>(Type::retry)).u8(0).u8(retry.lowest).u8(retry.highest);
  write_challenge(w, retry.challenge);
}

std::optional<Join> parse_join(Bytes d) {
  if (d.size() <= kJoinClear || d.size() > kMaxDatagram || !is(d, Type::join)) return std::nullopt;
  Reader in{d.subspan(2)};
  Join join;
  join.version = in.u8();
  const std::uint8_t pattern = in.u8();
  if (pattern != static_cast<std::uint8_t>(Pattern::ik) && pattern != static_cast<std::uint8_t>(Pattern::nk))
    return std::nullopt;
  join.pattern = Pattern{pattern};
  join.challenge = read_challenge(in);
  join.solution = in.array<kSolution>();
  join.noise = in.all();
  return join;
}

void write_join_clear(std::span<std::uint8_t, kJoinClear> out, const Join& join) {
  Writer w{out};
  w.u8(static_cast<std::uint8_t>(Type::join)).u8(0).u8(join.version).u8(static_cast<std::uint8_t>(join.pattern));
  write_challenge(w, join.challenge);
  w.bytes(join.solution);
}

std::optional<Accept> parse_accept(Bytes d) {
  if (d.size() <= kAcceptClear || d.size() > kMaxDatagram || !is(d, Type::accept)) return std::nullopt;
  Reader in{d.subspan(2)};
  Accept accept;
  accept.nonce = in.array<kNonce>();
  accept.noise = in.all();
  return accept;
}

void write_accept_clear(std::span<std::uint8_t, kAcceptClear> out, const Nonce& nonce) {
  Writer{out}.u8(static_cast<std::uint8_t>(Type::accept)).u8(0).bytes(nonce);
}

std::optional<Control> parse_control(Bytes d) {
  if (d.size() < kMinControl || d.size() > kMaxDatagram || !is(d, Type::control)) return std::nullopt;
  Reader in{d.subspan(1)};
  Control control;
  control.lane = Lane{in.u8()};
  control.lease = LeaseId{in.u64()};
  control.counter = in.u64();
  control.header = d.first(kControlHeader);
  control.sealed = in.all();
  return control;
}

void write_control_header(std::span<std::uint8_t, kControlHeader> out, Lane lane, LeaseId lease,
                          std::uint64_t counter) {
  Writer{out}.u8(static_cast<std::uint8_t>(Type::control)).u8(lane.value).u64(lease.value).u64(counter);
}

std::optional<Header> parse_header(Bytes d) {
  if (d.size() < kHeader || d.size() > kMaxDatagram || d[0] < 0x20 || d[0] > 0x3f) return std::nullopt;
  Reader in{d};
  Header header;
  header.type = Type{in.u8()};
  header.flags = in.u8();
  header.source = SourceId{in.u8()};
  header.group = GroupId{in.u24()};
  header.epoch = Epoch{in.u32()};
  header.sequence = Sequence{in.u48()};
  return header;
}

void write_header(std::span<std::uint8_t, kHeader> out, const Header& h) {
  Writer{out}
      .u8(static_cast<std::uint8_t>(h.type))
      .u8(h.flags)
      .u8(h.source.value)
      .u24(h.group.value)
      .u32(h.epoch.value)
      .u48(h.sequence.value);
}

std::optional<Attest> parse_attest(Bytes d) {
  auto header = parse_header(d);
  if (!header || header->type != Type::attest || d.size() < kHeader + 1) return std::nullopt;
  Attest attest;
  attest.header = *header;
  attest.count = d[kHeader];
  const std::size_t hashes = attest.count * kAttestHash;
  if (attest.count == 0 || attest.count > kMaxAttested || d.size() != kHeader + 1 + hashes + kSignature)
    return std::nullopt;
  attest.hashes = d.subspan(kHeader + 1, hashes);
  attest.signed_part = d.first(kHeader + 1 + hashes);
  attest.signature = d.subspan(kHeader + 1 + hashes);
  return attest;
}

std::optional<Proof> parse_proof(Bytes d) {
  auto header = parse_header(d);
  if (!header || header->type != Type::proof || d.size() < kHeader + 1) return std::nullopt;
  Proof proof{*header, d[kHeader], d.subspan(kHeader + 1)};
  if (proof.count == 0 || proof.count > kMaxProven || proof.signatures.size() != proof.count * kSignature)
    return std::nullopt;
  return proof;
}

std::optional<Parity> parse_parity(Bytes d) {
  const auto header = parse_header(d);
  if (!header || header->type != Type::parity || d.size() < kParityHeader) return std::nullopt;
  const Parity parity{*header, d[kHeader], d[kHeader + 1], d[kHeader + 2], d.subspan(kParityHeader)};
  if (parity.k == 0 || parity.k > kMaxParityData || header->sequence.value % parity.k != 0) return std::nullopt;
  if (parity.r > parity.k || parity.r > kMaxParityRepair || parity.index >= parity.r) return std::nullopt;
  if (parity.symbol.size() < 2 + kHeader + kTag || parity.symbol.size() > kMaxSymbol) return std::nullopt;
  return parity;
}

}  // namespace tiercast::wire
