#include "relay/measure/load_epochs.hpp"

#include <doctest/doctest.h>

#include "crypto/signature.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::measure::load_epochs_test {
namespace {

using Said = LoadEpochs::Said;

struct Source {
  test::SeededRandom random{4};
  crypto::SourceSigner signer{crypto::generate_private_key(random)};
  wire::EpochRecord epoch(std::uint32_t number, std::uint8_t source = 1, std::uint32_t group = 7) {
    wire::EpochRecord out{GroupId{group}, SourceId{source}, Epoch{number}, {}, {}};
    out.value.fill(static_cast<std::uint8_t>(number));
    out.signature = signer.sign_epoch(out);
    return out;
  }
  LoadEpochs epochs() { return {GroupId{7}, {{SourceId{1}, signer.public_key()}}}; }
};

TEST_CASE("an epoch is verified when it is first told, and must be the same after that") {
  Source source;
  LoadEpochs epochs = source.epochs();
  const auto record = source.epoch(100);
  const auto first = epochs.note(record), again = epochs.note(record);
  CHECK(first.said == Said::added);
  CHECK(again.said == Said::known);
  CHECK(first.place == again.place);
  auto other = record;
  other.value[0] ^= 1;
  CHECK(epochs.note(other).said == Said::forged);
  CHECK(epochs.note(other).place == 0);
  auto forged = source.epoch(101);
  forged.signature[0] ^= 1;
  CHECK(epochs.note(forged).said == Said::forged);
  CHECK(epochs.note(source.epoch(102, 2)).said == Said::unknown_source);
  CHECK(epochs.note(source.epoch(102, 1, 8)).said == Said::other_group);
}

TEST_CASE("a listener names, and opens with, what it was told itself") {
  Source source;
  LoadEpochs epochs = source.epochs();
  const auto a = epochs.note(source.epoch(100)).place, b = epochs.note(source.epoch(101)).place;
  const auto both = static_cast<LoadEpochs::Held>(a | b);
  wire::EpochsHeld held;
  epochs.write_held(a, held);
  REQUIRE(held.epochs.size() == 1);
  CHECK(held.epochs[0].epoch == Epoch{100});
  epochs.write_held(both, held);
  CHECK(held.epochs.size() == 2);
  CHECK_FALSE(epochs.find(a, SourceId{1}, Epoch{101}));
  CHECK(epochs.find(both, SourceId{1}, Epoch{101}));

  const auto record = source.epoch(101);
  crypto::FrameSealer sealer{crypto::FrameKey::derive({}, record.value, record.group, record.source, record.epoch),
                             record.group, record.source, record.epoch, Sequence{1}};
  std::vector<std::uint8_t> frame(200), opus(200);
  frame.resize(sealer.seal(Sequence{2}, 0, std::vector<std::uint8_t>(33), frame).value_or(0));
  const auto place = *epochs.find(both, SourceId{1}, Epoch{101});
  CHECK(epochs.open(place, frame, opus) == 33u);
  frame.back() ^= 1;
  CHECK_FALSE(epochs.open(place, frame, opus));
}

TEST_CASE("where there is no place the oldest goes, and its bit is told") {
  Source source;
  LoadEpochs epochs = source.epochs();
  std::vector<LoadEpochs::Held> places;
  for (std::uint32_t n = 0; n < LoadEpochs::kPlaces; ++n) {
    const auto noted = epochs.note(source.epoch(100 + n));
    CHECK(noted.forgotten == 0);
    CHECK(std::find(places.begin(), places.end(), noted.place) == places.end());
    places.push_back(noted.place);
  }
  const auto noted = epochs.note(source.epoch(200));
  CHECK(noted.said == Said::added);
  CHECK(noted.forgotten == places.front());
  CHECK(noted.place == places.front());
  CHECK_FALSE(epochs.find(0xffff, SourceId{1}, Epoch{100}));
  CHECK(epochs.note(source.epoch(201)).forgotten == places[1]);
}

TEST_CASE("without source keys every epoch is taken, and nothing is opened") {
  Source source;
  LoadEpochs epochs{GroupId{7}, {}};
  auto record = source.epoch(100);
  record.signature = {};
  CHECK(epochs.note(record).said == Said::added);
  CHECK_FALSE(epochs.opens());
  std::vector<std::uint8_t> some(100);
  CHECK_FALSE(epochs.open(0, some, some));
}

}  // namespace
}  // namespace tiercast::measure::load_epochs_test
