// PROOF: signatures of single frames, for listeners, where no attestation will come: the source has died, or was left,
// before it attested them. Made from a history, which has every frame's.
#pragma once

#include "relay/forward/history.hpp"

namespace tiercast::forward {

/// A PROOF into `out` (kMaxProof bytes) about the frames from `first` on, up to `last`, that are of the same source and
/// epoch as `first`; its length. 0: `first` is not here.
std::size_t write_proof(const History& history, Sequence first, Sequence last, MutableBytes out);

/// The first frame from `from` on, up to the newest, that is of `source` and that no attestation here covers; 0: none.
Sequence unattested(const History& history, SourceId source, Sequence from);

}  // namespace tiercast::forward
