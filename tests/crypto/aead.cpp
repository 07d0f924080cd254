// The AEAD under frames, CONTROL and Noise against RFC 8439's vector.
#include "crypto/aead.hpp"

#include <doctest/doctest.h>

#include "crypto/blake2b.hpp"
#include "tests/support/hex.hpp"

namespace tiercast::crypto::aead_test {
namespace {

using test::hex;
using test::unhex;
using test::unhex_array;

struct Rfc8439 {
  std::array<std::uint8_t, 32> key =
      unhex_array<32>("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
  std::array<std::uint8_t, 12> nonce = unhex_array<12>("070000004041424344454647");
  std::vector<std::uint8_t> associated = unhex("50515253c0c1c2c3c4c5c6c7");
  Bytes plain = as_bytes(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be "
      "it.");
  std::vector<std::uint8_t> sealed = unhex(
      "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
      "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
      "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
      "3ff4def08e4b7a9de576d26586cec64b6116"
      "1ae10b594f09e26a7e902ecbd0600691");
};

TEST_CASE("the AEAD seals and opens RFC 8439 §2.8.2") {
  const Rfc8439 v;
  std::vector<std::uint8_t> out(v.plain.size() + wire::kTag);
  REQUIRE(aead_seal(v.key, v.nonce, v.associated, v.plain, out) == out.size());
  CHECK(hex(out) == hex(v.sealed));
  std::vector<std::uint8_t> opened(v.plain.size());
  REQUIRE(aead_open(v.key, v.nonce, v.associated, v.sealed, opened) == v.plain.size());
  CHECK(hex(opened) == hex(v.plain));
}

TEST_CASE("the AEAD works in place") {
  const Rfc8439 v;
  std::vector<std::uint8_t> buffer(v.plain.begin(), v.plain.end());
  buffer.resize(v.plain.size() + wire::kTag);
  REQUIRE(aead_seal(v.key, v.nonce, v.associated, Bytes{buffer}.first(v.plain.size()), buffer) == buffer.size());
  CHECK(hex(buffer) == hex(v.sealed));
  REQUIRE(aead_open(v.key, v.nonce, v.associated, buffer, buffer) == v.plain.size());
  CHECK(hex(Bytes{buffer}.first(v.plain.size())) == hex(v.plain));
}

TEST_CASE("the AEAD refuses every single bit flip, and hands out no plaintext then") {
  const Rfc8439 v;
  std::vector<std::uint8_t> opened(v.plain.size());
  for (std::size_t bit = 0; bit < v.sealed.size() * 8; ++bit) {
    auto forged = v.sealed;
    forged[bit / 8] = static_cast<std::uint8_t>(forged[bit / 8] ^ 1U << bit % 8);
    std::fill(opened.begin(), opened.end(), std::uint8_t{0xaa});
    REQUIRE_FALSE(aead_open(v.key, v.nonce, v.associated, forged, opened));
    REQUIRE(std::count_if(opened.begin(), opened.end(), [](std::uint8_t b) { return b != 0; }) == 0);
  }
}

TEST_CASE("the AEAD refuses what is too short, and outputs without room") {
  const Rfc8439 v;
  std::vector<std::uint8_t> out(v.sealed.size());
  for (std::size_t n = 0; n < v.sealed.size(); ++n)
    REQUIRE_FALSE(aead_open(v.key, v.nonce, v.associated, Bytes{v.sealed}.first(n), out));
  CHECK_FALSE(aead_open(v.key, v.nonce, v.associated, v.sealed, MutableBytes{out}.first(v.plain.size() - 1)));
  CHECK(aead_seal(v.key, v.nonce, v.associated, v.plain, MutableBytes{out}.first(out.size() - 1)) == 0);
  CHECK(aead_seal(v.key, v.nonce, v.associated, {}, MutableBytes{out}.first(wire::kTag - 1)) == 0);
}

TEST_CASE("an empty plaintext is a tag, and the tag is still checked") {
  const Rfc8439 v;
  std::array<std::uint8_t, wire::kTag> tag{};
  REQUIRE(aead_seal(v.key, v.nonce, v.associated, {}, tag) == tag.size());
  CHECK(aead_open(v.key, v.nonce, v.associated, tag, {}) == 0);
  tag[0] ^= 1;
  CHECK_FALSE(aead_open(v.key, v.nonce, v.associated, tag, {}));
}

}  // namespace
}  // namespace tiercast::crypto::aead_test
