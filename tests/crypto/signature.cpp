// Ed25519 against RFC 8032, and what the labels, the hash and the link's MAC must tell apart.
#include "crypto/signature.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "crypto/blake2b.hpp"
#include "tests/support/hex.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::crypto::signature_test {
namespace {

using test::hex;
using test::unhex;
using test::unhex_array;

SourceSigner signer(std::string_view seed) {
  return SourceSigner{PrivateKey{std::span<const std::uint8_t, 32>{unhex_array<32>(seed)}}};
}

SourceSigner some_signer() { return signer("01"); }

TEST_CASE("Ed25519 signs and verifies RFC 8032 §7.1's first three tests") {
  struct Vector {
    const char* seed;
    const char* public_key;
    const char* message;
    const char* signature;
  };
  for (const Vector& v : {
           Vector{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                  "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
                  "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
                  "d25bf5f0595bbe24655141438e7a100b"},
           Vector{"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                  "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
                  "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
                  "387b2eaeb4302aeeb00d291612bb0c00"},
           Vector{"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                  "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
                  "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
                  "4a7c15e9716ed28dc027beceea1ec40a"},
       }) {
    const SourceSigner with = signer(v.seed);
    CHECK(hex(with.public_key()) == v.public_key);
    CHECK(hex(with.sign({}, unhex(v.message))) == v.signature);
    CHECK(verify(with.public_key(), {}, unhex(v.message), unhex(v.signature)));
  }
}

TEST_CASE("a frame's signature is Ed25519 over its label and the datagram, an attestation's over another label") {
  const SourceSigner with = some_signer();
  const auto message = unhex("20000100000100000001000000000001aabb");
  const Signature frame = with.sign_frame(message);
  const Signature attest = with.sign_attest(message);
  CHECK(frame == with.sign(as_bytes("tiercast frame v1"), message));
  CHECK(attest == with.sign(as_bytes("tiercast attest v1"), message));
  CHECK(verify_frame(with.public_key(), message, frame));
  CHECK(verify_attest(with.public_key(), message, attest));
  CHECK_FALSE(verify_attest(with.public_key(), message, frame));
  CHECK_FALSE(verify_frame(with.public_key(), message, attest));
}

TEST_CASE("a signature refuses every bit flip of message and signature, another key and another length") {
  const SourceSigner with = some_signer();
  auto message = unhex("2000010000010000000100000000000142");
  auto signature = with.sign_frame(message);
  for (std::size_t bit = 0; bit < message.size() * 8; ++bit) {
    message[bit / 8] = static_cast<std::uint8_t>(message[bit / 8] ^ 1U << bit % 8);
    REQUIRE_FALSE(verify_frame(with.public_key(), message, signature));
    message[bit / 8] = static_cast<std::uint8_t>(message[bit / 8] ^ 1U << bit % 8);
  }
  for (std::size_t bit = 0; bit < signature.size() * 8; ++bit) {
    signature[bit / 8] = static_cast<std::uint8_t>(signature[bit / 8] ^ 1U << bit % 8);
    REQUIRE_FALSE(verify_frame(with.public_key(), message, signature));
    signature[bit / 8] = static_cast<std::uint8_t>(signature[bit / 8] ^ 1U << bit % 8);
  }
  CHECK(verify_frame(with.public_key(), message, signature));
  CHECK_FALSE(verify_frame(signer("02").public_key(), message, signature));
  CHECK_FALSE(verify_frame(with.public_key(), message, Bytes{signature}.first(63)));
  CHECK_FALSE(verify_frame(with.public_key(), message, {}));
  CHECK_FALSE(verify_frame(PublicKey{}, message, signature));  // a key of low order
}

TEST_CASE("the longest frame and attestation can be signed, longer ones are refused") {
  const SourceSigner with = some_signer();
  const std::vector<std::uint8_t> longest(wire::kMaxSealed, 0x20);
  CHECK(verify_frame(with.public_key(), longest, with.sign_frame(longest)));
  const std::vector<std::uint8_t> hashes(wire::kMaxAttest - wire::kSignature, 0x22);
  CHECK(verify_attest(with.public_key(), hashes, with.sign_attest(hashes)));
  const std::vector<std::uint8_t> longer(wire::kMaxSealed + 1, 0x20);
  CHECK_FALSE(verify_frame(with.public_key(), longer, with.sign(as_bytes("tiercast frame v1"), longer)));
  CHECK_FALSE(verify(with.public_key(), {}, std::vector<std::uint8_t>(kMaxSigned + 1), Signature{}));
}

TEST_CASE("an attested hash is BLAKE2b-128 of the datagram") {
  std::array<std::uint8_t, 16> expected{};
  Blake2b{16}.add("abc").finish(expected);
  CHECK(attest_hash(as_bytes("abc")) == expected);
  CHECK(hex(attest_hash(as_bytes("abc"))) == "cf4ab791c62b8d2b2109c90275287816");
}

TEST_CASE("a link's MAC covers datagram and signature as one run of bytes, and refuses any change") {
  const auto key = unhex_array<32>("0102");
  const auto all = unhex("20000100000100000001000000000001aabbccdd");
  const LinkMac mac = link_mac(key, Bytes{all}.first(18), Bytes{all}.subspan(18));
  CHECK(mac == link_mac(key, all));
  CHECK(verify_link_mac(key, all, mac));
  for (std::size_t bit = 0; bit < all.size() * 8; ++bit) {
    auto forged = all;
    forged[bit / 8] = static_cast<std::uint8_t>(forged[bit / 8] ^ 1U << bit % 8);
    REQUIRE_FALSE(verify_link_mac(key, forged, mac));
  }
  for (std::size_t bit = 0; bit < mac.size() * 8; ++bit) {
    auto forged = mac;
    forged[bit / 8] = static_cast<std::uint8_t>(forged[bit / 8] ^ 1U << bit % 8);
    REQUIRE_FALSE(verify_link_mac(key, all, forged));
  }
  CHECK_FALSE(verify_link_mac(unhex_array<32>("0103"), all, mac));
  CHECK_FALSE(verify_link_mac(key, all, Bytes{mac}.first(15)));
  CHECK_FALSE(verify_link_mac(key, all, {}));
}

}  // namespace
}  // namespace tiercast::crypto::signature_test
