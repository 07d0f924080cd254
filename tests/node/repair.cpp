// What repair promises, measured on whole trees: how many frames are played whatever the links lose, what that costs,
// and how many ask. For figures over a longer time: build/release/unit -ns -tc='repair measured'
#include <doctest/doctest.h>

#include <cstdio>
#include <set>

#include "tests/node/virtual_tree.hpp"

namespace tiercast::repair_test {

using test::VirtualTree;

namespace {

struct Shape {
  unsigned parents = 1;  // of every relay, edge and listener
  double lost = 0;
  double bursts = 0;  // share of all; of 5 datagrams each
  unsigned listeners = 8;
  Duration time = 60s;
};

struct Figures {
  std::uint64_t played = 0, lost = 0;
  std::uint64_t lost_on_links = 0;  // FRAMEs, each once a link
  std::uint64_t resent = 0, nacks = 0;
  void add(const Figures& other) {
    played += other.played;
    lost += other.lost;
    lost_on_links += other.lost_on_links;
    resent += other.resent;
    nacks += other.nacks;
  }
  double share() const { return static_cast<double>(played) / static_cast<double>(played + lost); }
  double resent_per_lost() const { return static_cast<double>(resent) / static_cast<double>(lost_on_links); }
};

/// Origin, regional relays, edges, listeners: three links one after the other, of 10 ms; 300 ms playout.
Figures measure(const Shape& shape, std::uint64_t seed) {
  VirtualTree tree{seed};
  tree.delay = 10ms;
  const auto tier = [&](const std::vector<std::size_t>& parents) {
    std::vector<std::size_t> out;
    for (unsigned i = 0; i < shape.parents; ++i) out.push_back(tree.add({.parents = parents, .pinned = true}));
    return out;
  };
  const auto edges = tier(tier({tree.add({.origin = true})}));
  tree.run(2s);
  std::vector<std::size_t> listeners;
  for (unsigned i = 0; i < shape.listeners; ++i) listeners.push_back(tree.listen({.parents = edges}));
  tree.run(2s);
  std::vector<std::size_t> before;
  for (const auto l : listeners) before.push_back(tree.heard(l).size());

  Figures figures;
  test::SeededRandom random{seed + 100};
  std::set<std::tuple<Endpoint, Endpoint, std::uint64_t>> lost;
  if (shape.bursts > 0) tree.network.base = sim::LinkModel::bursty(shape.bursts, 5, 10ms);
  tree.drops = [&](const Endpoint& from, const Endpoint& to, Bytes datagram) {
    if (static_cast<double>(random.u64() >> 11) * 0x1.0p-53 >= shape.lost) return false;
    const auto header = wire::parse_header(datagram);
    if (header && header->type == wire::Type::frame) lost.insert({from, to, header->sequence.value});
    return true;
  };
  tree.run(shape.time);
  for (std::size_t i = 0; i < listeners.size(); ++i) {
    (void)tree.good(listeners[i], before[i]);
    const auto& heard = tree.heard(listeners[i]);
    for (std::size_t h = before[i]; h < heard.size(); ++h)
      ++(heard[h].kind == receive::PlayedKind::lost ? figures.lost : figures.played);
    figures.nacks += tree.listener_counter(listeners[i], "repair_nack");
  }
  for (std::size_t n = 0; n < tree.nodes(); ++n) {
    figures.resent += tree.counter(n, "resend_frame");
    if (n > 0) figures.nacks += tree.counter(n, "repair_nack");
  }
  figures.lost_on_links = lost.size();
  CHECK(tree.conflicts == 0);
  return figures;
}

}  // namespace

TEST_CASE("5 % lost on each of three links: 99.99 % are played, and hardly more resent than was lost") {
  const Figures figures = measure({.lost = 0.05}, 1);
  CHECK(figures.played + figures.lost > 23'000);
  CHECK(figures.share() >= 0.9999);
  CHECK(figures.lost_on_links > 1000);
  CHECK(figures.resent_per_lost() <= 1.25);
}

TEST_CASE("20 % lost on each link, two parents at every tier: 99.9 % are played") {
  const Figures figures = measure({.parents = 2, .lost = 0.2, .listeners = 4}, 2);
  CHECK(figures.played + figures.lost > 11'500);
  CHECK(figures.share() >= 0.999);
}

TEST_CASE("5 % lost in bursts of 5 on each link: 99.9 % are played, by one parent too") {
  Figures one;
  for (std::uint64_t seed = 1; seed <= 2; ++seed) one.add(measure({.bursts = 0.05}, seed));
  CHECK(one.share() >= 0.999);
  CHECK(measure({.parents = 2, .bursts = 0.05, .listeners = 4}, 3).share() >= 0.9999);
}

TEST_CASE("when 1,000 listeners lose the same frame, their edge asks for it once, and each gets it once") {
  for (const bool above_the_edge : {true, false}) {
    CAPTURE(above_the_edge);
    VirtualTree tree{4};
    tree.delay = 10ms;
    const auto origin = tree.add({.origin = true});
    const auto regional = tree.add({.parents = {origin}, .pinned = true});
    const auto edge = tree.add({.parents = {regional}, .pinned = true, .max_leases = 1100});
    tree.run(1s);
    constexpr std::size_t kListeners = 1000;
    for (std::size_t i = 0; i < kListeners; ++i) tree.listen({.parents = {edge}});
    tree.run(2s);
    const std::uint64_t nacks = tree.counter(regional, "resend_nack");
    const auto received = [&] {
      std::uint64_t sum = 0;
      for (std::size_t l = 0; l < kListeners; ++l) sum += tree.listener_counter(l, "playout_frames_received");
      return sum;
    };
    const std::uint64_t frames = received();
    const Sequence lost = tree.group(origin).group.history.newest().plus(5);
    std::set<std::pair<Endpoint, Endpoint>> dropped;
    tree.drops = [&](const Endpoint& from, const Endpoint& to, Bytes datagram) {
      const auto header = wire::parse_header(datagram);
      if (!header || header->type != wire::Type::frame || header->sequence != lost) return false;
      const auto where = above_the_edge ? VirtualTree::address_of(regional) : VirtualTree::address_of(edge);
      return from == where && dropped.insert({from, to}).second;
    };
    const std::uint64_t fanned_out = tree.counter(edge, "fanout_frame");
    tree.run(1s);
    CHECK(dropped.size() == (above_the_edge ? 1 : kListeners));
    CHECK(tree.counter(regional, "resend_nack") - nacks == (above_the_edge ? 1 : 0));
    for (std::size_t l = 0; l < kListeners; ++l) REQUIRE(tree.lost_by(l) == 0);
    // Each frame once, however many have asked.
    const std::uint64_t due = kListeners * (tree.counter(edge, "fanout_frame") - fanned_out);
    CHECK(received() - frames <= due + kListeners / 50);
    MESSAGE("NACKs at the edge: " << tree.counter(edge, "resend_nack"));
  }
}

TEST_CASE("repair measured" * doctest::skip()) {
  const auto show = [](const char* what, const Shape& shape) {
    Figures sum;
    for (std::uint64_t seed = 1; seed <= 6; ++seed) sum.add(measure(shape, seed));
    std::printf("%-26s played %.4f %% (%llu of %llu lost); lost on links %llu, resent for each %.3f; NACKs %llu\n",
                what, 100 * sum.share(), static_cast<unsigned long long>(sum.lost),
                static_cast<unsigned long long>(sum.played + sum.lost),
                static_cast<unsigned long long>(sum.lost_on_links), sum.lost_on_links > 0 ? sum.resent_per_lost() : 0,
                static_cast<unsigned long long>(sum.nacks));
    std::fflush(stdout);
  };
  show("5 %, one parent", {.lost = 0.05});
  show("20 %, two parents", {.parents = 2, .lost = 0.2});
  show("bursts, one parent", {.bursts = 0.05});
  show("bursts, two parents", {.parents = 2, .bursts = 0.05});
  show("30 %, one parent", {.lost = 0.3});
  show("30 %, two parents", {.parents = 2, .lost = 0.3});
}

}  // namespace tiercast::repair_test
