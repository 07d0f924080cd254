#include "relay/forward/slot_ring.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>
#include <vector>

namespace tiercast::slot_ring_test {

using forward::SlotRing;

namespace {

void write(SlotRing& ring, std::uint64_t key, std::uint8_t fill, std::size_t length = 100) {
  auto slot = ring.claim(key);
  REQUIRE(slot);
  std::fill_n(slot->begin(), length + wire::kSignature, fill);
  ring.publish(key, length, wire::kSignature);
}

}  // namespace

TEST_CASE("a slot is there only once published, and under its own key only") {
  SlotRing ring{8};
  CHECK_FALSE(ring.pin(3));
  CHECK_FALSE(ring.has(0));
  auto slot = ring.claim(3);
  REQUIRE(slot);
  CHECK(slot->size() == SlotRing::kSlotBytes);
  CHECK_FALSE(ring.pin(3));
  CHECK_FALSE(ring.has(3));
  ring.publish(3, 40, wire::kSignature);
  CHECK(ring.has(3));
  CHECK_FALSE(ring.has(11));  // the same slot's next key
  CHECK_FALSE(ring.pin(11));
  const auto pin = ring.pin(3);
  REQUIRE(pin);
  CHECK(pin.datagram().size() == 40);
  CHECK(pin.signature().size() == wire::kSignature);
  CHECK(pin.signature().data() == pin.datagram().data() + 40);
  CHECK(pin.with_signature().size() == 40 + wire::kSignature);
}

TEST_CASE("the largest key of 48 bits is not mixed up with anything") {
  SlotRing ring{16};
  const std::uint64_t last = (std::uint64_t{1} << 48) - 1;
  write(ring, last, 9);
  CHECK(ring.has(last));
  CHECK_FALSE(ring.has(last - 16));
  CHECK(ring.pin(last));
}

TEST_CASE("a pinned slot refuses the writer until the last reader lets go") {
  SlotRing ring{4};
  write(ring, 1, 0xaa);
  auto first = ring.pin(1);
  auto second = ring.pin(1);
  CHECK_FALSE(ring.claim(5));
  CHECK(ring.has(1));
  first = SlotRing::Pin{};
  CHECK_FALSE(ring.claim(5));
  CHECK(second.datagram()[0] == 0xaa);
  SlotRing::Pin moved = std::move(second);
  CHECK_FALSE(ring.claim(5));
  moved = SlotRing::Pin{};
  CHECK(ring.claim(5));
  CHECK_FALSE(ring.pin(1));  // what the slot held is gone as soon as it is claimed
}

TEST_CASE("a pin moved onto another pin lets go of the other's slot") {
  SlotRing ring{4};
  write(ring, 1, 1);
  write(ring, 2, 2);
  auto pin = ring.pin(1);
  pin = ring.pin(2);
  CHECK(ring.claim(5));
  CHECK_FALSE(ring.claim(6));
}

TEST_CASE("readers in other threads never see torn bytes or another key's") {
  constexpr std::size_t kSlots = 8;
  constexpr std::uint64_t kWrites = 5000;
  SlotRing ring{kSlots};
  std::atomic<std::uint64_t> newest{0};
  std::atomic<std::uint64_t> wrong{0}, seen{0}, misses{0};
  const auto length_of = [](std::uint64_t key) { return 1 + key % 300; };

  std::vector<std::thread> readers;
  for (unsigned r = 0; r < 3; ++r) {
    readers.emplace_back([&, r] {
      std::minstd_rand random{r + 1};
      for (std::uint64_t now = 0; now < kWrites; now = newest.load(std::memory_order_relaxed)) {
        const std::uint64_t back = random() % (kSlots + 2);
        if (now <= back) {
          std::this_thread::yield();
          continue;
        }
        const std::uint64_t key = now - back;
        const auto pin = ring.pin(key);
        if (!pin) {
          misses.fetch_add(1, std::memory_order_relaxed);
          continue;
        }
        bool good = pin.datagram().size() == length_of(key) && pin.signature().size() == wire::kSignature;
        for (const std::uint8_t byte : pin.with_signature()) good = good && byte == static_cast<std::uint8_t>(key * 31);
        (good ? seen : wrong).fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  std::uint64_t refused = 0;
  for (std::uint64_t key = 1; key <= kWrites; ++key) {
    if (auto slot = ring.claim(key)) {
      std::fill_n(slot->begin(), length_of(key) + wire::kSignature, static_cast<std::uint8_t>(key * 31));
      ring.publish(key, length_of(key), wire::kSignature);
    } else {
      ++refused;
    }
    newest.store(key, std::memory_order_relaxed);
    if (key % 16 == 0) std::this_thread::yield();
    // On a busy machine the writer may be done before a reader has had its first turn.
    while (key == kWrites / 2 && seen + misses + wrong == 0) std::this_thread::yield();
  }
  for (auto& reader : readers) reader.join();
  CHECK(wrong == 0);
  CHECK(refused < kWrites);
  // All pins are gone: every slot can be taken.
  for (std::uint64_t key = kWrites + 1; key <= kWrites + kSlots; ++key) CHECK(ring.claim(key));
  INFO("seen ", seen.load(), ", missed ", misses.load(), ", refused ", refused);
  CHECK(seen + misses > 0);
}

}  // namespace tiercast::slot_ring_test
