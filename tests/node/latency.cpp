#include "relay/node/latency.hpp"

#include <doctest/doctest.h>

namespace tiercast::latency_test {

using node::Latency;

namespace {

WallTime at(std::int64_t us) { return WallTime{std::chrono::microseconds{us}}; }
wire::GroupInfo stamped(std::uint64_t sequence, std::uint64_t us) {
  wire::GroupInfo info;
  info.stamped = Sequence{sequence};
  info.stamped_unix_us = us;
  return info;
}

}  // namespace

TEST_CASE("latency: only a frame that came tells, and the very one that was stamped") {
  Latency latency;
  CHECK_FALSE(latency.last());
  latency.on_statement(stamped(0, 0));
  latency.on_statement(stamped(1000, 5'000'000));
  CHECK_FALSE(latency.last());
  latency.on_frame(Sequence{1001}, at(5'030'000));
  latency.on_statement(stamped(1000, 5'000'000));
  CHECK_FALSE(latency.last());
  latency.on_statement(stamped(1001, 5'020'000));
  CHECK(latency.last() == 10ms);
}

TEST_CASE("latency: a statement is taken once, however often a frame and it come again") {
  Latency latency;
  latency.on_frame(Sequence{7}, at(1000));
  latency.on_statement(stamped(7, 400));
  CHECK(latency.last() == 600us);
  latency.on_frame(Sequence{7}, at(9000));
  latency.on_statement(stamped(7, 400));
  CHECK(latency.last() == 600us);
}

TEST_CASE("latency: a clock that is behind makes it negative, and nonsense only nonsense") {
  Latency latency;
  latency.on_frame(Sequence{7}, at(1000));
  latency.on_statement(stamped(7, 1500));
  CHECK(latency.last() == -500us);
  latency.on_frame(Sequence{8}, at(1000));
  latency.on_statement(stamped(8, UINT64_MAX));
  CHECK(latency.last() == 1001us);
}

TEST_CASE("latency: a frame that was pushed out by later ones tells nothing") {
  Latency latency;
  for (std::uint64_t s = 1; s <= 513; ++s) latency.on_frame(Sequence{s}, at(1000));
  latency.on_statement(stamped(1, 100));
  CHECK_FALSE(latency.last());
  latency.on_statement(stamped(2, 100));
  CHECK(latency.last() == 900us);
}

}  // namespace tiercast::latency_test
