// What stands in for an attestation that will not come.
#include "relay/forward/proofs.hpp"

#include <doctest/doctest.h>

#include "tests/forward/signed_frames.hpp"

namespace tiercast::proofs_test {

using namespace tiercast::forward;

namespace {

struct Kept {
  test::SigningSource one{1, 11}, two{2, 22};
  History history{200};
  void keep(test::SigningSource& source, std::uint64_t sequence) {
    const auto frame = source.signed_frame(sequence);
    const auto slot = history.claim_frame(Sequence{sequence});
    REQUIRE(slot);
    std::copy(frame.begin(), frame.end(), slot->begin());
    history.publish_frame(Sequence{sequence}, frame.size() - wire::kSignature);
  }
  std::optional<wire::Proof> proof(std::uint64_t first, std::uint64_t last) {
    const std::size_t size = write_proof(history, Sequence{first}, Sequence{last}, buffer);
    if (size == 0) return std::nullopt;
    return wire::parse_proof(Bytes{buffer}.first(size));
  }
  std::array<std::uint8_t, wire::kMaxProof> buffer{};
};

}  // namespace

TEST_CASE("a proof has the frames' own signatures, of one source, as many as fit") {
  Kept k;
  for (std::uint64_t s = 1000; s < 1030; ++s)
    if (s != 1003) k.keep(s == 1005 ? k.two : k.one, s);
  const auto proof = k.proof(1000, 1029);
  REQUIRE(proof);
  CHECK(proof->header.source == SourceId{1});
  CHECK(proof->header.sequence == Sequence{1000});
  CHECK(proof->count == wire::kMaxProven);
  for (std::size_t i = 0; i < proof->count; ++i) {
    CAPTURE(i);
    const auto frame = k.history.frame(Sequence{1000 + i});
    const bool covered = i != 3 && i != 5;
    CHECK((frame && crypto::verify_frame(k.one.as_source().key, frame.datagram(), proof->signature(i))) == covered);
  }
  CHECK(k.proof(1028, 1029)->count == 2);
  CHECK(k.proof(1004, 1005)->count == 1);  // nothing of the other source's at its end
  CHECK_FALSE(k.proof(1003, 1010));
}

TEST_CASE("frames are unattested until an attestation of their own source covers them") {
  Kept k;
  for (std::uint64_t s = 1000; s < 1010; ++s) k.keep(s < 1005 ? k.one : k.two, s);
  CHECK(unattested(k.history, SourceId{1}, Sequence{990}) == Sequence{1000});
  CHECK(k.history.add_attestation(test::view(k.two.attest(1000, 25))));
  CHECK(unattested(k.history, SourceId{1}, Sequence{990}) == Sequence{1000});
  CHECK(unattested(k.history, SourceId{2}, Sequence{990}).value == 0);
  CHECK(k.history.add_attestation(test::view(k.one.attest(1000, 3))));
  CHECK(unattested(k.history, SourceId{1}, Sequence{990}) == Sequence{1003});
  CHECK(unattested(k.history, SourceId{1}, Sequence{1004}) == Sequence{1004});
}

TEST_CASE("what is no proof does not parse as one") {
  Kept k;
  for (std::uint64_t s = 1000; s < 1004; ++s) k.keep(k.one, s);
  const std::size_t size = write_proof(k.history, Sequence{1000}, Sequence{1003}, k.buffer);
  REQUIRE(size == wire::kHeader + 1 + 4 * wire::kSignature);
  for (std::size_t less = 1; less <= size; ++less) CHECK_FALSE(wire::parse_proof(Bytes{k.buffer}.first(size - less)));
  CHECK_FALSE(wire::parse_proof(Bytes{k.buffer}.first(size + 1)));
  k.buffer[wire::kHeader] = 0;
  CHECK_FALSE(wire::parse_proof(Bytes{k.buffer}.first(wire::kHeader + 1)));
  k.buffer[wire::kHeader] = 4;
  k.buffer[0] = 0x22;
  CHECK_FALSE(wire::parse_proof(Bytes{k.buffer}.first(size)));
}

}  // namespace tiercast::proofs_test
