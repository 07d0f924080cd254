// What a node keeps of the epochs that it is told.
#include "relay/node/group.hpp"

#include <doctest/doctest.h>

#include <algorithm>

namespace tiercast::group_test {

using node::KnownEpochs;

namespace {

wire::EpochRecord record(std::uint32_t number, std::uint8_t source = 1) {
  return {GroupId{7}, SourceId{source}, Epoch{number}, {}, {}};
}

std::vector<std::uint32_t> numbers(const KnownEpochs& known, std::uint8_t source = 1) {
  std::vector<std::uint32_t> out;
  for (const auto& epoch : known.all())
    if (epoch.source == SourceId{source}) out.push_back(epoch.epoch.value);
  return out;
}

}  // namespace

TEST_CASE("what is in use comes first, then what comes next, then what was before") {
  KnownEpochs known;
  for (const std::uint32_t e : {40U, 10U, 30U, 20U}) CHECK(known.learn(record(e)));
  CHECK_FALSE(known.learn(record(30)));
  CHECK(known.in_use(SourceId{1}, Epoch{20}));
  CHECK_FALSE(known.in_use(SourceId{1}, Epoch{20}));
  CHECK(numbers(known) == std::vector<std::uint32_t>{20, 30, 40, 10});
  CHECK(known.in_use(SourceId{1}, Epoch{30}));
  CHECK(numbers(known) == std::vector<std::uint32_t>{30, 40, 20, 10});
}

TEST_CASE("old announcements said again, and numbers far above, do not keep out what comes next") {
  KnownEpochs known;
  known.in_use(SourceId{1}, Epoch{1000});
  for (std::uint32_t e = 1; e <= 20; ++e) known.learn(record(e * 10));
  for (const std::uint32_t e : {1000U, 1010U, 1020U}) CHECK(known.learn(record(e)));
  for (std::uint32_t e = 1; e <= 20; ++e) known.learn(record(e * 10 + 1));
  for (std::uint32_t e = 0; e < 20; ++e) known.learn(record(0xffffff00 + e));
  const auto kept = numbers(known);
  REQUIRE(kept.size() >= 3);
  CHECK(std::vector(kept.begin(), kept.begin() + 3) == std::vector<std::uint32_t>{1000, 1010, 1020});
  known.in_use(SourceId{1}, Epoch{1010});
  CHECK(known.learn(record(1030)));
  CHECK(numbers(known).front() == 1010);
}

TEST_CASE("each source has its own places") {
  KnownEpochs known;
  for (std::uint32_t e = 1; e <= 20; ++e) known.learn(record(e, 1));
  for (std::uint32_t e = 1; e <= 20; ++e) known.learn(record(e, 2));
  CHECK(numbers(known, 1).size() == 6);
  CHECK(numbers(known, 2).size() == 6);
  CHECK(known.all().size() == KnownEpochs::kMost);
  CHECK_FALSE(known.learn(record(1, 3)));  // config has at most two sources
}

}  // namespace tiercast::group_test
