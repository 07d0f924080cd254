// Attestations of a source: the hashes of a run of its sealed frames, signed. DESIGN's "Attestation".
// Must not know: keys of epochs, ticks, who receives.
#pragma once

#include <array>
#include <optional>

#include "crypto/signature.hpp"
#include "relay/base/counter.hpp"

namespace tiercast::publish {

struct AttesterCounters {
  Counter attestations, attested, drop_not_taken;
  template <class F>
  void each(F&& f) const {
    f("attest_made", attestations);
    f("attest_frame", attested);
    f("attest_drop_not_taken", drop_not_taken);
  }
};

class Attester {
 public:
  /// `signer` outlives the attester.
  explicit Attester(const crypto::SourceSigner& signer) : signer_(&signer) {}

  /// A frame was sealed: `datagram` is header, ciphertext and tag. Sequences only rise within an epoch.
  void add(const wire::Header& header, Bytes datagram, Time now);
  /// Closes the run, if there is one: at a change of epoch.
  void close();
  /// An ATTEST datagram that is due, oldest first; valid until the next call of any kind. Call until nullopt after
  /// every frame, at every change of epoch before the first frame of the new one, and at next_deadline().
  std::optional<Bytes> take(Time now);
  Time next_deadline() const;
  const AttesterCounters& counters() const { return counters_; }

 private:
  // A frame that jumps closes the run before it and its own: two; with one of an epoch change before, three.
  static constexpr std::size_t kReady = 4;
  struct Datagram {
    std::array<std::uint8_t, wire::kMaxAttest> bytes;
    std::size_t size = 0;
  };

  const crypto::SourceSigner* signer_;
  wire::Header run_;       // of the run that is open
  std::size_t count_ = 0;  // places in it, absent frames included; 0: none open
  std::size_t frames_ = 0;
  Time opened_;
  std::array<std::uint8_t, wire::kMaxAttested * wire::kAttestHash> hashes_{};
  std::array<Datagram, kReady> ready_{};
  std::size_t ready_first_ = 0;
  std::size_t ready_count_ = 0;
  AttesterCounters counters_;
};

}  // namespace tiercast::publish
