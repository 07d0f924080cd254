// Sealed frames: only the right key, epoch, sequence and group open them, and no nonce is ever used twice.
#include "crypto/frame.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "crypto/aead.hpp"
#include "crypto/blake2b.hpp"
#include "tests/support/hex.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::crypto::frame_test {
namespace {

using test::hex;

constexpr GroupId kGroup{0x010203};
constexpr SourceId kSource{1};
constexpr Epoch kEpoch{1700000000};
constexpr Sequence kFirst{0x0102030405};

wire::EpochValue value() {
  wire::EpochValue v{};
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<std::uint8_t>(i);
  return v;
}

FrameKey key(Bytes secret = {}) { return FrameKey::derive(secret, value(), kGroup, kSource, kEpoch); }
FrameSealer sealer(Sequence above = Sequence{0}) { return FrameSealer{key(), kGroup, kSource, kEpoch, above}; }

std::vector<std::uint8_t> seal(FrameSealer& with, Sequence sequence, Bytes opus, std::uint8_t flags = 0) {
  std::vector<std::uint8_t> out(wire::kMaxSealed);
  const auto length = with.seal(sequence, flags, opus, out);
  REQUIRE(length);
  out.resize(*length);
  return out;
}

bool opens(const FrameKey& with, Bytes datagram) {
  std::array<std::uint8_t, wire::kMaxOpus> opus{};
  return with.open(datagram, opus).has_value();
}

TEST_CASE("a frame of any length opens to what was sealed, header in front") {
  test::SeededRandom random;
  FrameSealer seals = sealer();
  const FrameKey opens_with = key();
  for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{160}, wire::kMaxOpus}) {
    std::vector<std::uint8_t> opus(length);
    random.fill(opus);
    const Sequence sequence = kFirst.plus(length);
    const auto datagram = seal(seals, sequence, opus, wire::kFlagDiscontinuity);
    CHECK(datagram.size() == length + 32);
    const auto header = wire::parse_header(datagram);
    REQUIRE(header);
    CHECK(header->type == wire::Type::frame);
    CHECK(header->jumps());
    CHECK(header->source == kSource);
    CHECK(header->group == kGroup);
    CHECK(header->epoch == kEpoch);
    CHECK(header->sequence == sequence);
    std::vector<std::uint8_t> opened(length);
    REQUIRE(opens_with.open(datagram, opened) == length);
    CHECK(hex(opened) == hex(opus));
  }
  CHECK(seals.sealed() == 4);
}

TEST_CASE("key, nonce and associated data are those of the specification, told from BLAKE2b and the AEAD alone") {
  FrameSealer seals = sealer();
  const auto opus = test::unhex("fc010203");
  const auto datagram = seal(seals, kFirst, opus);
  std::array<std::uint8_t, 44> derived{};
  Blake2b{44, std::array<std::uint8_t, 32>{}}
      .add(value())
      .add(test::unhex("010203 01 6553f100"))  // group, source, epoch
      .finish(derived);
  std::array<std::uint8_t, 12> nonce{};
  const auto number = test::unhex("000000000000 000102030405");
  for (std::size_t i = 0; i < nonce.size(); ++i) nonce[i] = derived[32 + i] ^ number[i];
  std::vector<std::uint8_t> expected = test::unhex("20 00 01 010203 6553f100 000102030405");
  expected.resize(expected.size() + opus.size() + wire::kTag);
  aead_seal(std::span<const std::uint8_t, 44>{derived}.first<32>(), nonce, Bytes{expected}.first(16), opus,
            MutableBytes{expected}.subspan(16));
  CHECK(hex(datagram) == hex(expected));
}

TEST_CASE("every single bit flip of a sealed frame refuses") {
  FrameSealer seals = sealer();
  const auto datagram = seal(seals, kFirst, test::unhex("fc0102030405060708090a0b0c0d0e0f"));
  const FrameKey with = key();
  REQUIRE(opens(with, datagram));
  for (std::size_t bit = 0; bit < datagram.size() * 8; ++bit) {
    auto forged = datagram;
    forged[bit / 8] = static_cast<std::uint8_t>(forged[bit / 8] ^ 1U << bit % 8);
    CAPTURE(bit);
    REQUIRE_FALSE(opens(with, forged));
  }
}

TEST_CASE("a frame cut short or lengthened refuses") {
  FrameSealer seals = sealer();
  auto datagram = seal(seals, kFirst, test::unhex("fc0102"));
  const FrameKey with = key();
  for (std::size_t n = 0; n < datagram.size(); ++n) REQUIRE_FALSE(opens(with, Bytes{datagram}.first(n)));
  datagram.push_back(0);
  CHECK_FALSE(opens(with, datagram));
  CHECK_FALSE(opens(with, std::vector<std::uint8_t>(wire::kMaxSealed + 1, 0x20)));
}

TEST_CASE("another value, group, source, epoch or group secret is another key") {
  FrameSealer seals = sealer();
  const auto datagram = seal(seals, kFirst, test::unhex("fc0102"));
  auto other_value = value();
  other_value[31] ^= 1;
  CHECK_FALSE(opens(FrameKey::derive({}, other_value, kGroup, kSource, kEpoch), datagram));
  CHECK_FALSE(opens(FrameKey::derive({}, value(), GroupId{kGroup.value + 1}, kSource, kEpoch), datagram));
  CHECK_FALSE(opens(FrameKey::derive({}, value(), kGroup, SourceId{2}, kEpoch), datagram));
  CHECK_FALSE(opens(FrameKey::derive({}, value(), kGroup, kSource, Epoch{kEpoch.value + 1}), datagram));
  const std::array<std::uint8_t, 32> secret{1};
  CHECK_FALSE(opens(key(secret), datagram));
  CHECK(opens(key(std::array<std::uint8_t, 32>{}), datagram));  // no secret and 32 zeros are the same
}

TEST_CASE("a group secret's frames open with that secret") {
  const std::array<std::uint8_t, 32> secret{1, 2, 3};
  FrameSealer seals{key(secret), kGroup, kSource, kEpoch, Sequence{0}};
  const auto datagram = seal(seals, kFirst, test::unhex("fc0102"));
  CHECK(opens(key(secret), datagram));
  CHECK_FALSE(opens(key(), datagram));
}

TEST_CASE("another packet type never opens as a frame, though it were sealed with the right key") {
  // An attacker has no key; a later version's packet type could be sealed with it.
  FrameSealer seals = sealer();
  auto datagram = seal(seals, kFirst, {});
  datagram[0] = 0x24;
  CHECK_FALSE(opens(key(), datagram));
}

TEST_CASE("the sealer refuses an equal or lower sequence, and what it refuses costs nothing") {
  FrameSealer seals = sealer(kFirst);
  std::array<std::uint8_t, wire::kMaxSealed> out{};
  CHECK_FALSE(seals.seal(kFirst, 0, {}, out));  // `above` itself
  CHECK_FALSE(seals.seal(Sequence{kFirst.value - 1}, 0, {}, out));
  CHECK(seals.seal(kFirst.next(), 0, {}, out));
  CHECK_FALSE(seals.seal(kFirst.next(), 0, {}, out));
  CHECK_FALSE(seals.seal(kFirst, 0, {}, out));
  CHECK(seals.seal(kFirst.plus(5), 0, {}, out));  // a jump is allowed
  CHECK_FALSE(seals.seal(kFirst.plus(4), 0, {}, out));
  CHECK(seals.sealed() == 2);
}

TEST_CASE("the sealer refuses sequences beyond 48 bits, takes the last one, and then no other") {
  FrameSealer seals = sealer(kFirst);
  std::array<std::uint8_t, wire::kMaxSealed> out{};
  CHECK_FALSE(seals.seal(Sequence{std::uint64_t{1} << 48}, 0, {}, out));
  CHECK(seals.seal(Sequence{(std::uint64_t{1} << 48) - 1}, 0, {}, out));
  CHECK_FALSE(seals.seal(Sequence{(std::uint64_t{1} << 48) - 1}, 0, {}, out));
}

TEST_CASE("moving a sealer keeps what it has used, and leaves nothing that seals") {
  FrameSealer first = sealer();
  std::array<std::uint8_t, wire::kMaxSealed> out{};
  REQUIRE(first.seal(kFirst, 0, {}, out));
  FrameSealer second = std::move(first);
  CHECK_FALSE(second.seal(kFirst, 0, {}, out));
  CHECK(second.sealed() == 1);
  CHECK_FALSE(first.seal(kFirst.plus(1), 0, {}, out));  // NOLINT: a moved-from sealer's refusal is promised
  FrameSealer third = sealer(kFirst.plus(100));
  third = std::move(second);
  CHECK_FALSE(third.seal(kFirst, 0, {}, out));
  CHECK_FALSE(second.seal(kFirst.plus(1), 0, {}, out));  // NOLINT
  const auto length = third.seal(kFirst.plus(1), 0, {}, out);
  REQUIRE(length);
  CHECK(opens(key(), Bytes{out}.first(*length)));
}

TEST_CASE("too long an Opus packet or too short an output is refused, and the sequence stays free") {
  FrameSealer seals = sealer();
  std::vector<std::uint8_t> out(wire::kMaxDatagram);
  CHECK_FALSE(seals.seal(kFirst, 0, std::vector<std::uint8_t>(wire::kMaxOpus + 1), out));
  const std::vector<std::uint8_t> opus(100);
  CHECK_FALSE(seals.seal(kFirst, 0, opus, MutableBytes{out}.first(131)));
  CHECK(seals.seal(kFirst, 0, opus, MutableBytes{out}.first(132)) == 132);
}

TEST_CASE("opening needs room for the Opus packet, and works in place") {
  FrameSealer seals = sealer();
  const auto opus = test::unhex("fc0102030405");
  auto datagram = seal(seals, kFirst, opus);
  std::array<std::uint8_t, 5> short_of_one{};
  CHECK_FALSE(key().open(datagram, short_of_one));
  REQUIRE(key().open(datagram, MutableBytes{datagram}.subspan(wire::kHeader)) == opus.size());
  CHECK(hex(Bytes{datagram}.subspan(wire::kHeader, opus.size())) == hex(opus));
}

}  // namespace
}  // namespace tiercast::crypto::frame_test
