#include "relay/receive/attestations.hpp"

#include <algorithm>

namespace tiercast::receive {

bool absent(Bytes hash) {
  return std::all_of(hash.begin(), hash.end(), [](std::uint8_t b) { return b == 0; });
}

bool Attestations::repeats(std::size_t source, const wire::Attest& attest) const {
  bool any = false;
  for (std::size_t i = 0; i < attest.count; ++i) {
    if (absent(attest.hash(i))) continue;
    any = true;
    const crypto::AttestHash* known = find(source, attest.header.sequence.plus(i));
    if (known == nullptr || !std::equal(known->begin(), known->end(), attest.hash(i).begin())) return false;
  }
  return any;
}

void Attestations::store(std::size_t source, const wire::Attest& attest) {
  for (std::size_t i = 0; i < attest.count; ++i) {
    const Bytes hash = attest.hash(i);
    if (absent(hash)) continue;
    crypto::AttestHash of;
    std::copy(hash.begin(), hash.end(), of.begin());
    store(source, attest.header.sequence.plus(i), of);
  }
}

void Attestations::store(std::size_t source, Sequence sequence, const crypto::AttestHash& hash) {
  if (!newest_ || *newest_ < sequence) newest_ = sequence;
  Hash& here = hashes_[index(source, sequence)];
  if (here.known && here.sequence >= sequence) return;
  here = {sequence, true, hash};
}

const crypto::AttestHash* Attestations::find(std::size_t source, Sequence sequence) const {
  const Hash& here = hashes_[index(source, sequence)];
  return here.known && here.sequence == sequence ? &here.hash : nullptr;
}

}  // namespace tiercast::receive
