// A timer wheel: what is due in whole units has a spoke for each unit, so that a spoke's items are all due at once.
// Exact, and O(1) to enter, move and take. Knows indices only.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <optional>

#include "relay/wire/limits.hpp"

namespace tiercast::control {

/// `kUnitNs`: nanoseconds of a unit. `kSpokes`, a multiple of 64: units that lie before it; what is due beyond them
/// takes a step for each lap.
template <std::int64_t kUnitNs, std::uint64_t kSpokes>
class TimerWheel {
  static_assert(kUnitNs > 0 && kSpokes % 64 == 0);

 public:
  static constexpr std::uint32_t kNone = 0xffffffff;
  static constexpr Duration kUnit{kUnitNs};

  /// Inside what is ordered.
  struct Links {
    std::uint32_t next = kNone, previous = kNone, spoke = kNone;
  };

  /// The first unit at or after `t`.
  static std::uint64_t unit_at_or_after(Time t) {
    return static_cast<std::uint64_t>((t.time_since_epoch() + kUnit - Duration{1}) / kUnit);
  }
  static std::uint64_t unit_of(Time t) { return static_cast<std::uint64_t>(t.time_since_epoch() / kUnit); }
  static Time time_of(std::uint64_t unit) { return Time{static_cast<Duration::rep>(unit) * kUnit}; }

  TimerWheel() { heads_.fill(kNone); }

  /// Enters `item`, to be due at `unit`. `links(i)` gives the Links of item i.
  template <class LinksOf>
  void enter(std::uint32_t item, std::uint64_t unit, LinksOf&& links, Time now) {
    if (size_ == 0) turned_to_ = unit_of(now);
    // Beyond the horizon (only when the caller was late): as far as there is, and placed again when that comes.
    const std::uint64_t at = std::clamp(unit, turned_to_, turned_to_ + kSpokes - 1);
    const auto spoke = static_cast<std::uint32_t>(at % kSpokes);
    const std::uint32_t next = heads_[spoke];
    links(item) = Links{.next = next, .previous = kNone, .spoke = spoke};
    if (next != kNone) links(next).previous = item;
    heads_[spoke] = item;
    occupied_[spoke / 64] |= std::uint64_t{1} << spoke % 64;
    ++size_;
    ++steps_;
  }

  template <class LinksOf>
  void leave(std::uint32_t item, LinksOf&& links) {
    Links& own = links(item);
    assert(own.spoke != kNone);
    if (own.next != kNone) links(own.next).previous = own.previous;
    (own.previous != kNone ? links(own.previous).next : heads_[own.spoke]) = own.next;
    if (heads_[own.spoke] == kNone) occupied_[own.spoke / 64] &= ~(std::uint64_t{1} << own.spoke % 64);
    own = Links{};
    --size_;
    ++steps_;
  }

  /// One item whose spoke has come; it stays entered. The caller takes it out, or enters it anew if it is not due yet.
  std::optional<std::uint32_t> come(Time now) {
    const std::uint64_t today = unit_of(now);
    if (size_ == 0 || today < turned_to_) return std::nullopt;
    turned_to_ = std::min(next_unit(), today);
    ++steps_;
    const std::uint32_t item = heads_[turned_to_ % kSpokes];
    return item == kNone ? std::nullopt : std::optional{item};
  }

  /// When come() has something; kNever when nothing is entered.
  Time next_deadline() const { return size_ == 0 ? kNever : time_of(next_unit()); }
  std::uint32_t size() const { return size_; }
  std::uint64_t steps() const { return steps_; }

 private:
  /// The first unit from turned_to_ on whose spoke has somebody. There is one.
  std::uint64_t next_unit() const {
    const std::uint64_t from = turned_to_ % kSpokes;
    std::uint64_t word = from / 64, bits = occupied_[word] & ~std::uint64_t{0} << from % 64;
    for (std::size_t turned = 0; bits == 0; ++turned) {
      assert(turned < occupied_.size());
      word = (word + 1) % occupied_.size();
      bits = occupied_[word];
    }
    const std::uint64_t spoke = word * 64 + static_cast<std::uint64_t>(std::countr_zero(bits));
    return turned_to_ + (spoke - from) % kSpokes;
  }

  std::array<std::uint32_t, kSpokes> heads_;
  std::array<std::uint64_t, kSpokes / 64> occupied_{};
  std::uint64_t turned_to_ = 0;  // no spoke before this unit has anybody
  std::uint32_t size_ = 0;
  std::uint64_t steps_ = 0;
};

/// The order in which leases end: tokens are issued in units, and so ends are whole units too. 25.6 s: a lease's 15 s,
/// and 10 s by which the caller may be late before a lap of one lease is spent on it.
using ExpiryWheel = TimerWheel<Duration{wire::kTokenUnit}.count(), 256>;
static_assert(256 * ExpiryWheel::kUnit > wire::kLeaseLife + 10s);

}  // namespace tiercast::control
