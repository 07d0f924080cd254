// Seals each tick once, signs it, and attests to it. The only place of the program that seals frames.
// Must not know: where ticks come from, where datagrams go, files.
#pragma once

#include <optional>

#include "crypto/frame.hpp"
#include "relay/publish/attester.hpp"
#include "relay/publish/ingest.hpp"
#include "relay/wire/records.hpp"

namespace tiercast::publish {

struct PublisherCounters {
  Counter frames, frames_this_epoch, epochs, drop_no_epoch, drop_refused;
  template <class F>
  void each(F&& f) const {
    f("seal_frame", frames);
    f("seal_epoch", epochs);
    f("seal_drop_no_epoch", drop_no_epoch);
    f("seal_drop_refused", drop_refused);
  }
};

class Publisher {
 public:
  /// `above`: sequences up to this are refused in every epoch.
  Publisher(GroupId group, SourceId source, const crypto::PrivateKey& signing_key, Sequence above);
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  /// Seals with `epoch` from here on, which is on disk as used. `group_secret` as in FrameKey::derive(). Closes the old
  /// epoch's attestation: take it before the next publish(). False, and nothing changed: the epoch is another source's
  /// or not above the present one. Allocates (guarded memory).
  bool use_epoch(const wire::EpochRecord& epoch, Bytes group_secret = {});

  /// Writes the sealed FRAME and, right behind it, its 64-byte signature; the length without the signature. `out` has
  /// kMaxSealed + kSignature bytes or more. nullopt: no epoch yet, or a sequence not above the last, or too much Opus.
  std::optional<std::size_t> publish(const Tick& tick, MutableBytes out, Time now);

  /// See Attester::take().
  std::optional<Bytes> take_attestation(Time now) { return attester_.take(now); }
  Time next_deadline() const { return attester_.next_deadline(); }

  /// For an announcement.
  wire::EpochRecord sign(wire::EpochRecord epoch) const {
    epoch.signature = signer_.sign_epoch(epoch);
    return epoch;
  }
  Sequence last() const { return last_; }
  const crypto::PublicKey& public_key() const { return signer_.public_key(); }
  const PublisherCounters& counters() const { return counters_; }
  const AttesterCounters& attester_counters() const { return attester_.counters(); }

 private:
  const GroupId group_;
  const SourceId source_;
  crypto::SourceSigner signer_;
  Attester attester_;
  std::optional<crypto::FrameSealer> sealer_;
  Sequence last_;
  PublisherCounters counters_;
};

}  // namespace tiercast::publish
