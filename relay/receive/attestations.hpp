// What the sources have signed of one group's sequences, per source a ring of hashes, so that a frame that comes after
// its attestation still finds it. Trusts its caller to have verified what it stores.
#pragma once

#include <optional>
#include <vector>

#include "crypto/signature.hpp"
#include "relay/wire/packets.hpp"

namespace tiercast::receive {

class Attestations {
 public:
  /// `sequences` is how far back it remembers. All storage is taken here.
  Attestations(std::size_t sources, std::size_t sequences) : per_source_(sequences), hashes_(sources * sequences) {}

  /// Whether all that the attestation states, and it states something, is stored: then it needs no verification.
  bool repeats(std::size_t source, const wire::Attest& attest) const;
  /// A newer sequence takes an older one's place, never the reverse. The first statement about a sequence stands.
  void store(std::size_t source, const wire::Attest& attest);
  /// The same of one frame, told otherwise.
  void store(std::size_t source, Sequence sequence, const crypto::AttestHash& hash);
  /// nullptr: nothing is known of that sequence.
  const crypto::AttestHash* find(std::size_t source, Sequence sequence) const;
  /// The highest sequence that any source has attested to exist.
  std::optional<Sequence> newest() const { return newest_; }

 private:
  struct Hash {
    Sequence sequence;
    bool known = false;
    crypto::AttestHash hash{};
  };
  std::size_t index(std::size_t source, Sequence sequence) const {
    return source * per_source_ + static_cast<std::size_t>(sequence.value % per_source_);
  }
  std::size_t per_source_;
  std::vector<Hash> hashes_;
  std::optional<Sequence> newest_;
};

/// An all-zero hash: the attestation says nothing of that frame.
bool absent(Bytes hash);

}  // namespace tiercast::receive
