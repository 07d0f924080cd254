// Counters with one writer, readable from any thread while it runs.
#pragma once

#include <atomic>
#include <cstdint>

namespace tiercast {

/// One thread adds, any thread reads. No locked instruction: a relaxed load and store.
class Counter {
 public:
  Counter() = default;
  Counter(const Counter& other) : value_(other.get()) {}
  Counter& operator=(const Counter& other) {
    value_.store(other.get(), std::memory_order_relaxed);
    return *this;
  }
  void add(std::uint64_t n = 1) { value_.store(get() + n, std::memory_order_relaxed); }
  void set(std::uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// A module's counters are a struct of Counters with
//   template <class F> void each(F&& f) const { f("join_hello_received", hello_received); … }
// whose names are `<module>_<what>` and, for drops, `<module>_drop_<reason>`. status and metrics show them all.

}  // namespace tiercast
