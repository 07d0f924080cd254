// The ring between feed and worker: bounded, in order, and clean between two real threads.
#include "relay/base/spsc_ring.hpp"

#include <doctest/doctest.h>

#include <thread>
#include <vector>

namespace tiercast::spsc_ring_test {
namespace {

TEST_CASE("a ring takes its capacity, a power of two, and not one more") {
  for (const std::size_t asked : {0, 1, 2, 3, 4, 5, 8}) {
    SpscRing<int> ring{asked};
    REQUIRE(ring.capacity() >= std::max<std::size_t>(asked, 2));
    REQUIRE(std::has_single_bit(ring.capacity()));
    REQUIRE(ring.capacity() < 2 * std::max<std::size_t>(asked, 2));
    for (std::size_t i = 0; i < ring.capacity(); ++i) REQUIRE(ring.push(static_cast<int>(i)));
    CHECK_FALSE(ring.push(-1));
    for (std::size_t i = 0; i < ring.capacity(); ++i) REQUIRE(ring.pop() == static_cast<int>(i));
    CHECK_FALSE(ring.pop());
  }
}

TEST_CASE("a full ring refuses without taking the item, and takes it after one pop") {
  SpscRing<std::unique_ptr<int>> ring{2};
  REQUIRE(ring.push(std::make_unique<int>(1)));
  REQUIRE(ring.push(std::make_unique<int>(2)));
  auto third = std::make_unique<int>(3);
  CHECK_FALSE(ring.push(std::move(third)));
  REQUIRE(third);  // NOLINT: a refused item stays the producer's
  CHECK(**ring.pop() == 1);
  CHECK(ring.push(std::move(third)));
  CHECK(**ring.pop() == 2);
  CHECK(**ring.pop() == 3);
}

TEST_CASE("order holds over many laps, at any fill") {
  SpscRing<std::uint64_t> ring{4};
  std::uint64_t in = 0;
  std::uint64_t out = 0;
  for (int lap = 0; lap < 1000; ++lap) {
    for (int i = 0; i < lap % 5; ++i) in += ring.push(std::uint64_t{in}) ? 1 : 0;
    for (int i = 0; i < lap % 3; ++i) {
      const auto item = ring.pop();
      if (!item) break;
      REQUIRE(*item == out);
      ++out;
    }
  }
  while (const auto item = ring.pop()) {
    REQUIRE(*item == out);
    ++out;
  }
  CHECK(in == out);
  CHECK(in > 500);
}

TEST_CASE("two threads pass every item once, whole and in order") {
  struct Item {
    std::uint64_t number = 0;
    std::uint64_t twice = 0;
    std::vector<std::uint64_t> heap;
  };
  constexpr std::uint64_t kItems = 100000;
  SpscRing<Item> ring{8};
  std::thread producer{[&] {
    for (std::uint64_t n = 0; n < kItems;) {
      if (ring.push(Item{n, 2 * n, {n}})) {
        ++n;
      } else {
        std::this_thread::yield();
      }
    }
  }};
  std::uint64_t next = 0;
  std::uint64_t wrong = 0;
  while (next < kItems) {
    const auto item = ring.pop();
    if (!item) {
      std::this_thread::yield();
      continue;
    }
    if (item->number != next || item->twice != 2 * next || item->heap != std::vector{next}) ++wrong;
    ++next;
  }
  producer.join();
  CHECK(wrong == 0);
  CHECK_FALSE(ring.pop());
}

}  // namespace
}  // namespace tiercast::spsc_ring_test

TEST_CASE("spsc ring: the producer sees what has been taken") {
  tiercast::SpscRing<int> ring{4};
  CHECK(ring.all_taken());
  REQUIRE(ring.push(1));
  REQUIRE(ring.push(2));
  CHECK(ring.taken() == 0);
  CHECK_FALSE(ring.all_taken());
  ring.pop();
  CHECK(ring.taken() == 1);
  CHECK_FALSE(ring.all_taken());
  ring.pop();
  CHECK(ring.taken() == 2);
  CHECK(ring.all_taken());
}
