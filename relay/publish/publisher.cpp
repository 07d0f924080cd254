// tick -> sealed datagram -> signature -> hash.
#include "relay/publish/publisher.hpp"

#include <algorithm>

namespace tiercast::publish {

Publisher::Publisher(GroupId group, SourceId source, const crypto::PrivateKey& signing_key, Sequence above)
    : group_(group), source_(source), signer_(signing_key), attester_(signer_), last_(above) {}

bool Publisher::use_epoch(const wire::EpochRecord& epoch, Bytes group_secret) {
  if (epoch.group != group_ || epoch.source != source_) return false;
  if (sealer_ && epoch.epoch <= sealer_->epoch()) return false;
  attester_.close();
  sealer_.emplace(crypto::FrameKey::derive(group_secret, epoch.value, group_, source_, epoch.epoch), group_, source_,
                  epoch.epoch, last_);
  counters_.epochs.add();
  counters_.frames_this_epoch.set(0);
  return true;
}

std::optional<std::size_t> Publisher::publish(const Tick& tick, MutableBytes out, Time now) {
  if (!sealer_) {
    counters_.drop_no_epoch.add();
    return std::nullopt;
  }
  // What does not fit with its signature must not be sealed: a sequence is used up by sealing.
  const bool fits = out.size() >= wire::kMaxSealed + wire::kSignature;
  const auto sealed =
      fits ? sealer_->seal(tick.sequence, tick.flags, tick.opus, out.first(wire::kMaxSealed)) : std::nullopt;
  if (!sealed) {
    counters_.drop_refused.add();
    return std::nullopt;
  }
  last_ = tick.sequence;
  const Bytes datagram = out.first(*sealed);
  const crypto::Signature signature = signer_.sign_frame(datagram);
  std::copy(signature.begin(), signature.end(), out.begin() + static_cast<std::ptrdiff_t>(*sealed));
  const wire::Header header{wire::Type::frame, tick.flags, source_, group_, sealer_->epoch(), tick.sequence};
  attester_.add(header, datagram, now);
  counters_.frames.add();
  counters_.frames_this_epoch.set(sealer_->sealed());
  return sealed;
}

}  // namespace tiercast::publish
