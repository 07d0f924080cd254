// Which other edges a node names to one whom it sends away: a few of those that it may name, others to each, so that a
// crowd spreads out. Edges are numbers of the operator's list here.
#pragma once

#include <array>
#include <span>

#include "relay/base/bytes.hpp"

namespace tiercast::control {

/// As go-away and denied have them: u16 each. What one names beyond kMost is not looked at.
class EdgeIndices {
 public:
  static constexpr std::size_t kMost = 8;
  EdgeIndices() = default;
  explicit EdgeIndices(Bytes record) {
    while (record.size() >= 2 && push_back(static_cast<std::uint16_t>(load_be<2>(record.data()))))
      record = record.subspan(2);
  }
  /// False when full.
  bool push_back(std::uint16_t index) {
    if (size_ == kMost) return false;
    store_be<2>(bytes_.data() + 2 * size_++, index);
    return true;
  }
  std::size_t size() const { return size_; }
  std::uint16_t operator[](std::size_t i) const {
    return static_cast<std::uint16_t>(load_be<2>(bytes_.data() + 2 * i));
  }
  /// For a record: a view of this.
  Bytes bytes() const { return Bytes{bytes_}.first(2 * size_); }

 private:
  std::array<std::uint8_t, 2 * kMost> bytes_{};
  std::size_t size_ = 0;
};

/// So many are named: enough that one of them takes a listener, few enough that it need not choose for long.
inline constexpr std::size_t kElsewhereTold = 4;

/// Of `from` up to kElsewhereTold, each once, in an order by chance; the same for the same `seed`.
EdgeIndices some_of(std::span<const std::uint16_t> from, std::uint64_t seed);

}  // namespace tiercast::control
