#include "relay/sim/network.hpp"

#include <doctest/doctest.h>

namespace tiercast::sim::network_test {
namespace {

constexpr Host kA{true, 0}, kB{true, 1}, kListener{false, 0};

struct Fate {
  int sent = 0, lost = 0, twice = 0, altered = 0, late = 0, bursts = 0;
};
Fate carry(Network& network, int datagrams, Duration late_from = 1h) {
  Fate fate;
  bool before = false;
  for (int i = 0; i < datagrams; ++i) {
    const auto arrivals = network.carry(kA, kB, 200);
    ++fate.sent;
    fate.lost += arrivals.empty();
    fate.bursts += arrivals.empty() && !before;
    before = arrivals.empty();
    fate.twice += arrivals.size() == 2;
    for (const auto& arrival : arrivals) {
      fate.altered += arrival.corrupted;
      fate.late += arrival.after >= late_from;
    }
  }
  return fate;
}

}  // namespace

TEST_CASE("network: hosts have addresses of their own, and are found by them") {
  for (const Host host : {kA, kB, kListener, Host{true, 70'000}, Host{false, 70'000}, Host{false, 255}}) {
    const Endpoint e = endpoint_of(host, 4800);
    CHECK(host_of(e) == host);
    CHECK(e.is_v4());
  }
  CHECK(endpoint_of({true, 5}, 1) != endpoint_of({false, 5}, 1));
}

TEST_CASE("network: a clean link carries everything, once, in its time") {
  Network network{1};
  const Fate fate = carry(network, 1000, 5ms);
  CHECK(fate.lost + fate.twice + fate.altered == 0);
  CHECK(fate.late == 1000);
  CHECK(carry(network, 1000, 5ms + Duration{1}).late == 0);
}

TEST_CASE("network: what is lost, doubled, altered and late is as often as it should be") {
  Network network{2};
  network.base.loss = 0.1;
  network.base.duplicated = 0.05;
  network.base.corrupted = 0.02;
  network.base.late = 0.2;
  network.base.late_by = 50ms;
  const Fate fate = carry(network, 100'000, 50ms);
  CHECK(fate.lost == doctest::Approx(10'000).epsilon(0.05));
  CHECK(fate.twice == doctest::Approx(4'500).epsilon(0.05));
  CHECK(fate.altered == doctest::Approx(94'500 * 0.02).epsilon(0.1));
  CHECK(fate.late == doctest::Approx(94'500 * 0.2).epsilon(0.05));
}

TEST_CASE("network: bursts have their mean length, and their share of all") {
  for (const bool own : {true, false}) {
    Network network{3};
    const LinkModel bursty = LinkModel::bursty(0.05, 5, 10ms);
    if (own) {
      network.set(kA, kB, bursty);
    } else {
      network.base = bursty;
    }
    const Fate fate = carry(network, 400'000);
    CHECK(fate.lost == doctest::Approx(20'000).epsilon(0.1));
    CHECK(static_cast<double>(fate.lost) / fate.bursts == doctest::Approx(5).epsilon(0.1));
  }
}

TEST_CASE("network: a link of one's own, a partition, an MTU and a cut") {
  Network network{4};
  LinkModel slow;
  slow.delay = 100ms;
  network.set(kA, kB, slow);
  CHECK(network.carry(kA, kB, 1)[0].after == 100ms);
  CHECK(network.carry(kB, kA, 1)[0].after == 5ms);
  network.put_on_side(kB, 1);
  CHECK(network.carry(kA, kB, 1).empty());
  CHECK(network.carry(kListener, kA, 1).size() == 1);
  network.heal_partition();
  CHECK(network.carry(kA, kB, 1).size() == 1);
  slow.mtu = 500;
  network.set_both(kA, kB, slow);
  CHECK(network.carry(kB, kA, 500).size() == 1);
  CHECK(network.carry(kB, kA, 501).empty());
  slow.cut = true;
  network.set_both(kA, kB, slow);
  CHECK(network.carry(kB, kA, 1).empty());
  network.forget_links();
  CHECK(network.carry(kA, kB, 1)[0].after == 5ms);
}

TEST_CASE("network: one seed, one fate; another seed, another") {
  const auto fates = [](std::uint64_t seed) {
    Network network{seed};
    network.base.loss = 0.3;
    network.base.jitter = 20ms;
    std::vector<Duration> out;
    for (int i = 0; i < 100; ++i) {
      const auto arrivals = network.carry(kA, kB, 100);
      out.push_back(arrivals.empty() ? Duration{} : arrivals[0].after);
    }
    return out;
  };
  CHECK(fates(5) == fates(5));
  CHECK(fates(5) != fates(6));
}

TEST_CASE("network: what is altered is another datagram of the same length") {
  Network network{6};
  std::array<std::uint8_t, 100> bytes{};
  int altered = 0;
  for (int i = 0; i < 100; ++i) {
    bytes.fill(0);
    network.corrupt(bytes);
    altered += bytes != std::array<std::uint8_t, 100>{};
  }
  CHECK(altered >= 98);  // two bits may be one
}

}  // namespace tiercast::sim::network_test
