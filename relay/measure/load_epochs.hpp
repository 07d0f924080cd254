// The epochs that listeners of one process were told of, kept once: each listener has a bit for each that it was told
// itself, names those in its keepalives, and opens frames with no others. Knows no socket and no time.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "crypto/frame.hpp"
#include "relay/receive/playout.hpp"
#include "relay/wire/records.hpp"

namespace tiercast::measure {

class LoadEpochs {
 public:
  static constexpr std::size_t kPlaces = 16;
  using Held = std::uint16_t;  // a listener's: bit n is place n
  static_assert(sizeof(Held) * 8 == kPlaces);

  /// Without `sources` nothing can be verified, nor is any frame opened.
  LoadEpochs(GroupId group, std::vector<receive::SourceKey> sources) : group_(group), sources_(std::move(sources)) {}

  enum class Said : std::uint8_t { known, added, other_group, unknown_source, forged };
  struct Noted {
    Said said = Said::forged;
    Held place = 0;      // its bit; none unless known or added
    Held forgotten = 0;  // that bit meant another epoch before: it is no listener's any more
  };
  /// An epoch's signature is verified when it is first told; after that its bytes must be the same.
  Noted note(const wire::EpochRecord& record);

  void write_held(Held held, wire::EpochsHeld& out) const;
  /// nullopt: the listener was not told of this epoch.
  std::optional<std::size_t> find(Held held, SourceId source, Epoch epoch) const;
  /// Opens a FRAME with what find() gave; the Opus packet's length.
  std::optional<std::size_t> open(std::size_t place, Bytes datagram, MutableBytes opus) const;
  bool opens() const { return !sources_.empty(); }
  const receive::SourceKey* source(SourceId id) const;

 private:
  struct Place {
    wire::EpochRecord record;
    std::optional<crypto::FrameKey> key;
    std::uint64_t stamp = 0;  // order of adding
  };
  GroupId group_;
  std::vector<receive::SourceKey> sources_;
  std::array<std::optional<Place>, kPlaces> places_;
  std::uint64_t stamp_ = 0;
};

}  // namespace tiercast::measure
