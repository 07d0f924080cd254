#include "relay/publish/attester.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

namespace tiercast::publish::attester_test {
namespace {

struct Runs {
  Runs() {
    std::array<std::uint8_t, 32> seed{};
    seed.fill(4);
    signer.emplace(crypto::PrivateKey{std::span<const std::uint8_t, 32>{seed}});
    attester.emplace(*signer);
  }
  void add(std::uint32_t epoch, std::uint64_t sequence, std::uint8_t flags = 0) {
    const wire::Header header{wire::Type::frame, flags, SourceId{1}, GroupId{2}, Epoch{epoch}, Sequence{sequence}};
    std::array<std::uint8_t, wire::kHeader> datagram{};
    wire::write_header(datagram, header);
    attester->add(header, datagram, now);
  }
  std::optional<wire::Attest> take() {
    const auto datagram = attester->take(now);
    if (!datagram) return std::nullopt;
    kept.assign(datagram->begin(), datagram->end());
    const auto attest = wire::parse_attest(kept);
    REQUIRE(attest);
    REQUIRE(crypto::verify_attest(signer->public_key(), attest->signed_part, attest->signature));
    return attest;
  }
  Time now = Time{} + 1s;
  std::optional<crypto::SourceSigner> signer;
  std::optional<Attester> attester;
  std::vector<std::uint8_t> kept;
};

bool absent(const wire::Attest& attest, std::size_t at) {
  const Bytes hash = attest.hash(at);
  return std::all_of(hash.begin(), hash.end(), [](std::uint8_t byte) { return byte == 0; });
}

TEST_CASE("an absent frame's hash is zero, whatever stood at its place in the run before") {
  Runs runs;
  for (std::uint64_t s = 0; s < 25; ++s) runs.add(1, s);
  REQUIRE(runs.take());
  runs.add(1, 25);
  runs.add(1, 28);
  runs.now += 500ms;
  const auto attest = runs.take();
  REQUIRE(attest);
  REQUIRE(attest->count == 4);
  CHECK_FALSE(absent(*attest, 0));
  CHECK(absent(*attest, 1));
  CHECK(absent(*attest, 2));
  CHECK_FALSE(absent(*attest, 3));
  CHECK_FALSE(runs.take());
}

TEST_CASE("a run has one epoch, and closing none is nothing") {
  Runs runs;
  runs.attester->close();
  CHECK_FALSE(runs.take());
  runs.add(1, 1);
  runs.add(2, 2);
  const auto attest = runs.take();
  REQUIRE(attest);
  CHECK(attest->header.epoch == Epoch{1});
  CHECK(attest->count == 1);
  CHECK(attest->header.type == wire::Type::attest);
}

TEST_CASE("the run's age counts from its first frame") {
  Runs runs;
  runs.add(1, 1);
  runs.now += 400ms;
  runs.add(1, 2);
  CHECK(runs.attester->next_deadline() == runs.now + 100ms);
  runs.now += 99ms;
  CHECK_FALSE(runs.take());
  runs.now += 1ms;
  CHECK(runs.take()->count == 2);
}

}  // namespace
}  // namespace tiercast::publish::attester_test
