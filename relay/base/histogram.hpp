// A fixed histogram with log-linear buckets, as in HdrHistogram: the same relative precision from 1 to 2^ValueBits.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace tiercast {

/// Each power of two is split in 2^PrecisionBits buckets: an error of at most 2^-PrecisionBits (1.6 % by default).
/// Values of 2^ValueBits and more are counted in the last bucket. Allocates nothing; some 18 KiB by default.
template <unsigned PrecisionBits = 6, unsigned ValueBits = 40>
class Histogram {
  static_assert(PrecisionBits >= 1 && PrecisionBits < ValueBits && ValueBits < 64);

 public:
  void record(std::uint64_t value) {
    ++buckets_[index_of(value)];
    lowest_ = count_ == 0 ? value : std::min(lowest_, value);
    highest_ = std::max(highest_, value);
    ++count_;
  }
  std::uint64_t count() const { return count_; }
  /// Exact. 0 when nothing was recorded.
  std::uint64_t lowest() const { return lowest_; }
  std::uint64_t highest() const { return highest_; }
  /// The value that a share of `q` (0 to 1) of all recorded do not exceed: 0.5 is the median. Errs upwards, within the
  /// precision. 0 when nothing was recorded.
  std::uint64_t quantile(double q) const {
    if (count_ == 0) return 0;
    const double exact = std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(count_));
    const std::uint64_t rank = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(exact), 1, count_);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += buckets_[i];
      if (seen >= rank && i + 1 < kBuckets) return std::clamp(top_of(i), lowest_, highest_);
    }
    return highest_;
  }
  void clear() { *this = Histogram{}; }
  /// How many were recorded in each bucket: f(the greatest value of that bucket, how many), where there are any.
  template <class F>
  void each_bucket(F&& f) const {
    for (std::size_t i = 0; i < kBuckets; ++i)
      if (buckets_[i] > 0) f(top_of(i), buckets_[i]);
  }
  /// So many whose bucket is known, and the highest of them; lowest() then errs downwards, within the precision.
  void add(std::size_t bucket, std::uint64_t count, std::uint64_t highest) {
    if (count == 0) return;
    buckets_[bucket] += count;
    const std::uint64_t bottom = bucket == 0 ? 0 : top_of(bucket - 1) + 1;
    lowest_ = count_ == 0 ? bottom : std::min(lowest_, bottom);
    highest_ = std::max({highest_, highest, bottom});
    count_ += count;
  }

  static constexpr std::size_t kBuckets = (ValueBits - PrecisionBits + 1) << PrecisionBits;
  static constexpr std::size_t index_of(std::uint64_t value) {
    value = std::min(value, (std::uint64_t{1} << ValueBits) - 1);
    if (value < kSplit) return static_cast<std::size_t>(value);
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - 1 - PrecisionBits;
    return static_cast<std::size_t>((std::uint64_t{shift} << PrecisionBits) + (value >> shift));
  }

 private:
  static constexpr std::uint64_t kSplit = std::uint64_t{1} << PrecisionBits;
  /// The greatest value of a bucket.
  static constexpr std::uint64_t top_of(std::size_t index) {
    if (index < 2 * kSplit) return index;
    const std::uint64_t shift = (index >> PrecisionBits) - 1;
    const std::uint64_t leading = (index & (kSplit - 1)) + kSplit;
    return ((leading + 1) << shift) - 1;
  }

  std::array<std::uint64_t, kBuckets> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t lowest_ = 0;
  std::uint64_t highest_ = 0;
};

}  // namespace tiercast
