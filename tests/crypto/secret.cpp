// Secret memory: zeros at first, wiped when it goes, moved but never copied.
#include "crypto/secret.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <thread>
#include <type_traits>
#include <vector>

#include "crypto/random.hpp"

namespace tiercast::crypto::secret_test {
namespace {

static_assert(!std::is_copy_constructible_v<Secret<32>> && !std::is_copy_assignable_v<Secret<32>>);
static_assert(std::is_nothrow_move_constructible_v<Secret<32>>);
static_assert(!std::is_copy_constructible_v<Scratch<32>> && !std::is_move_constructible_v<Scratch<32>>);

template <class Span>
bool all_are(const Span& bytes, std::uint8_t value) {
  return std::all_of(bytes.begin(), bytes.end(), [&](std::uint8_t b) { return b == value; });
}

TEST_CASE("a secret is zeros at first, also where another one lay before") {
  for (int round = 0; round < 3; ++round) {
    Secret<64> cell;
    Secret<200> own_mapping;
    CHECK(all_are(cell.view(), 0));
    CHECK(all_are(own_mapping.view(), 0));
    std::fill(cell.bytes().begin(), cell.bytes().end(), std::uint8_t{0xff});
    std::fill(own_mapping.bytes().begin(), own_mapping.bytes().end(), std::uint8_t{0xff});
  }
}

TEST_CASE("a secret's bytes are wiped when it goes") {
  const std::uint8_t* where = nullptr;
  {
    Secret<64> secret;
    std::fill(secret.bytes().begin(), secret.bytes().end(), std::uint8_t{0x5a});
    where = secret.view().data();
  }
  // The cell belongs to its slab still: free, and readable. Its first eight bytes are the free list's.
  CHECK(all_are(Bytes{where + 8, 56}, 0));
}

TEST_CASE("moving a secret moves its memory and empties what it came from") {
  Secret<32> from{std::span<const std::uint8_t, 32>{std::array<std::uint8_t, 32>{7, 7, 7}}};
  const std::uint8_t* where = from.view().data();
  Secret<32> to = std::move(from);
  CHECK(to.view().data() == where);
  CHECK(to.view()[2] == 7);
  Secret<32> other;
  other = std::move(to);
  CHECK(other.view().data() == where);
  SecretMemory memory{16};
  const SecretMemory taken = std::move(memory);
  CHECK(memory.view().empty());  // NOLINT: what a moved-from one is, is promised
  CHECK(taken.view().size() == 16);
}

TEST_CASE("living secrets never share memory, more of them than one slab holds, from two threads") {
  std::vector<Secret<64>> mine;
  std::vector<Secret<64>> theirs;
  const auto make = [](std::vector<Secret<64>>& into) {
    for (int i = 0; i < 1500; ++i) into.emplace_back();
  };
  std::thread other{[&] { make(theirs); }};
  make(mine);
  other.join();
  std::set<const std::uint8_t*> addresses;
  for (const auto* all : {&mine, &theirs})
    for (const auto& secret : *all) addresses.insert(secret.view().data());
  REQUIRE(addresses.size() == 3000);
  std::ptrdiff_t least = 64;
  for (auto it = std::next(addresses.begin()); it != addresses.end(); ++it)
    least = std::min(least, *it - *std::prev(it));
  CHECK(least == 64);
}

TEST_CASE("equal() compares lengths and every byte") {
  const std::array<std::uint8_t, 4> a{1, 2, 3, 4};
  for (std::size_t i = 0; i < a.size(); ++i) {
    auto b = a;
    b[i] ^= 0x80;
    CHECK_FALSE(equal(a, b));
  }
  CHECK(equal(a, std::array<std::uint8_t, 4>{1, 2, 3, 4}));
  CHECK_FALSE(equal(a, Bytes{a}.first(3)));
  CHECK(equal({}, {}));
  CHECK_FALSE(equal(a, {}));
}

TEST_CASE("wipe() makes zeros, of nothing too") {
  std::array<std::uint8_t, 5> bytes{1, 2, 3, 4, 5};
  wipe(bytes);
  CHECK(all_are(bytes, 0));
  wipe({});
}

TEST_CASE("the system's randomness fills all it is given and does not repeat") {
  SystemRandom random;
  std::array<std::uint8_t, 64> a{};
  std::array<std::uint8_t, 64> b{};
  random.fill(a);
  random.fill(b);
  random.fill({});
  CHECK(a != b);
  CHECK_FALSE(all_are(Bytes{a}.last(8), 0));
}

}  // namespace
}  // namespace tiercast::crypto::secret_test
