// A histogram with one writer, readable from any thread while it runs: Counters instead of numbers.
#pragma once

#include <array>

#include "relay/base/counter.hpp"
#include "relay/base/histogram.hpp"

namespace tiercast {

/// Buckets as Histogram's, by default an eighth of a power of two, up to 2^30: 2 KiB.
template <unsigned PrecisionBits = 3, unsigned ValueBits = 30>
class SharedHistogram {
 public:
  using Sum = Histogram<PrecisionBits, ValueBits>;
  /// The one writer's: a relaxed addition, and another one of a new highest value.
  void record(std::uint64_t value) {
    buckets_[Sum::index_of(value)].add();
    if (value > highest_.get()) highest_.set(value);
  }
  /// Any thread's. What is recorded meanwhile may be in it or not.
  void add_to(Sum& sum) const {
    for (std::size_t i = 0; i < Sum::kBuckets; ++i) sum.add(i, buckets_[i].get(), highest_.get());
  }

 private:
  std::array<Counter, Sum::kBuckets> buckets_{};
  Counter highest_;
};

}  // namespace tiercast
