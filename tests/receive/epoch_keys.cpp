#include "relay/receive/epoch_keys.hpp"

#include <doctest/doctest.h>

#include "tests/receive/stream.hpp"

namespace tiercast::epoch_keys_test {

using namespace tiercast::test;
using receive::EpochKeys;

namespace {

bool opens(EpochKeys& keys, const Datagram& frame) {
  std::array<std::uint8_t, wire::kMaxOpus> opus{};
  return keys.open(wire::parse_header(frame).value(), frame, opus).has_value();
}

}  // namespace

TEST_CASE("epoch keys: an announced epoch opens its frames, and no other's") {
  const TestSource one{SourceId{1}}, two{SourceId{2}};
  EpochKeys keys{kGroup, {SourceId{1}, SourceId{2}}, {}};
  CHECK(keys.add(one.record(Epoch{5})) == EpochKeys::Added::added);
  CHECK(keys.add(one.record(Epoch{5})) == EpochKeys::Added::known);
  CHECK(keys.has(SourceId{1}, Epoch{5}));
  CHECK_FALSE(keys.has(SourceId{2}, Epoch{5}));
  CHECK_FALSE(keys.has(SourceId{1}, Epoch{6}));
  CHECK(opens(keys, one.seal(Epoch{5}, Sequence{1}, payload(Sequence{1}))));
  CHECK_FALSE(opens(keys, one.seal(Epoch{6}, Sequence{1}, payload(Sequence{1}))));
  CHECK_FALSE(opens(keys, two.seal(Epoch{5}, Sequence{1}, payload(Sequence{1}))));
}

TEST_CASE("epoch keys: other groups and unlisted sources are refused") {
  EpochKeys keys{kGroup, {SourceId{1}}, {}};
  CHECK(keys.add(TestSource{SourceId{1}, GroupId{8}}.record(Epoch{5})) == EpochKeys::Added::other_group);
  CHECK(keys.add(TestSource{SourceId{3}}.record(Epoch{5})) == EpochKeys::Added::unknown_source);
  CHECK_FALSE(keys.has(SourceId{3}, Epoch{5}));
}

TEST_CASE("epoch keys: a group secret is part of the key") {
  const std::vector<std::uint8_t> secret(32, 9);
  const TestSource source{SourceId{1}, kGroup, secret};
  const Datagram frame = source.seal(Epoch{5}, Sequence{1}, payload(Sequence{1}));
  EpochKeys without{kGroup, {SourceId{1}}, {}}, with{kGroup, {SourceId{1}}, secret};
  without.add(source.record(Epoch{5}));
  with.add(source.record(Epoch{5}));
  CHECK_FALSE(opens(without, frame));
  CHECK(opens(with, frame));
}

TEST_CASE("epoch keys: no number of announcements pushes out a key in use, and the newest announced are kept") {
  const TestSource source{SourceId{1}};
  EpochKeys keys{kGroup, {SourceId{1}}, {}};
  for (std::uint32_t e = 1; e <= 40; ++e) {  // as many rotations, each announced two ahead
    keys.add(source.record(Epoch{e + 1}));
    keys.add(source.record(Epoch{e}));
    keys.add(source.record(Epoch{e + 2}));
    CHECK(opens(keys, source.seal(Epoch{e}, Sequence{e}, payload(Sequence{e}))));
    CHECK(keys.has(SourceId{1}, Epoch{e + 2}));
  }
  for (std::uint32_t e = 1000; e < 1100; ++e) keys.add(source.record(Epoch{e}));
  CHECK(opens(keys, source.seal(Epoch{40}, Sequence{99}, payload(Sequence{99}))));
  CHECK(keys.has(SourceId{1}, Epoch{1099}));
  CHECK_FALSE(keys.has(SourceId{1}, Epoch{1000}));
  CHECK(keys.held().epochs.size() <= EpochKeys::kPlaces);
}

TEST_CASE("epoch keys: of the used ones the one longest unused makes room") {
  const TestSource source{SourceId{1}};
  EpochKeys keys{kGroup, {SourceId{1}}, {}};
  auto use = [&](std::uint32_t e) { return opens(keys, source.seal(Epoch{e}, Sequence{1}, payload(Sequence{1}))); };
  for (std::uint32_t e = 1; e <= EpochKeys::kPlaces; ++e) {
    keys.add(source.record(Epoch{e}));
    CHECK(use(e));
  }
  CHECK(use(1));
  keys.add(source.record(Epoch{100}));
  CHECK(keys.has(SourceId{1}, Epoch{1}));
  CHECK_FALSE(keys.has(SourceId{1}, Epoch{2}));
}

}  // namespace tiercast::epoch_keys_test
