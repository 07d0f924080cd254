// X25519 and Ed25519 keys against RFC 7748 and RFC 8032; base64 as strict as promised.
#include "crypto/keys.hpp"

#include <doctest/doctest.h>

#include "tests/support/hex.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::crypto::keys_test {
namespace {

using test::hex;
using test::unhex_array;

PrivateKey private_key(std::string_view text) {
  return PrivateKey{std::span<const std::uint8_t, 32>{unhex_array<32>(text)}};
}

std::string x25519(std::string_view scalar, std::string_view point) {
  std::array<std::uint8_t, 32> out{};
  REQUIRE(diffie_hellman(out, private_key(scalar), unhex_array<32>(point)));
  return hex(out);
}

TEST_CASE("X25519 gives RFC 7748 §5.2's results") {
  CHECK(x25519("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
               "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c") ==
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
  CHECK(x25519("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
               "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493") ==
        "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");
}

TEST_CASE("X25519 iterated a thousand times gives RFC 7748 §5.2's results") {
  auto k = unhex_array<32>("09");
  auto u = k;
  for (int i = 1; i <= 1000; ++i) {
    std::array<std::uint8_t, 32> next{};
    REQUIRE(diffie_hellman(next, PrivateKey{std::span<const std::uint8_t, 32>{k}}, u));
    u = k;
    k = next;
    if (i == 1) CHECK(hex(k) == "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
  }
  CHECK(hex(k) == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

TEST_CASE("node keys and their shared secret are RFC 7748 §6.1's") {
  const char* alice = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
  const char* bob = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb";
  const char* alice_public = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
  const char* bob_public = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";
  CHECK(hex(node_public_key(private_key(alice))) == alice_public);
  CHECK(hex(node_public_key(private_key(bob))) == bob_public);
  CHECK(x25519(alice, bob_public) == "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
  CHECK(x25519(bob, alice_public) == "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
}

TEST_CASE("X25519 refuses points of low order and leaves zeros") {
  test::SeededRandom random;
  const PrivateKey own = generate_private_key(random);
  for (const char* point : {"0000000000000000000000000000000000000000000000000000000000000000",
                            "0100000000000000000000000000000000000000000000000000000000000000",
                            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
                            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
                            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"}) {
    auto out = unhex_array<32>("ff");
    CHECK_FALSE(diffie_hellman(out, own, unhex_array<32>(point)));
    CHECK(out == std::array<std::uint8_t, 32>{});
  }
}

TEST_CASE("signing keys are RFC 8032 §7.1's") {
  CHECK(hex(signing_public_key(private_key("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))) ==
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
}

TEST_CASE("a generated key is what the randomness gave") {
  test::SeededRandom random{5};
  test::SeededRandom again{5};
  std::array<std::uint8_t, 32> expected{};
  again.fill(expected);
  CHECK(hex(generate_private_key(random).view()) == hex(expected));
}

TEST_CASE("base64 carries any key there and back in 44 characters") {
  test::SeededRandom random{7};
  for (int i = 0; i < 200; ++i) {
    const PrivateKey key = generate_private_key(random);
    const std::string text = to_base64(key.view());
    REQUIRE(text.size() == 44);
    const auto back = private_key_from_base64(text);
    REQUIRE(back);
    CHECK(equal(back->view(), key.view()));
    const auto as_public = public_key_from_base64(text);
    REQUIRE(as_public);
    CHECK(equal(*as_public, key.view()));
  }
  // Known: 32 bytes of 0xfb 0xff use both characters that the URL alphabet replaces.
  CHECK(to_base64(test::unhex("fbff")) == "+/8=");
  CHECK(to_base64(unhex_array<32>("")) == "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
}

TEST_CASE("base64 takes the one form of 32 bytes and nothing else") {
  const std::string good = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
  REQUIRE(public_key_from_base64(good));
  REQUIRE(private_key_from_base64(good));
  const std::vector<std::string> bad = {
      "",
      good.substr(0, 43),                          // padding missing
      good + "=",                                  // one too many
      good + "\n",                                 // a line's end: the caller strips it
      " " + good.substr(0, 43),                    // leading blank, length right
      good.substr(0, 42) + "B=",                   // stray bits behind the last byte
      good.substr(0, 43) + "A",                    // 33 bytes
      good.substr(0, 42) + "==",                   // 31 bytes
      good.substr(0, 20) + "-" + good.substr(21),  // the URL alphabet
      good.substr(0, 20) + "_" + good.substr(21),
      good.substr(0, 20) + "=" + good.substr(21),
      good.substr(0, 20) + "\n" + good.substr(21),
      good.substr(0, 20) + std::string(1, '\0') + good.substr(21),
      good.substr(0, 20) + "\xc3" + good.substr(21),
  };
  for (const std::string& text : bad) {
    CAPTURE(text);
    CHECK_FALSE(public_key_from_base64(text));
    CHECK_FALSE(private_key_from_base64(text));
  }
}

TEST_CASE("base64 takes the alphabet's 64 characters and no other byte, at any place") {
  const std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t place = 0; place < 42; ++place) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string text = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
      text[place] = static_cast<char>(byte);
      CAPTURE(place);
      CAPTURE(byte);
      REQUIRE(public_key_from_base64(text).has_value() == (alphabet.find(text[place]) != std::string_view::npos));
    }
  }
}

TEST_CASE("a node's id is the start of its key's hash, and tells keys apart") {
  // BLAKE2b-256 of 32 zero bytes: 89eb0d6a8a691dae…
  CHECK(node_id(PublicKey{}).value == 0x89eb0d6a8a691daeU);
  PublicKey other{};
  other[31] = 1;
  CHECK(node_id(other) != node_id(PublicKey{}));
}

}  // namespace
}  // namespace tiercast::crypto::keys_test
