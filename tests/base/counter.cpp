// A counter has one writer and any reader.
#include "relay/base/counter.hpp"

#include <doctest/doctest.h>

#include <thread>

namespace tiercast::counter_test {
namespace {

TEST_CASE("a counter adds, is set, and copies its value") {
  Counter c;
  CHECK(c.get() == 0);
  c.add();
  c.add(41);
  CHECK(c.get() == 42);
  const Counter copy = c;
  c.set(7);
  CHECK(copy.get() == 42);
  CHECK(c.get() == 7);
}

TEST_CASE("a reader on another thread sees a counter that never runs backwards") {
  Counter c;
  constexpr std::uint64_t kEnd = 100000;
  std::thread writer{[&] {
    for (std::uint64_t i = 0; i < kEnd; ++i) c.add();
  }};
  std::uint64_t last = 0;
  bool backwards = false;
  while (last < kEnd) {
    const std::uint64_t now = c.get();
    backwards = backwards || now < last;
    last = now;
    if (last == 0) std::this_thread::yield();
  }
  writer.join();
  CHECK_FALSE(backwards);
  CHECK(c.get() == kEnd);
}

}  // namespace
}  // namespace tiercast::counter_test
