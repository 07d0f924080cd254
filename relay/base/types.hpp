// The words of DESIGN as types that cannot be mixed up. Knows nothing but numbers.
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>

namespace tiercast {

using Bytes = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

/// A number with a name. Comparable with its own kind only.
template <class Tag, class Rep>
struct Strong {
  using Representation = Rep;
  Rep value{};
  constexpr Strong() = default;
  constexpr explicit Strong(Rep v) : value(v) {}
  constexpr auto operator<=>(const Strong&) const = default;  // NOLINT(modernize-use-nullptr): clang-tidy 14 errs here
};

/// One broadcast (a stage, a language). u24 on the wire; 0 means "no group".
using GroupId = Strong<struct GroupIdTag, std::uint32_t>;
/// An origin's sealed stream for a group. u8 on the wire.
using SourceId = Strong<struct SourceIdTag, std::uint8_t>;
/// One generation of a source's group key. u32 on the wire, never used twice.
using Epoch = Strong<struct EpochTag, std::uint32_t>;
/// A downstream's right to receive: boot tag u16, slot u24, random u24 (most significant first).
using LeaseId = Strong<struct LeaseIdTag, std::uint64_t>;
/// The fan-out worker that a lease lives on; byte 1 of what a downstream sends.
using Lane = Strong<struct LaneTag, std::uint8_t>;
/// First 8 bytes (big-endian) of BLAKE2b over a node's public key: names a node in paths and status.
using NodeId = Strong<struct NodeIdTag, std::uint64_t>;

/// Frame index on the group's media clock. u48 on the wire; dense, never wraps.
struct Sequence : Strong<struct SequenceTag, std::uint64_t> {
  using Strong::Strong;
  constexpr Sequence next() const { return Sequence{value + 1}; }
  constexpr Sequence plus(std::uint64_t n) const { return Sequence{value + n}; }
};

/// In ticks; negative: `to` comes first.
constexpr std::int64_t distance(Sequence from, Sequence to) {
  return static_cast<std::int64_t>(to.value) - static_cast<std::int64_t>(from.value);
}

/// Monotonic time of one process. The core never reads it: it is always an argument.
struct MonotonicClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicClock>;
  static constexpr bool is_steady = true;
};
using Time = MonotonicClock::time_point;
using Duration = std::chrono::nanoseconds;
constexpr double milliseconds(Duration d) { return std::chrono::duration<double, std::milli>{d}.count(); }
/// Unix time.
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::microseconds>;

/// "Never": the deadline of who waits for nothing.
inline constexpr Time kNever = Time::max();

/// Both clocks, read once per turn by the shell.
struct Moment {
  Time mono;
  WallTime wall;
};

using namespace std::chrono_literals;

}  // namespace tiercast
