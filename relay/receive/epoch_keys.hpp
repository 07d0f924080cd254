// The keys of one group's known epochs, as one who opens frames holds them. Knows no time and asks nobody.
#pragma once

#include <optional>
#include <vector>

#include "crypto/frame.hpp"
#include "relay/wire/records.hpp"

namespace tiercast::receive {

/// Bounded: kPlaces per source. Of these at most half are of epochs that opened nothing yet (the oldest of them makes
/// room), so that announcements alone never push out the key that is in use.
/// Announcements are the source's signed word, but an old one may be said again.
class EpochKeys {
 public:
  static constexpr std::size_t kPlaces = 8;
  static constexpr std::size_t kUnused = kPlaces / 2;

  /// `group_secret` (copied): empty in key mode "relay".
  EpochKeys(GroupId group, const std::vector<SourceId>& sources, Bytes group_secret);

  enum class Added : std::uint8_t { added, known, other_group, unknown_source, forged };
  /// `record`'s signature has been verified.
  Added add(const wire::EpochRecord& record);

  bool has(SourceId source, Epoch epoch) const;
  /// Opens a FRAME datagram (no trailers) into `opus` (≥ datagram - 32 bytes); the Opus packet's length, or nullopt: no
  /// key that is held opens it.
  std::optional<std::size_t> open(const wire::Header& header, Bytes datagram, MutableBytes opus);
  /// What a keepalive names: epochs of which this side does not need to be told.
  wire::EpochsHeld held() const;

 private:
  struct Key {
    Epoch epoch;
    crypto::FrameKey key;
    std::uint64_t stamp;  // order of adding, or of the last use
    bool used = false;
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
