#include "relay/measure/load_sample.hpp"

#include <algorithm>

#include "relay/receive/attestations.hpp"

namespace tiercast::measure {
namespace {

std::uint64_t us(WallTime from, WallTime to) { return to > from ? static_cast<std::uint64_t>((to - from).count()) : 0; }

}  // namespace

void LoadSample::on_frame(const wire::Header& header, Bytes datagram, LoadEpochs::Held held, WallTime arrived) {
  ++counts_.frames;
  const crypto::AttestHash hash = crypto::attest_hash(datagram);
  Of& frame = of(header.sequence);
  if (header.sequence > frame.sequence) {
    frame = {header.sequence, arrived, arrived, hash, false};
  } else if (header.sequence == frame.sequence) {
    if (hash != frame.hash) ++counts_.differing;
    frame.last = std::max(frame.last, arrived);
    behind_first_.record(us(frame.first, arrived));
    frame.first = std::min(frame.first, arrived);
  }
  if (!epochs_->opens()) return;
  if (epochs_->source(header.source) == nullptr) {
    ++counts_.unknown_source;
    return;
  }
  const auto place = epochs_->find(held, header.source, header.epoch);
  if (!place) {
    ++counts_.unknown_epoch;
    return;
  }
  ++(epochs_->open(*place, datagram, opus_) ? counts_.opened : counts_.forged);
}

void LoadSample::judge(Of& frame, Bytes signed_hash) {
  if (frame.attested || receive::absent(signed_hash)) return;
  frame.attested = true;
  ++(std::equal(signed_hash.begin(), signed_hash.end(), frame.hash.begin()) ? counts_.attested : counts_.contradicted);
}

void LoadSample::on_attest(const wire::Attest& attest) {
  const receive::SourceKey* const by = epochs_->source(attest.header.source);
  if (by == nullptr) return;
  // Everybody gets the same one: verified once, compared after that.
  const std::size_t size = attest.signed_part.size() + attest.signature.size();
  const Bytes whole{attest.signed_part.data(), size};  // the signature follows what it signs
  if (size == last_attest_size_ && std::equal(whole.begin(), whole.end(), last_attest_.begin())) {
    ++counts_.attestations;
    return;
  }
  if (size > last_attest_.size() || !crypto::verify_attest(by->key, attest.signed_part, attest.signature)) {
    ++counts_.forged_attestations;
    return;
  }
  ++counts_.attestations;
  std::copy(whole.begin(), whole.end(), last_attest_.begin());
  last_attest_size_ = size;
  for (std::size_t i = 0; i < attest.count; ++i) {
    const Sequence sequence = attest.header.sequence.plus(i);
    if (Of& frame = of(sequence); frame.sequence == sequence) judge(frame, attest.hash(i));
  }
}

void LoadSample::on_statement(const wire::GroupInfo& info) {
  if ((info.flags & wire::kInfoStamped) == 0 || info.stamped <= stated_) return;
  const Of& frame = of(info.stamped);
  if (frame.sequence != info.stamped) return;
  stated_ = info.stamped;
  constexpr std::uint64_t kMost = std::uint64_t{1} << 62;  // else a clock of nonsense, which must not overflow
  const WallTime sealed{std::chrono::microseconds{std::min(info.stamped_unix_us, kMost)}};
  if (frame.first < sealed) {
    ++before_sealed_;
    return;
  }
  first_since_sealed_.record(us(sealed, frame.first));
  last_since_sealed_.record(us(sealed, frame.last));
}

}  // namespace tiercast::measure
