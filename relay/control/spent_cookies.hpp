// Which cookies have served already, and what was answered: a cookie is good for one handshake. Fixed size, O(1), and
// keyed so that nobody can aim at one of its chains. Knows no handshake and no socket.
#pragma once

#include <memory>
#include <vector>

#include "relay/base/random.hpp"
#include "relay/wire/packets.hpp"

namespace tiercast::control {

class SpentCookies {
 public:
  using JoinHash = std::array<std::uint8_t, 16>;
  using Index = std::uint32_t;
  static constexpr Index kNone = 0xffffffff;
  /// Handshakes that may fail on one cookie before it counts as spent.
  static constexpr std::uint8_t kMaxFailures = 4;

  /// Room for `cookies` (≥ 1) within wire::kCookieLife and for `reply_bytes` (≥ kMaxDatagram) of answers. All memory is
  /// taken here; its pages are touched as they are used.
  SpentCookies(std::size_t cookies, std::size_t reply_bytes, Random& random);

  /// Its entry, or kNone: not spent.
  Index find(const wire::Cookie& cookie) const;
  /// Whether one more can be spent now: the oldest entry's cookie is of no use any more.
  bool has_room(Time now) const;
  /// Only when find() gave kNone and has_room().
  Index spend(const wire::Cookie& cookie, const JoinHash& join, Time now);
  /// Keeps the answer to that cookie's JOIN. Once per entry.
  void keep_reply(Index entry, Bytes reply);
  /// The answer to an equal JOIN, within kAcceptReplay of the first; empty: another JOIN, too late, or overwritten.
  Bytes reply(Index entry, const JoinHash& join, Time now) const;

  /// A handshake failed. The record of this is small and forgetful: it stops floods of junk behind one cookie.
  void note_failure(const wire::Cookie& cookie);
  bool failed_too_often(const wire::Cookie& cookie) const;

 private:
  struct Entry {
    wire::Cookie cookie;
    JoinHash join;
    Time at;
    std::uint64_t reply_at;
    Index next;
    std::uint16_t reply_length;  // 0: none
  };
  struct Failures {
    std::uint64_t tag = 0;
    std::uint8_t count = 0;
  };
  static constexpr unsigned kFailuresShift = 64 - 12;
  static constexpr std::size_t kFailures = 1 << 12;

  std::uint64_t mixed(const wire::Cookie& cookie) const;
  Index& head_of(const wire::Cookie& cookie) { return heads_[mixed(cookie) >> heads_shift_]; }
  void forget(Index entry);

  std::size_t capacity_;
  std::size_t used_ = 0;    // entries ever used, up to capacity
  std::size_t oldest_ = 0;  // the next to be reused once all are used
  std::unique_ptr<Entry[]> entries_;
  std::vector<Index> heads_;
  unsigned heads_shift_;
  std::uint64_t seed_;
  std::array<std::uint64_t, 2> multipliers_;

  std::size_t reply_capacity_;
  std::uint64_t reply_end_ = 0;  // bytes ever written, gaps included
  std::unique_ptr<std::uint8_t[]> replies_;
  std::vector<Failures> failures_;
};

}  // namespace tiercast::control
