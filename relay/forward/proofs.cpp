#include "relay/forward/proofs.hpp"

#include <algorithm>

namespace tiercast::forward {

std::size_t write_proof(const History& history, Sequence first, Sequence last, MutableBytes out) {
  std::optional<wire::Header> of;
  std::uint8_t looked_at = 0, count = 0;  // count: up to the last one that is here
  Writer writer{out.subspan(wire::kHeader + 1)};
  constexpr std::array<std::uint8_t, wire::kSignature> kAbsent{};
  for (Sequence s = first; s <= last && s.value < first.value + wire::kMaxProven; s = s.next()) {
    const auto pin = history.frame(s);
    const auto header = pin ? wire::parse_header(pin.datagram()) : std::nullopt;
    if (!of) {
      if (!header) return 0;
      of = header;
    }
    const bool same = header && header->source == of->source && header->epoch == of->epoch;
    writer.bytes(same ? pin.signature() : Bytes{kAbsent});
    ++looked_at;
    if (same) count = looked_at;
  }
  if (!of || !writer.ok()) return 0;
  of->type = wire::Type::proof;
  of->flags = 0;
  wire::write_header(out.first<wire::kHeader>(), *of);
  out[wire::kHeader] = count;
  return wire::kHeader + 1 + count * wire::kSignature;
}

Sequence unattested(const History& history, SourceId source, Sequence from) {
  const Sequence newest = history.newest();
  for (Sequence s = std::max(from, history.oldest()); s <= newest; s = s.next()) {
    const auto pin = history.frame(s);
    const auto header = pin ? wire::parse_header(pin.datagram()) : std::nullopt;
    if (!header || header->source != source) continue;
    if (!history.attestation_covering(s, source)) return s;
  }
  return {};
}

}  // namespace tiercast::forward
