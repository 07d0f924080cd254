// Proves "no allocation per frame": counts what this thread asks of operator new while a scope lives.
#pragma once

#include <cstdint>

namespace tiercast::test {

/// Counts from construction on. Read count() into a variable before a CHECK: doctest's own macros may allocate.
class AllocationCount {
 public:
  AllocationCount();
  std::uint64_t count() const;

 private:
  std::uint64_t before_;
};

}  // namespace tiercast::test
