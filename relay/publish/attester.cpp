// Runs of frames: when one opens, what it covers, when it closes.
#include "relay/publish/attester.hpp"

#include <algorithm>

namespace tiercast::publish {

void Attester::add(const wire::Header& header, Bytes datagram, Time now) {
  const bool fits = count_ > 0 && !header.jumps() && header.epoch == run_.epoch &&
                    header.sequence.value - run_.sequence.value < wire::kMaxAttested;
  if (!fits) close();
  if (count_ == 0) {
    run_ = header;
    run_.type = wire::Type::attest;
    run_.flags = 0;
    opened_ = now;
    frames_ = 0;
    hashes_.fill(0);  // zero: absent
  }
  const std::size_t at = header.sequence.value - run_.sequence.value;
  const crypto::AttestHash hash = crypto::attest_hash(datagram);
  std::copy(hash.begin(), hash.end(), hashes_.begin() + static_cast<std::ptrdiff_t>(at * wire::kAttestHash));
  count_ = at + 1;
  run_.flags |= header.flags & (wire::kFlagEnd | wire::kFlagDiscontinuity);
  counters_.attested.add();
  if (++frames_ >= wire::kAttestFrames || count_ == wire::kMaxAttested || header.jumps() || header.ends()) close();
}

void Attester::close() {
  if (count_ == 0) return;
  if (ready_count_ == kReady) {
    ready_first_ = (ready_first_ + 1) % kReady;
    --ready_count_;
    counters_.drop_not_taken.add();
  }
  Datagram& datagram = ready_[(ready_first_ + ready_count_++) % kReady];
  wire::write_header(std::span{datagram.bytes}.first<wire::kHeader>(), run_);
  Writer out{std::span{datagram.bytes}.subspan(wire::kHeader)};
  out.u8(count_).bytes(Bytes{hashes_}.first(count_ * wire::kAttestHash));
  const std::size_t signed_size = wire::kHeader + out.size();
  out.bytes(signer_->sign_attest(Bytes{datagram.bytes}.first(signed_size)));
  datagram.size = wire::kHeader + out.size();
  count_ = 0;
  counters_.attestations.add();
}

std::optional<Bytes> Attester::take(Time now) {
  if (now >= next_deadline()) close();
  if (ready_count_ == 0) return std::nullopt;
  const Datagram& datagram = ready_[ready_first_];
  ready_first_ = (ready_first_ + 1) % kReady;
  --ready_count_;
  return Bytes{datagram.bytes}.first(datagram.size);
}

Time Attester::next_deadline() const { return count_ == 0 ? kNever : opened_ + wire::kAttestEvery; }

}  // namespace tiercast::publish
