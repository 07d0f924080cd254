// CONTROL's seal: bound to key, lane, lease and counter.
#include "crypto/control.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "crypto/aead.hpp"
#include "crypto/blake2b.hpp"
#include "tests/support/hex.hpp"

namespace tiercast::crypto::control_test {
namespace {

using test::hex;
using test::unhex;
using test::unhex_array;

const auto kKey = unhex_array<32>("0102030405");
const auto kRecords = unhex("04000300000a");
constexpr Lane kLane{3};
constexpr LeaseId kLease{0x1122334455667788};
constexpr std::uint64_t kCounter = 0x0102030405060708;

std::vector<std::uint8_t> sealed(Bytes records = kRecords) {
  std::vector<std::uint8_t> out(wire::kMaxDatagram);
  const std::size_t length = seal_control(kKey, kLane, kLease, kCounter, records, out);
  REQUIRE(length != 0);
  out.resize(length);
  return out;
}

std::optional<std::vector<std::uint8_t>> open(ControlKey key, Bytes datagram) {
  const auto control = wire::parse_control(datagram);
  if (!control) return std::nullopt;
  std::vector<std::uint8_t> records(wire::kMaxDatagram);
  const auto length = open_control(key, *control, records);
  if (!length) return std::nullopt;
  records.resize(*length);
  return records;
}

TEST_CASE("CONTROL opens to the records that were sealed") {
  const auto datagram = sealed();
  CHECK(datagram.size() == wire::kMinControl + kRecords.size());
  const auto control = wire::parse_control(datagram);
  REQUIRE(control);
  CHECK(control->lane == kLane);
  CHECK(control->lease == kLease);
  CHECK(control->counter == kCounter);
  CHECK(open(kKey, datagram) == kRecords);
  CHECK(open(kKey, sealed({})) == std::vector<std::uint8_t>{});
}

TEST_CASE("CONTROL's nonce is four zero bytes and the counter as in the header, which is the associated data") {
  std::vector<std::uint8_t> expected = unhex("10 03 1122334455667788 0102030405060708");
  expected.resize(expected.size() + kRecords.size() + wire::kTag);
  aead_seal(kKey, unhex_array<12>("00000000 0102030405060708"), Bytes{expected}.first(18), kRecords,
            MutableBytes{expected}.subspan(18));
  CHECK(hex(sealed()) == hex(expected));
}

TEST_CASE("CONTROL refuses every bit flip, header included, and another key") {
  const auto datagram = sealed();
  for (std::size_t bit = 0; bit < datagram.size() * 8; ++bit) {
    auto forged = datagram;
    forged[bit / 8] = static_cast<std::uint8_t>(forged[bit / 8] ^ 1U << bit % 8);
    REQUIRE_FALSE(open(kKey, forged));
  }
  CHECK_FALSE(open(unhex_array<32>("0102030406"), datagram));
  for (std::size_t n = 0; n < datagram.size(); ++n) REQUIRE_FALSE(open(kKey, Bytes{datagram}.first(n)));
}

TEST_CASE("CONTROL needs room on both sides and is never longer than a datagram") {
  std::vector<std::uint8_t> out(2 * wire::kMaxDatagram);
  CHECK(seal_control(kKey, kLane, kLease, 1, kRecords, MutableBytes{out}.first(39)) == 0);
  CHECK(seal_control(kKey, kLane, kLease, 1, kRecords, MutableBytes{out}.first(40)) == 40);
  const std::vector<std::uint8_t> most(wire::kMaxDatagram - wire::kMinControl);
  CHECK(seal_control(kKey, kLane, kLease, 1, most, out) == wire::kMaxDatagram);
  CHECK(seal_control(kKey, kLane, kLease, 1, std::vector<std::uint8_t>(most.size() + 1), out) == 0);
  const auto datagram = sealed();
  const auto control = wire::parse_control(datagram);
  std::vector<std::uint8_t> records(kRecords.size());
  CHECK_FALSE(open_control(kKey, *control, MutableBytes{records}.first(records.size() - 1)));
  CHECK(open_control(kKey, *control, records) == records.size());
}

TEST_CASE("records may be written where they will be sealed") {
  std::vector<std::uint8_t> out(wire::kMaxDatagram);
  std::copy(kRecords.begin(), kRecords.end(), out.begin() + wire::kControlHeader);
  const std::size_t length =
      seal_control(kKey, kLane, kLease, kCounter, Bytes{out}.subspan(wire::kControlHeader, kRecords.size()), out);
  CHECK(hex(Bytes{out}.first(length)) == hex(sealed()));
}

TEST_CASE("a link's key is BLAKE2b-256 of its label, keyed with the direction's CONTROL key") {
  std::array<std::uint8_t, 32> out{};
  std::array<std::uint8_t, 32> expected{};
  derive_link_key(kKey, out);
  Blake2b{32, kKey}.add("tiercast link").finish(expected);
  CHECK(out == expected);
  CHECK(out != kKey);
}

}  // namespace
}  // namespace tiercast::crypto::control_test
