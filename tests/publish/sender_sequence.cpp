#include "relay/publish/sender_sequence.hpp"

#include <doctest/doctest.h>

namespace tiercast::publish::sender_sequence_test {
namespace {

TEST_CASE("the 16-bit number is unwrapped, as often as it wraps") {
  SenderSequence sender{1, 65530};
  std::int64_t last = sender.newest();
  for (std::uint32_t i = 1; i <= 200'000; ++i) {
    const Arrived arrived = sender.on_packet(static_cast<std::uint16_t>(65530 + i));
    REQUIRE(arrived.kind == Arrival::newer);
    REQUIRE(arrived.number == ++last);
  }
  CHECK(sender.lost() == 0);
}

TEST_CASE("loss, reordering and duplicates are told apart across the wrap") {
  SenderSequence sender{1, 65534};
  CHECK(sender.on_packet(1).kind == Arrival::newer);
  CHECK(sender.lost() == 2);
  CHECK_FALSE(sender.all_received(65534, 65538));
  CHECK(sender.on_packet(65535).kind == Arrival::older);
  CHECK(sender.on_packet(65535).kind == Arrival::duplicate);
  CHECK(sender.on_packet(1).kind == Arrival::duplicate);
  CHECK(sender.lost() == 1);
  const Arrived last = sender.on_packet(0);
  CHECK(last.kind == Arrival::older);
  CHECK(last.number == 65536);
  CHECK(sender.lost() == 0);
  CHECK(sender.all_received(65534, 65538));
}

TEST_CASE("a far jump is believed with its successor only") {
  SenderSequence sender{1, 100};
  CHECK(sender.on_packet(20'000).kind == Arrival::jump);
  CHECK(sender.on_packet(101).kind == Arrival::newer);
  CHECK(sender.on_packet(20'001).kind == Arrival::jump);
  CHECK(sender.on_packet(40'000).kind == Arrival::jump);
  CHECK(sender.on_packet(40'001).kind == Arrival::restart);
  CHECK(sender.on_packet(102).kind == Arrival::newer);
  CHECK(sender.lost() == 0);
}

TEST_CASE("the edges of dropout and misorder are RFC 3550's") {
  CHECK(SenderSequence(1, 0).on_packet(2999).kind == Arrival::newer);
  CHECK(SenderSequence(1, 0).on_packet(3000).kind == Arrival::jump);
  CHECK(SenderSequence(1, 200).on_packet(101).kind == Arrival::older);
  CHECK(SenderSequence(1, 200).on_packet(100).kind == Arrival::jump);
}

TEST_CASE("what lies before the first or beyond memory does not make loss negative") {
  SenderSequence sender{1, 100};
  CHECK(sender.on_packet(99).kind == Arrival::older);
  CHECK(sender.on_packet(99).kind == Arrival::duplicate);
  CHECK(sender.on_packet(180).kind == Arrival::newer);
  CHECK(sender.on_packet(110).kind == Arrival::older);
  CHECK(sender.lost() == 79);
  CHECK_FALSE(sender.all_received(100, 165));
}

}  // namespace
}  // namespace tiercast::publish::sender_sequence_test
