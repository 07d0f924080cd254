#include "relay/node/passage.hpp"

#include <doctest/doctest.h>

#include <map>
#include <string>

namespace tiercast::passage_test {

using node::Passage;

namespace {
std::map<std::string, Passage::Times::Sum> sums(const Passage& passage) {
  std::map<std::string, Passage::Times::Sum> out;
  passage.each([&](const char* name, const Passage::Times& times) { times.add_to(out[name]); });
  return out;
}
constexpr Time kStart{1h};
}  // namespace

TEST_CASE("a frame's way is told from the feed to a worker, and from its datagram to the first send and the last") {
  Passage passage;
  passage.taken_up(kStart + 10us, kStart + 15us);
  passage.first_sent(kStart, kStart + 15us);
  passage.last_sent(kStart);
  passage.settle(kStart + 900us);
  passage.settle(kStart + 5s);  // of a turn that sent nothing
  const auto all = sums(passage);
  REQUIRE(all.size() == 3);
  for (const auto& [name, us] :
       std::map<std::string, std::uint64_t>{{"hand_off", 5}, {"first_send", 15}, {"last_send", 900}}) {
    CAPTURE(name);
    CHECK(all.at(name).count() == 1);
    CHECK(all.at(name).highest() == us);
  }
}

TEST_CASE("what seems to end before it began took no time") {
  Passage passage;
  passage.taken_up(kStart, kStart - 1s);
  CHECK(sums(passage).at("hand_off").count() == 1);
  CHECK(sums(passage).at("hand_off").highest() == 0);
}

TEST_CASE("when a datagram came is the kernel's word, as long as that can be") {
  const Moment now{kStart, WallTime{1'700'000'000s}};
  CHECK(node::received_at(now, std::nullopt) == kStart);
  CHECK(node::received_at(now, now.wall - 300us) == kStart - 300us);
  CHECK(node::received_at(now, now.wall) == kStart);
  CHECK(node::received_at(now, now.wall + 1us) == kStart);  // the clock was set back
  CHECK(node::received_at(now, now.wall - 1h) == kStart);   // or forward
  CHECK(node::received_at(now, WallTime{}) == kStart);
}

}  // namespace tiercast::passage_test
