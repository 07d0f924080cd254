// What the sampled listeners' frames are worth: does each open with the epoch's key, is it the frame that the source
// has attested, and how long after the first of its sequence did it come. Shared by all of them: what one listener's
// copy has proven another's equal copy need not. Knows no socket.
#pragma once

#include <vector>

#include "crypto/signature.hpp"
#include "relay/base/histogram.hpp"
#include "relay/measure/load_epochs.hpp"

namespace tiercast::measure {

struct LoadSampleCounts {
  std::uint64_t frames = 0;          // of sampled listeners, copies included
  std::uint64_t opened = 0;          // by the key of an epoch that this listener was told
  std::uint64_t forged = 0;          // that key does not open it
  std::uint64_t unknown_epoch = 0;   // this listener was not told that epoch
  std::uint64_t unknown_source = 0;  // no --source-key names it
  std::uint64_t differing = 0;       // other bytes than the first copy of that sequence had
  std::uint64_t attested = 0;        // sequences whose bytes are what the source has signed
  std::uint64_t contradicted = 0;    // are not
  std::uint64_t attestations = 0;    // verified, or equal to one that was
  std::uint64_t forged_attestations = 0;
};

class LoadSample {
 public:
  explicit LoadSample(const LoadEpochs& epochs) : epochs_(&epochs), sequences_(kRemembered), opus_(wire::kMaxOpus) {}

  /// A FRAME of the group to one of the sampled, whose epochs are `held`; `arrived` by the kernel's stamp.
  void on_frame(const wire::Header& header, Bytes datagram, LoadEpochs::Held held, WallTime arrived);
  void on_attest(const wire::Attest& attest);
  /// The origin's word when a frame was sealed.
  void on_statement(const wire::GroupInfo& info);

  const LoadSampleCounts& counts() const { return counts_; }
  /// µs of a copy behind the first copy of its sequence among the sampled: how far the sender's round is spread, and
  /// what the network adds unevenly. What it adds to all alike is not in it.
  const Histogram<>& behind_first() const { return behind_first_; }
  /// µs from sealing to the first and to the last copy among the sampled, of those frames that the origin stated a time
  /// for (one in seconds): true where origin and this machine share a clock.
  const Histogram<>& first_since_sealed() const { return first_since_sealed_; }
  const Histogram<>& last_since_sealed() const { return last_since_sealed_; }
  /// Frames that came before they were sealed, as the clocks say.
  std::uint64_t before_sealed() const { return before_sealed_; }

 private:
  // A statement is up to a second a hop old when it is sent, then comes with one listener's acknowledgement: soon, as
  // there are many. 20 s of 20 ms frames.
  static constexpr std::size_t kRemembered = 1024;
  struct Of {
    Sequence sequence;
    WallTime first, last;
    crypto::AttestHash hash{};
    bool attested = false;
  };
  Of& of(Sequence sequence) { return sequences_[sequence.value % kRemembered]; }
  void judge(Of& frame, Bytes signed_hash);

  const LoadEpochs* epochs_;
  std::vector<Of> sequences_;
  std::vector<std::uint8_t> opus_;
  std::array<std::uint8_t, wire::kMaxAttest> last_attest_{};  // the newest that was verified, all of its bytes
  std::size_t last_attest_size_ = 0;
  Sequence stated_;
  LoadSampleCounts counts_;
  Histogram<> behind_first_, first_since_sealed_, last_since_sealed_;
  std::uint64_t before_sealed_ = 0;
};

}  // namespace tiercast::measure
