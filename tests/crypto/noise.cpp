// Noise IK and NK: the published vectors, and everything that must refuse.
#include "crypto/noise.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "crypto/aead.hpp"
#include "tests/crypto/noise_vectors.hpp"
#include "tests/support/hex.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::crypto::noise_test {
namespace {

using test::hex;
using test::unhex;
using test::unhex_array;
using wire::Pattern;

PrivateKey private_key(std::string_view text) {
  return PrivateKey{std::span<const std::uint8_t, 32>{unhex_array<32>(text)}};
}

/// A transport message as the framework's CipherState makes it.
std::string transport(std::span<const std::uint8_t, 32> key, std::uint8_t number, Bytes payload) {
  std::array<std::uint8_t, 12> nonce{};
  nonce[4] = number;
  std::vector<std::uint8_t> out(payload.size() + wire::kTag);
  aead_seal(key, nonce, {}, payload, out);
  return hex(out);
}

TEST_CASE("the published vectors: both messages, handshake hash and transport messages, on both sides") {
  for (const test::NoiseVector& v : test::kNoiseVectors) {
    CAPTURE(static_cast<int>(v.pattern));
    const bool ik = v.pattern == Pattern::ik;
    const auto prologue = unhex(v.prologue);
    const PrivateKey init_static = private_key(v.init_static);
    const PrivateKey resp_static = private_key(v.resp_static);
    CHECK(hex(node_public_key(resp_static)) == v.init_remote_static);
    auto initiator = NoiseHandshake::initiator(v.pattern, prologue, ik ? &init_static : nullptr,
                                               unhex_array<32>(v.init_remote_static), private_key(v.init_ephemeral));
    auto responder = NoiseHandshake::responder(v.pattern, prologue, resp_static, private_key(v.resp_ephemeral));
    std::array<std::uint8_t, 256> message{};
    std::array<std::uint8_t, 256> payload{};
    for (int i = 0; i < 2; ++i) {
      NoiseHandshake& from = i == 0 ? initiator : responder;
      NoiseHandshake& to = i == 0 ? responder : initiator;
      const auto plain = unhex(v.messages[static_cast<std::size_t>(i)].payload);
      const auto length = from.write(plain, message);
      REQUIRE(length);
      CHECK(*length == plain.size() + noise_overhead(v.pattern, i + 1));
      CHECK(hex(Bytes{message}.first(*length)) == v.messages[static_cast<std::size_t>(i)].ciphertext);
      REQUIRE(to.read(Bytes{message}.first(*length), payload) == plain.size());
      CHECK(hex(Bytes{payload}.first(plain.size())) == hex(plain));
    }
    if (ik) CHECK(responder.remote_static() == node_public_key(init_static));
    const TransportKeys ours = initiator.split();
    const TransportKeys theirs = responder.split();
    CHECK(hex(ours.handshake_hash) == v.handshake_hash);
    CHECK(hex(theirs.handshake_hash) == v.handshake_hash);
    CHECK(equal(ours.initiator_to_responder.view(), theirs.initiator_to_responder.view()));
    CHECK(equal(ours.responder_to_initiator.view(), theirs.responder_to_initiator.view()));
    for (std::size_t i = 2; i < v.messages.size(); ++i) {
      const auto& key = i % 2 == 0 ? ours.initiator_to_responder : ours.responder_to_initiator;
      CHECK(transport(key.view(), static_cast<std::uint8_t>(i / 2 - 1), unhex(v.messages[i].payload)) ==
            v.messages[i].ciphertext);
    }
  }
}

/// Both sides of one handshake with keys of a seed.
struct Pair {
  explicit Pair(Pattern p, std::uint64_t seed = 1)
      : random(seed), pattern(p), own(generate_private_key(random)), theirs(generate_private_key(random)) {}

  NoiseHandshake initiator(Bytes prologue = {}) {
    return NoiseHandshake::initiator(pattern, prologue, pattern == Pattern::ik ? &own : nullptr,
                                     node_public_key(theirs), generate_private_key(random));
  }
  NoiseHandshake responder(Bytes prologue = {}) {
    return NoiseHandshake::responder(pattern, prologue, theirs, generate_private_key(random));
  }
  static std::vector<std::uint8_t> write(NoiseHandshake& from, Bytes payload) {
    std::vector<std::uint8_t> out(1232);
    const auto length = from.write(payload, out);
    REQUIRE(length);
    out.resize(*length);
    return out;
  }
  static bool reads(NoiseHandshake& to, Bytes message) {
    std::array<std::uint8_t, 1232> payload{};
    return to.read(message, payload).has_value();
  }

  test::SeededRandom random;
  Pattern pattern;
  PrivateKey own;
  PrivateKey theirs;
};

const auto kPayload = unhex("10000501000001010174657374");

TEST_CASE_TEMPLATE_DEFINE("both patterns", Which, both_patterns) {
  constexpr Pattern pattern = Which::value;

  SUBCASE("every single bit flip of message 1 refuses, and the true one is still taken after") {
    Pair pair{pattern};
    auto initiator = pair.initiator();
    auto responder = pair.responder();
    const auto message = Pair::write(initiator, kPayload);
    for (std::size_t bit = 0; bit < message.size() * 8; ++bit) {
      auto forged = message;
      forged[bit / 8] = static_cast<std::uint8_t>(forged[bit / 8] ^ 1U << bit % 8);
      CAPTURE(bit);
      REQUIRE_FALSE(Pair::reads(responder, forged));
    }
    CHECK(Pair::reads(responder, message));
  }

  SUBCASE("every single bit flip of message 2 refuses, and the true one is still taken after") {
    Pair pair{pattern};
    auto initiator = pair.initiator();
    auto responder = pair.responder();
    REQUIRE(Pair::reads(responder, Pair::write(initiator, kPayload)));
    const auto message = Pair::write(responder, kPayload);
    for (std::size_t bit = 0; bit < message.size() * 8; ++bit) {
      auto forged = message;
      forged[bit / 8] = static_cast<std::uint8_t>(forged[bit / 8] ^ 1U << bit % 8);
      CAPTURE(bit);
      REQUIRE_FALSE(Pair::reads(initiator, forged));
    }
    REQUIRE(Pair::reads(initiator, message));
    CHECK(equal(initiator.split().initiator_to_responder.view(), responder.split().initiator_to_responder.view()));
  }

  SUBCASE("a message cut at any length refuses") {
    Pair pair{pattern};
    auto initiator = pair.initiator();
    auto responder = pair.responder();
    const auto message = Pair::write(initiator, kPayload);
    for (std::size_t n = 0; n < message.size(); ++n) REQUIRE_FALSE(Pair::reads(responder, Bytes{message}.first(n)));
    REQUIRE(Pair::reads(responder, message));
    const auto answer = Pair::write(responder, {});
    for (std::size_t n = 0; n < answer.size(); ++n) REQUIRE_FALSE(Pair::reads(initiator, Bytes{answer}.first(n)));
    CHECK(Pair::reads(initiator, answer));
  }

  SUBCASE("another prologue refuses") {
    Pair pair{pattern};
    auto initiator = pair.initiator(unhex("01"));
    auto responder = pair.responder(unhex("02"));
    CHECK_FALSE(Pair::reads(responder, Pair::write(initiator, kPayload)));
  }

  SUBCASE("another responder's key refuses") {
    Pair pair{pattern};
    auto initiator = pair.initiator();
    const PrivateKey wrong = generate_private_key(pair.random);
    auto responder = NoiseHandshake::responder(pattern, {}, wrong, generate_private_key(pair.random));
    CHECK_FALSE(Pair::reads(responder, Pair::write(initiator, kPayload)));
  }

  SUBCASE("the answer to another's handshake refuses") {
    Pair pair{pattern};
    auto one = pair.initiator();
    auto two = pair.initiator();
    auto responder = pair.responder();
    const auto message = Pair::write(one, kPayload);
    Pair::write(two, kPayload);
    REQUIRE(Pair::reads(responder, message));
    const auto answer = Pair::write(responder, kPayload);
    CHECK_FALSE(Pair::reads(two, answer));
    CHECK(Pair::reads(one, answer));
  }

  SUBCASE("out of turn nothing is written or read") {
    Pair pair{pattern};
    std::array<std::uint8_t, 256> out{};
    {
      auto responder = pair.responder();
      CHECK_FALSE(responder.write(kPayload, out));  // its turn is second
    }
    auto initiator = pair.initiator();
    CHECK_FALSE(Pair::reads(initiator, std::vector<std::uint8_t>(128)));  // nothing to read before message 1
    const auto message = Pair::write(initiator, kPayload);
    CHECK_FALSE(Pair::reads(initiator, message));  // its own, reflected
    CHECK_FALSE(initiator.write(kPayload, out));   // twice
    auto responder = pair.responder();
    REQUIRE(Pair::reads(responder, message));
    CHECK_FALSE(Pair::reads(responder, message));  // twice
  }

  SUBCASE("low-order keys refuse: the initiator's ephemeral, the responder's, the responder's static") {
    Pair pair{pattern};
    for (const char* point : {"00", "01", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                              "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"}) {
      const auto low = unhex_array<32>(point);
      auto initiator = pair.initiator();
      auto responder = pair.responder();
      auto message = Pair::write(initiator, kPayload);
      auto forged = message;
      std::copy(low.begin(), low.end(), forged.begin());
      CHECK_FALSE(Pair::reads(responder, forged));
      REQUIRE(Pair::reads(responder, message));
      forged = Pair::write(responder, kPayload);
      std::copy(low.begin(), low.end(), forged.begin());
      CHECK_FALSE(Pair::reads(initiator, forged));
      std::array<std::uint8_t, 256> out{};
      auto misled = NoiseHandshake::initiator(pattern, {}, pattern == Pattern::ik ? &pair.own : nullptr, low,
                                              generate_private_key(pair.random));
      CHECK_FALSE(misled.write(kPayload, out));
    }
  }

  SUBCASE("no room, no message; no room, no payload") {
    Pair pair{pattern};
    std::array<std::uint8_t, 256> buffer{};
    const std::size_t length = noise_overhead(pattern, 1) + kPayload.size();
    {
      auto initiator = pair.initiator();
      CHECK_FALSE(initiator.write(kPayload, MutableBytes{buffer}.first(length - 1)));
    }
    auto initiator = pair.initiator();
    REQUIRE(initiator.write(kPayload, MutableBytes{buffer}.first(length)) == length);
    auto responder = pair.responder();
    std::vector<std::uint8_t> payload(kPayload.size());
    CHECK_FALSE(responder.read(Bytes{buffer}.first(length), MutableBytes{payload}.first(payload.size() - 1)));
    REQUIRE(responder.read(Bytes{buffer}.first(length), payload) == kPayload.size());
    CHECK(payload == kPayload);
  }

  SUBCASE("a message may be opened in place") {
    Pair pair{pattern};
    auto initiator = pair.initiator();
    auto responder = pair.responder();
    auto message = Pair::write(initiator, kPayload);
    const std::size_t at = noise_overhead(pattern, 1) - wire::kTag;
    REQUIRE(responder.read(message, MutableBytes{message}.subspan(at)) == kPayload.size());
    CHECK(hex(Bytes{message}.subspan(at, kPayload.size())) == hex(kPayload));
  }

  SUBCASE("a handshake moves with all it knows, and empty payloads pass") {
    Pair pair{pattern};
    auto first = pair.initiator();
    auto responder = pair.responder();
    const auto message = Pair::write(first, {});
    CHECK(message.size() == noise_overhead(pattern, 1));
    NoiseHandshake moved = std::move(first);
    REQUIRE(Pair::reads(responder, message));
    NoiseHandshake moved_responder = std::move(responder);
    REQUIRE(Pair::reads(moved, Pair::write(moved_responder, {})));
    const TransportKeys ours = moved.split();
    const TransportKeys theirs = moved_responder.split();
    CHECK(equal(ours.responder_to_initiator.view(), theirs.responder_to_initiator.view()));
    CHECK_FALSE(equal(ours.responder_to_initiator.view(), ours.initiator_to_responder.view()));
  }

  SUBCASE("the responder may bring its public key along") {
    Pair pair{pattern};
    auto initiator = pair.initiator();
    auto responder = NoiseHandshake::responder(pattern, {}, pair.theirs, node_public_key(pair.theirs),
                                               generate_private_key(pair.random));
    CHECK(Pair::reads(responder, Pair::write(initiator, kPayload)));
  }

  SUBCASE("random bytes never pass for a message") {
    Pair pair{pattern};
    auto responder = pair.responder();
    for (int i = 0; i < 200; ++i) {
      std::vector<std::uint8_t> junk(pair.random.below(300));
      pair.random.fill(junk);
      REQUIRE_FALSE(Pair::reads(responder, junk));
    }
  }
}

TEST_CASE_TEMPLATE_INVOKE(both_patterns, std::integral_constant<Pattern, Pattern::ik>,
                          std::integral_constant<Pattern, Pattern::nk>);

TEST_CASE("IK tells the responder who came, and another's key is another's name") {
  Pair pair{Pattern::ik};
  auto initiator = pair.initiator();
  auto responder = pair.responder();
  REQUIRE(Pair::reads(responder, Pair::write(initiator, kPayload)));
  CHECK(responder.remote_static() == node_public_key(pair.own));
}

TEST_CASE("IK's responder has heard of nobody while the message that names one is refused") {
  Pair pair{Pattern::ik};
  auto initiator = pair.initiator();
  auto responder = pair.responder();
  auto message = Pair::write(initiator, kPayload);
  message.back() ^= 1;  // the name verifies, the payload does not
  REQUIRE_FALSE(Pair::reads(responder, message));
  CHECK(responder.remote_static() == PublicKey{});
}

TEST_CASE("IK and NK do not pass for each other") {
  Pair ik{Pattern::ik};
  Pair nk{Pattern::nk};
  auto ik_initiator = ik.initiator();
  auto nk_initiator = nk.initiator();
  auto ik_responder = ik.responder();
  auto nk_responder = nk.responder();
  CHECK_FALSE(Pair::reads(nk_responder, Pair::write(ik_initiator, kPayload)));
  CHECK_FALSE(Pair::reads(ik_responder, Pair::write(nk_initiator, kPayload)));
}

}  // namespace
}  // namespace tiercast::crypto::noise_test
