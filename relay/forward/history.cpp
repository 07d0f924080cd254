#include "relay/forward/history.hpp"

#include <algorithm>

namespace tiercast::forward {

std::optional<std::uint64_t> History::add_attestation(Bytes datagram) {
  // Nobody sends this again if it is lost here: where a reader holds a slot, the next one will do.
  const std::uint64_t next = attested_.load(std::memory_order_relaxed) + 1;
  for (std::uint64_t number = next; number < next + kTries; ++number) {
    const auto slot = attestations_.claim(number);
    if (!slot) continue;
    if (datagram.size() > slot->size()) return std::nullopt;
    std::copy(datagram.begin(), datagram.end(), slot->begin());
    attestations_.publish(number, datagram.size(), 0);
    attested_.store(number, std::memory_order_release);
    return number;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> History::add_opaque(Bytes datagram) {
  const auto slot = opaque_.claim(opaques_ + 1);
  if (!slot || datagram.size() > slot->size()) return std::nullopt;
  std::copy(datagram.begin(), datagram.end(), slot->begin());
  opaque_.publish(++opaques_, datagram.size(), 0);
  return opaques_;
}

std::optional<SourceId> History::source_of(Sequence s) const {
  const SlotRing::Pin pin = frame(s);
  const auto header = pin ? wire::parse_header(pin.datagram()) : std::nullopt;
  return header ? std::optional{header->source} : std::nullopt;
}

SlotRing::Pin History::attestation_covering(Sequence s, std::optional<SourceId> source) const {
  const std::uint64_t newest = attested_.load(std::memory_order_acquire);
  const std::uint64_t oldest = newest > attestations_.size() ? newest - attestations_.size() : 0;
  for (std::uint64_t number = newest; number > oldest; --number) {
    SlotRing::Pin pin = attestations_.pin(number);
    if (!pin) continue;
    const auto attest = wire::parse_attest(pin.datagram());
    if (attest && attest->covers(s) && (!source || attest->header.source == *source)) return pin;
  }
  return {};
}

}  // namespace tiercast::forward
