// The keys of one group's known epochs, as one who opens frames holds them. Knows no time and asks nobody.
#pragma once

#include <optional>
#include <vector>

#include "crypto/frame.hpp"
#include "relay/wire/records.hpp"

namespace tiercast::receive {

/// Bounded: kPlaces per source. Of these at most half are of epochs that opened nothing yet (the oldest of them makes
/// room), so that announcements alone, true or false, never push out the key that is in use.
///
/// Announcements are not signed, and a wrong value from one parent must not keep out the right one from another:
/// values that differ are kept side by side, and the one that opens is the right one.
class EpochKeys {
 public:
  static constexpr std::size_t kPlaces = 8;
  static constexpr std::size_t kUnused = kPlaces / 2;

  /// `group_secret` (copied): empty in key mode "relay".
  EpochKeys(GroupId group, std::vector<SourceId> sources, Bytes group_secret);

  enum class Added : std::uint8_t { added, known, other_group, unknown_source };
  Added add(const wire::EpochRecord& record);

  bool has(SourceId source, Epoch epoch) const;
  /// Opens a FRAME datagram (no trailers) into `opus` (≥ datagram - 32 bytes); the Opus packet's length, or nullopt: no
  /// key that is held opens it.
  std::optional<std::size_t> open(const wire::Header& header, Bytes datagram, MutableBytes opus);
  /// What a keepalive names: epochs without which this side does not need to be told. One whose value has only ever
  /// failed to open is left out, so that the parent says it again.
  wire::EpochsHeld held() const;

 private:
  struct Key {
    Epoch epoch;
    crypto::Secret<wire::kEpochValue> value;
    crypto::FrameKey key;
    std::uint64_t stamp;  // order of adding, or of the last use
    bool used = false;
    bool failed = false;
  };
  struct Source {
    SourceId id;
    std::array<std::optional<Key>, kPlaces> keys;
  };
  Source* find(SourceId source);
  static std::optional<Key>& place_for_new(Source& source);

  GroupId group_;
  crypto::SecretMemory group_secret_;
  std::vector<Source> sources_;
  std::uint64_t stamp_ = 0;
};

}  // namespace tiercast::receive
