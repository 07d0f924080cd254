// What runs per frame allocates nothing: intake, history, gaps and budgets, also when frames are missing or refused.
#include <doctest/doctest.h>

#include "relay/forward/gaps.hpp"
#include "relay/forward/intake.hpp"
#include "relay/forward/resend_budget.hpp"
#include "tests/forward/signed_frames.hpp"
#include "tests/support/counting_allocator.hpp"

namespace tiercast::no_allocation_test {

using namespace tiercast::forward;

TEST_CASE("taking, refusing and asking for frames allocates nothing") {
  test::SigningSource one{1, 11}, two{2, 22};
  test::SigningSource forger{1, 99};
  const test::Link link{0x51};
  const std::array<Source, 2> sources{one.as_source(), two.as_source()};
  History history{100};
  Intake intake{GroupId{7}, sources, history, 20ms, 60ms};
  test::SeededRandom random{1};
  Gaps gaps{{}, random};
  LeaseResendBudget lease{20ms, Time{1h}};
  NodeResendBudget node{Time{1h}};

  std::vector<test::Datagram> datagrams;
  for (std::uint64_t s = 1000; s < 1400; ++s) {
    if (s % 7 == 0) continue;
    datagrams.push_back(link.mac(one.signed_frame(s)));
    datagrams.push_back(datagrams.back());
    if (s % 5 == 0) datagrams.push_back(link.mac(two.signed_frame(s)));
    if (s % 11 == 0) datagrams.push_back(link.mac(forger.signed_frame(s + 3)));
    if (s % 25 == 0) datagrams.push_back(link.mac(one.attest(s - 25, 25)));
    if (s % 13 == 0) datagrams.push_back(link.mac(test::header_bytes(one.header(wire::Type{0x30}, s))));
    if (s % 17 == 0) datagrams.emplace_back(20, std::uint8_t{0x20});
  }

  Distrust distrust;
  Time now{1h};
  wire::Nack nack;
  std::size_t seen[6] = {};
  std::size_t asked = 0;
  const std::array parents{Askee{.leased = true, .live = true, .round_trip = 10ms, .newest = {}}};
  const test::AllocationCount allocations;
  for (const auto& datagram : datagrams) {
    now += 8ms;
    const auto result = intake.on_datagram(test::view(datagram), link.key, distrust, now);
    ++seen[static_cast<std::size_t>(result.taken)];
    if (result.taken == Taken::fresh && result.attestation == 0)
      gaps.on_frame(result.header.sequence, result.header.jumps(), now);
    while (const auto released = intake.take_released(now)) gaps.on_frame(released->sequence, false, now);
    while (gaps.due(GroupId{7}, parents, nack, now)) {
      ++asked;
      Time when;
      (void)(lease.take(nack.ranges[0].first, now, when) && node.take(now));
    }
  }
  const auto count = allocations.count();
  CHECK(count == 0);
  CHECK(seen[static_cast<std::size_t>(Taken::fresh)] > 300);
  CHECK(seen[static_cast<std::size_t>(Taken::duplicate)] > 300);
  CHECK(seen[static_cast<std::size_t>(Taken::opaque)] > 20);
  CHECK(seen[static_cast<std::size_t>(Taken::dropped)] > 40);
  CHECK(seen[static_cast<std::size_t>(Taken::spare)] > 30);
  CHECK(asked > 50);
}

}  // namespace tiercast::no_allocation_test
