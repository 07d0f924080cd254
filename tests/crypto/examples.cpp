// The examples of crypto/PROTOCOL.md §20, so that they stay true.
#include <doctest/doctest.h>

#include "crypto/control.hpp"
#include "crypto/frame.hpp"
#include "crypto/signature.hpp"
#include "tests/support/hex.hpp"

namespace tiercast::crypto::examples_test {
namespace {

using test::hex;
using test::unhex;
using test::unhex_array;

constexpr const char* kCounting = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

TEST_CASE("PROTOCOL.md's frame, its hash and its signature") {
  const auto value = unhex_array<32>(kCounting);
  const GroupId group{0x010203};
  const Epoch epoch{1700000000};
  FrameSealer sealer{FrameKey::derive({}, value, group, SourceId{1}, epoch), group, SourceId{1}, epoch, Sequence{0}};
  std::array<std::uint8_t, 36> frame{};
  REQUIRE(sealer.seal(Sequence{0x0102030405}, 0, unhex("fc010203"), frame) == frame.size());
  CHECK(hex(frame) == "2000010102036553f1000001020304051e474c70d60d9c32d37b75a641ada256ff4cc10c");
  CHECK(hex(attest_hash(frame)) == "c63b8f26b9b0657b508912732724108f");
  const auto seed = unhex_array<32>("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
  const SourceSigner signer{PrivateKey{std::span<const std::uint8_t, 32>{seed}}};
  CHECK(hex(signer.sign_frame(frame)) ==
        "3c7817a68527ac0fe47e52d93036076d1654491fa6356d8440dac0e74b9903e0"
        "d487859c73c5a6d92ee8f0131e922d2c4a13bcbf0eea469fb87660d1179cca00");
}

TEST_CASE("PROTOCOL.md's CONTROL and link key") {
  const auto key = unhex_array<32>(kCounting);
  std::array<std::uint8_t, 38> control{};
  REQUIRE(seal_control(key, Lane{3}, LeaseId{0x1122334455667788}, 5, unhex("0a000101"), control) == control.size());
  CHECK(hex(control) == "100311223344556677880000000000000005c6c8e21d56e39d3a94838a6cc480d53a219ebe39");
  std::array<std::uint8_t, 32> link{};
  derive_link_key(key, link);
  CHECK(hex(link) == "f415ced5ae8b2072768b7e14c6fbc0408bcb62dcff1c100daf371f6b731a2617");
}

}  // namespace
}  // namespace tiercast::crypto::examples_test
