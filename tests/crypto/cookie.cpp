// Cookies and tokens: each field they are bound to, their lives, and the puzzle.
#include "crypto/cookie.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "crypto/blake2b.hpp"
#include "tests/support/hex.hpp"

namespace tiercast::crypto::cookie_test {
namespace {

MacKey mac_key(std::uint8_t first) {
  return MacKey{std::span<const std::uint8_t, 32>{std::array<std::uint8_t, 32>{first}}};
}

const Endpoint kFrom = *parse_endpoint("192.0.2.7:4800");
constexpr LeaseId kLease{0x0102030405060708};
constexpr Time kNow{1000s};
constexpr Duration kMaxAge = 15s;

wire::Challenge challenge(const MacKey& key) {
  wire::Challenge c;
  c.nonce = {1, 2, 3, 4, 5, 6, 7, 8};
  c.issued = 77;
  c.wait = 3;
  c.difficulty = 9;
  c.cookie = make_cookie(key, kFrom, c);
  return c;
}

TEST_CASE("a cookie proves what it was made for") {
  const MacKey key = mac_key(1);
  CHECK(verify_cookie(key, kFrom, challenge(key)));
}

TEST_CASE("a cookie is keyed BLAKE2b-128 over address, port, nonce, issued, wait and difficulty") {
  const MacKey key = mac_key(1);
  std::array<std::uint8_t, 16> expected{};
  Blake2b{16, key.view()}
      .add(test::unhex("00000000000000000000ffffc0000207 12c0 0102030405060708 0000004d 0003 09"))
      .finish(expected);
  CHECK(challenge(key).cookie == expected);
}

TEST_CASE("a cookie is bound to each field, the key, and each of its own bits") {
  const MacKey key = mac_key(1);
  const wire::Challenge good = challenge(key);
  CHECK_FALSE(verify_cookie(mac_key(2), kFrom, good));
  for (std::size_t i = 0; i < kFrom.ip.size(); ++i) {
    Endpoint other = kFrom;
    other.ip[i] ^= 1;
    CHECK_FALSE(verify_cookie(key, other, good));
  }
  for (const unsigned bit : {0x0001U, 0x0100U, 0x8000U}) {
    Endpoint other = kFrom;
    other.port = static_cast<std::uint16_t>(other.port ^ bit);
    CHECK_FALSE(verify_cookie(key, other, good));
  }
  for (std::size_t i = 0; i < good.nonce.size(); ++i) {
    auto other = good;
    other.nonce[i] ^= 1;
    CHECK_FALSE(verify_cookie(key, kFrom, other));
  }
  for (int bit = 0; bit < 32; ++bit) {
    auto other = good;
    other.issued ^= 1U << bit;
    CHECK_FALSE(verify_cookie(key, kFrom, other));
  }
  for (int bit = 0; bit < 16; ++bit) {
    auto other = good;
    other.wait = static_cast<std::uint16_t>(other.wait ^ 1U << bit);
    CHECK_FALSE(verify_cookie(key, kFrom, other));
  }
  for (int bit = 0; bit < 8; ++bit) {
    auto other = good;
    other.difficulty = static_cast<std::uint8_t>(other.difficulty ^ 1U << bit);
    CHECK_FALSE(verify_cookie(key, kFrom, other));
  }
  for (std::size_t bit = 0; bit < good.cookie.size() * 8; ++bit) {
    auto other = good;
    other.cookie[bit / 8] = static_cast<std::uint8_t>(other.cookie[bit / 8] ^ 1U << bit % 8);
    CHECK_FALSE(verify_cookie(key, kFrom, other));
  }
}

TEST_CASE("a token gives its issue time back, in steps of its unit, until it is too old") {
  const MacKey key = mac_key(1);
  const wire::Token token = make_token(key, kLease, kFrom, kNow + 55ms);
  CHECK(verify_token(key, kLease, kFrom, token, kNow + 55ms, kMaxAge) == kNow);
  CHECK(verify_token(key, kLease, kFrom, token, kNow + 10s, kMaxAge) == kNow);
  CHECK(verify_token(key, kLease, kFrom, token, kNow + kMaxAge, kMaxAge) == kNow);
  CHECK_FALSE(verify_token(key, kLease, kFrom, token, kNow + kMaxAge + 1ns, kMaxAge));
  CHECK_FALSE(verify_token(key, kLease, kFrom, token, kNow + 1h, kMaxAge));
}

TEST_CASE("a token of the future is refused, and one whose 16 bits of time have come round") {
  const MacKey key = mac_key(1);
  const wire::Token token = make_token(key, kLease, kFrom, kNow);
  CHECK_FALSE(verify_token(key, kLease, kFrom, token, kNow - 1ns, kMaxAge));
  CHECK_FALSE(verify_token(key, kLease, kFrom, token, kNow - 100ms, kMaxAge));
  CHECK_FALSE(verify_token(key, kLease, kFrom, token, kNow - 10s, kMaxAge));
  CHECK_FALSE(verify_token(key, kLease, kFrom, token, kNow + 65536 * wire::kTokenUnit, kMaxAge));
  CHECK_FALSE(verify_token(key, kLease, kFrom, token, kNow + 65536 * wire::kTokenUnit, 24h));
}

TEST_CASE("tokens work at the start of the clock and across the wrap of their 16 bits") {
  const MacKey key = mac_key(1);
  for (const Time made : {Time{0s}, Time{1ns}, Time{65535 * wire::kTokenUnit}, Time{65536 * wire::kTokenUnit}}) {
    const wire::Token token = make_token(key, kLease, kFrom, made);
    const auto issued = verify_token(key, kLease, kFrom, token, made + 200ms, kMaxAge);
    REQUIRE(issued);
    CHECK(made - *issued < wire::kTokenUnit);
  }
  // Random bytes at the clock's start would mean a time before it: never valid.
  CHECK_FALSE(verify_token(key, kLease, kFrom, wire::Token{0xff, 0xff, 1, 2, 3, 4, 5, 6}, Time{0s}, kMaxAge));
}

TEST_CASE("a token is bound to address, port, lease and key") {
  const MacKey key = mac_key(1);
  const wire::Token token = make_token(key, kLease, kFrom, kNow);
  for (std::size_t i = 0; i < kFrom.ip.size(); ++i) {
    Endpoint other = kFrom;
    other.ip[i] ^= 1;
    CHECK_FALSE(verify_token(key, kLease, other, token, kNow, kMaxAge));
  }
  Endpoint other = kFrom;
  ++other.port;
  CHECK_FALSE(verify_token(key, kLease, other, token, kNow, kMaxAge));
  for (int bit = 0; bit < 64; ++bit)
    CHECK_FALSE(verify_token(key, LeaseId{kLease.value ^ std::uint64_t{1} << bit}, kFrom, token, kNow, kMaxAge));
  CHECK_FALSE(verify_token(mac_key(2), kLease, kFrom, token, kNow, kMaxAge));
  CHECK(verify_token(key, kLease, kFrom, token, kNow, kMaxAge));
}

TEST_CASE("a token refuses every single bit flip") {
  const MacKey key = mac_key(1);
  const wire::Token token = make_token(key, kLease, kFrom, kNow);
  for (std::size_t bit = 0; bit < token.size() * 8; ++bit) {
    auto forged = token;
    forged[bit / 8] = static_cast<std::uint8_t>(forged[bit / 8] ^ 1U << bit % 8);
    CHECK_FALSE(verify_token(key, kLease, kFrom, forged, kNow + 1s, kMaxAge));
    CHECK_FALSE(verify_token(key, kLease, kFrom, forged, kNow + 1s, 24h));
  }
}

TEST_CASE("a token's bytes are its 16 bits of time and six of the MAC over the whole time") {
  const MacKey key = mac_key(1);
  const Time at{65537 * wire::kTokenUnit};
  std::array<std::uint8_t, 16> mac{};
  Blake2b{16, key.view()}
      .add(test::unhex("0102030405060708 00000000000000000000ffffc0000207 12c0 0000000000010001"))
      .finish(mac);
  CHECK(test::hex(make_token(key, kLease, kFrom, at)) == "0001" + test::hex(mac).substr(0, 12));
}

TEST_CASE("a puzzle is solved by as many leading zero bits as asked, over the whole JOIN") {
  std::vector<std::uint8_t> join(100, 0x03);
  CHECK(solves(join, 0));
  bool seen_exact = false;
  for (std::uint32_t tries = 0; tries < 100000; ++tries) {
    store_be<4>(join.data() + wire::kJoinSolutionOffset, tries);
    std::array<std::uint8_t, 32> hash{};
    Blake2b{32}.add(join).finish(hash);
    const bool eleven = hash[0] == 0 && hash[1] < 0x20;
    REQUIRE(solves(join, 11) == eleven);
    if (eleven && hash[1] >= 0x10) {
      CHECK_FALSE(solves(join, 12));
      seen_exact = true;
      break;
    }
  }
  REQUIRE(seen_exact);
  auto other = join;
  ++other.back();  // the last byte of the Noise message counts too
  CHECK_FALSE(solves(other, 11));
  CHECK_FALSE(solves(join, 255));
}

}  // namespace
}  // namespace tiercast::crypto::cookie_test
