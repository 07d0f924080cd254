#include "relay/forward/history.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/forward/signed_frames.hpp"

namespace tiercast::history_test {

using forward::History;

namespace {

bool put(History& history, std::uint64_t sequence) {
  auto slot = history.claim_frame(Sequence{sequence});
  if (!slot) return false;
  std::fill_n(slot->begin(), 50, static_cast<std::uint8_t>(sequence));
  history.publish_frame(Sequence{sequence}, 50);
  return true;
}

}  // namespace

TEST_CASE("an empty history has nothing and forgets nothing") {
  const History history{10};
  CHECK(history.newest().value == 0);
  CHECK(history.oldest().value == 0);
  CHECK_FALSE(history.has(Sequence{0}));
  CHECK_FALSE(history.frame(Sequence{1}));
  CHECK_FALSE(history.attestation(0));
  CHECK_FALSE(history.attestation(1));
  CHECK_FALSE(history.attestation_covering(Sequence{1}));
}

TEST_CASE("the newest is the highest sequence, not the last that came") {
  History history{10};
  put(history, 100);
  put(history, 98);
  CHECK(history.newest().value == 100);
  CHECK(history.oldest().value == 91);
  CHECK(history.has(Sequence{98}));
  CHECK_FALSE(history.has(Sequence{99}));
}

TEST_CASE("the oldest is zero until as many have passed as there is room for") {
  History history{10};
  put(history, 9);
  CHECK(history.oldest().value == 0);
  put(history, 10);
  CHECK(history.oldest().value == 1);
}

TEST_CASE("a frame is readable until the one a whole history later takes its slot") {
  History history{10};
  for (std::uint64_t s = 1; s <= 10; ++s) put(history, s);
  CHECK(history.has(Sequence{1}));
  put(history, 11);
  CHECK_FALSE(history.has(Sequence{1}));
  CHECK(history.has(Sequence{2}));
  CHECK(history.frame(Sequence{2}).datagram()[0] == 2);
}

TEST_CASE("a frame that is being sent is not overwritten") {
  History history{10};
  put(history, 5);
  {
    const auto pin = history.frame(Sequence{5});
    CHECK_FALSE(put(history, 15));
    CHECK(history.newest().value == 5);
  }
  CHECK(put(history, 15));
}

TEST_CASE("attestations are numbered as they come, and found by what they cover, the newest first") {
  History history{10};
  test::SigningSource source{1, 1};
  const auto first = source.attest(100, 25);
  const auto second = source.attest(125, 25);
  const auto overlapping = source.attest(120, 10);
  CHECK(history.add_attestation(test::view(first)) == 1);
  CHECK(history.add_attestation(test::view(second)) == 2);
  CHECK(history.add_attestation(test::view(overlapping)) == 3);

  const auto is = [](const forward::SlotRing::Pin& pin, const test::Datagram& datagram) {
    return pin && std::equal(datagram.begin(), datagram.end(), pin.datagram().begin(), pin.datagram().end());
  };
  CHECK(is(history.attestation(1), first));
  CHECK(history.attestation(1).signature().empty());
  CHECK(is(history.attestation_covering(Sequence{100}), first));
  CHECK(is(history.attestation_covering(Sequence{119}), first));
  CHECK(is(history.attestation_covering(Sequence{120}), overlapping));
  CHECK(is(history.attestation_covering(Sequence{129}), overlapping));
  CHECK(is(history.attestation_covering(Sequence{130}), second));
  CHECK(is(history.attestation_covering(Sequence{149}), second));
  CHECK_FALSE(history.attestation_covering(Sequence{150}));
  CHECK_FALSE(history.attestation_covering(Sequence{99}));
  CHECK_FALSE(history.attestation(4));
}

TEST_CASE("an attestation in use is not overwritten, and what took no place has no number") {
  History history{10};
  test::SigningSource source{1, 1};
  const auto first = source.attest(1, 1);
  REQUIRE(history.add_attestation(test::view(first)) == 1);
  const auto pin = history.attestation(1);
  std::uint64_t last = 1;
  std::size_t skipped = 0;
  for (std::uint64_t i = 2; i < 200; ++i) {
    const auto number = history.add_attestation(test::view(source.attest(i, 1)));
    REQUIRE(number);  // one held slot costs nobody an attestation
    skipped += *number - last - 1;
    last = *number;
    CHECK(history.attestation(last));
  }
  CHECK(skipped >= 1);
  CHECK_FALSE(history.attestation(last + 1));
  CHECK(std::equal(first.begin(), first.end(), pin.datagram().begin(), pin.datagram().end()));

  // All that are next: nothing is kept, and nothing has its number.
  std::vector<forward::SlotRing::Pin> pins;
  for (std::uint64_t number = last; number + 64 > last; --number) pins.push_back(history.attestation(number));
  CHECK_FALSE(history.add_attestation(test::view(source.attest(500, 1))));
  CHECK_FALSE(history.attestation(last + 1));
  pins.clear();
  CHECK(history.add_attestation(test::view(source.attest(500, 1))));
}

TEST_CASE("what is only passed on is numbered apart from attestations, and may be the largest that a link carries") {
  History history{10};
  const test::Datagram largest(wire::kMaxDatagram - wire::kLinkMac, 0x30);
  CHECK(history.add_opaque(test::view(largest)) == 1);
  CHECK(history.add_opaque(test::view(test::Datagram(20, 0x31))) == 2);
  CHECK_FALSE(history.attestation(1));
  REQUIRE(history.opaque(1));
  CHECK(history.opaque(1).datagram().size() == largest.size());
  CHECK(history.opaque(2).datagram()[0] == 0x31);
  CHECK_FALSE(history.opaque(3));
  CHECK_FALSE(history.add_opaque(test::view(test::Datagram(wire::kMaxDatagram, 0x30))));
}

}  // namespace tiercast::history_test
