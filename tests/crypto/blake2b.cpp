// BLAKE2b against RFC 7693.
#include "crypto/blake2b.hpp"

#include <doctest/doctest.h>

#include "tests/support/hex.hpp"

namespace tiercast::crypto::blake2b_test {
namespace {

using test::hex;

/// RFC 7693 appendix E, selftest_seq().
std::vector<std::uint8_t> sequence(std::size_t length) {
  std::vector<std::uint8_t> out(length);
  std::uint32_t a = 0xDEAD4BADU * static_cast<std::uint32_t>(length);
  std::uint32_t b = 1;
  for (auto& byte : out) {
    const std::uint32_t t = a + b;
    a = b;
    b = t;
    byte = static_cast<std::uint8_t>(t >> 24);
  }
  return out;
}

TEST_CASE("BLAKE2b-512 of \"abc\" is RFC 7693 appendix A's") {
  std::array<std::uint8_t, 64> out{};
  Blake2b{out.size()}.add("abc").finish(out);
  CHECK(hex(out) ==
        "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
        "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923");
}

TEST_CASE("BLAKE2b passes RFC 7693 appendix E's self test: all lengths, keyed and not") {
  std::array<std::uint8_t, 32> grand{};
  Blake2b over_all{grand.size()};
  for (const std::size_t length : {20, 32, 48, 64}) {
    for (const std::size_t input : {0, 3, 128, 129, 255, 1024}) {
      std::vector<std::uint8_t> out(length);
      Blake2b{length}.add(sequence(input)).finish(out);
      over_all.add(out);
      Blake2b{length, sequence(length)}.add(sequence(input)).finish(out);
      over_all.add(out);
    }
  }
  over_all.finish(grand);
  CHECK(hex(grand) == "c23a7800d98123bd10f506c61e29da5603d763b8bbad2e737f5e765a7bccd475");
}

TEST_CASE("pieces hash like the whole") {
  const auto whole = sequence(300);
  std::array<std::uint8_t, 32> one{};
  std::array<std::uint8_t, 32> pieces{};
  Blake2b{32}.add(whole).finish(one);
  Blake2b{32}
      .add(Bytes{whole}.first(1))
      .add(Bytes{})
      .add(Bytes{whole}.subspan(1, 128))
      .add(Bytes{whole}.subspan(129))
      .finish(pieces);
  CHECK(hex(one) == hex(pieces));
}

}  // namespace
}  // namespace tiercast::crypto::blake2b_test
