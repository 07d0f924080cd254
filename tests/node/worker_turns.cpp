// Whose turn it is: groups of one worker whose frames take several pieces.
#include <doctest/doctest.h>

#include <algorithm>
#include <optional>

#include "relay/node/worker.hpp"
#include "tests/support/fan_out_table.hpp"

namespace tiercast::worker_turns_test {

using namespace tiercast::node;

namespace {

struct Fixture : forward::FanOutMaker, Outlet {
  static constexpr std::size_t kGroups = 3;
  Fixture() : secrets(1024) {
    Worker::Setup setup;
    setup.boot_tag = 1;
    setup.max_leases = 1024;
    setup.secrets = &secrets;
    setup.token_key = &token_key;
    setup.outlet = this;
    setup.fan_outs = this;
    setup.reports = &reports;
    worker.emplace(std::move(setup), now);
    for (std::uint16_t g = 0; g < kGroups; ++g) {
      groups.push_back(std::make_unique<Group>(GroupId{g + 1U}, "group", 20ms, std::vector<forward::Source>{}));
      groups.back()->index = GroupIndex{g};
      at.push_back(std::make_unique<WorkerGroup>(*groups.back()));
      worker->on_command(AddGroup{GroupIndex{g}, at.back().get()}, now);
    }
  }
  std::vector<std::unique_ptr<forward::FanOut>> make_fan_outs() override {
    std::vector<std::unique_ptr<forward::FanOut>> out;
    const std::size_t group = made++;
    out.push_back(std::make_unique<test::FanOutTable>(
        [this, group](const test::FanOutTable::Entry&, Bytes) { order.push_back(group); }, 10));
    return out;
  }
  void send(Bytes, Bytes, const Endpoint&, const LocalAddress&) override {}
  void listeners(std::uint16_t group, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i, ++slot) {
      Endpoint peer;
      peer.port = static_cast<std::uint16_t>(slot + 1);
      Install install;
      install.id = control::make_lease_id(1, control::LeaseSlot{slot}, 1);
      install.peer = peer;
      install.group = GroupIndex{group};
      worker->on_command(install, now);
    }
  }
  void frame(std::uint16_t group, std::uint64_t sequence) {
    const auto place = groups[group]->history.claim_frame(Sequence{sequence});
    REQUIRE(place);
    groups[group]->history.publish_frame(Sequence{sequence}, 100);
    worker->on_command(FrameReady{GroupIndex{group}, Sequence{sequence}, now, now}, now);
  }

  Time now{1h};
  SpscRing<Report> reports{4096};
  control::LeaseSecrets secrets;
  crypto::MacKey token_key;
  std::vector<std::unique_ptr<Group>> groups;
  std::vector<std::unique_ptr<WorkerGroup>> at;
  std::size_t made = 0;
  std::uint32_t slot = 0;
  std::vector<std::size_t> order;
  std::optional<Worker> worker;
};

}  // namespace

TEST_CASE("groups take turns piece by piece: a large one's frame does not hold up a small one's") {
  Fixture f;
  f.listeners(1, 200);  // twenty pieces
  f.listeners(0, 5);
  f.listeners(2, 5);
  for (std::uint16_t g : {std::uint16_t{1}, std::uint16_t{0}, std::uint16_t{2}}) f.frame(g, 1);
  for (int piece = 0; piece < 3; ++piece) REQUIRE(f.worker->send_some(f.now));
  // One piece each.
  CHECK(std::count(f.order.begin(), f.order.end(), 0U) == 5);
  CHECK(std::count(f.order.begin(), f.order.end(), 1U) == 10);
  CHECK(std::count(f.order.begin(), f.order.end(), 2U) == 5);
}

TEST_CASE("a group that never gets done does not keep the others from anything") {
  Fixture f;
  f.listeners(1, 200);
  f.listeners(0, 5);
  // Each frame of the large one takes twenty pieces, and there is time for ten a frame.
  for (std::uint64_t sequence = 1; sequence < 50; ++sequence) {
    f.frame(1, sequence);
    f.frame(0, sequence);
    for (int piece = 0; piece < 10; ++piece) f.worker->send_some(f.now);
    f.now += 20ms;
  }
  CHECK(std::count(f.order.begin(), f.order.end(), 0U) > 40 * 5);
}

TEST_CASE("who went away while a worker stood still gets nothing of what waited for it") {
  Fixture f;
  f.listeners(0, 5);
  f.frame(0, 1);
  f.worker->send_some(f.now);
  REQUIRE(f.order.size() == 5);
  f.now += wire::kLeaseLife - 50ms;
  f.frame(0, 2);  // told while all were there, and not sent
  f.now += 50ms + 2 * wire::kTokenUnit;
  f.worker->send_some(f.now);
  CHECK(f.order.size() == 5);
  f.frame(0, 3);
  f.worker->send_some(f.now);
  CHECK(f.order.size() == 5);
}

TEST_CASE("a worker that is told to stop says that it has when all have got what was told before") {
  Fixture f;
  f.listeners(0, 35);
  f.frame(0, 1);
  f.worker->send_some(f.now);  // as the thread does after each command: ten of them have it
  f.worker->on_command(Stop{}, f.now);
  const auto stopped = [&] {
    while (const auto report = f.reports.pop())
      if (std::holds_alternative<Stopped>(*report)) return true;
    return false;
  };
  for (int turn = 0; turn < 100 && !stopped(); ++turn) {
    f.worker->send_some(f.now);
    f.worker->on_timer(f.now);
    f.now += 1ms;
  }
  CHECK(f.order.size() == 35);
}

TEST_CASE("a node that could not keep up has room again when its listeners have gone") {
  Fixture f;
  f.listeners(0, 200);
  const auto last_share = [&] {
    std::optional<double> share;
    while (const auto report = f.reports.pop())
      if (const auto* load = std::get_if<WorkerLoad>(&*report)) share = load->share;
    return share;
  };
  const auto turn = [&](int pieces) {
    for (int i = 0; i < pieces; ++i)
      if (f.worker->send_some(f.now)) f.worker->sent_until(f.now, 10us);
    f.worker->on_timer(f.now);
    f.now += 20ms;
  };
  std::uint64_t sequence = 0;
  const auto overload = [&] {
    for (int i = 0; i < 40; ++i) {
      f.frame(0, ++sequence);
      turn(10);  // of twenty
    }
  };
  const auto drain = [&] {
    while (f.worker->send_some(f.now)) f.worker->sent_until(f.now, 10us);
  };
  overload();
  CHECK(last_share() == 1.0);
  drain();
  // A burst is no overrun: three frames at once, then nothing for three intervals.
  for (int burst = 0; burst < 12; ++burst) {
    for (int i = 0; i < 3; ++i) f.frame(0, ++sequence);
    for (int i = 0; i < 3; ++i) turn(20);
  }
  CHECK(last_share().value() < 0.5);
  overload();
  CHECK(last_share() == 1.0);
  for (std::uint32_t slot = 0; slot < 200; ++slot)
    f.worker->on_command(EndLease{control::make_lease_id(1, control::LeaseSlot{slot}, 1)}, f.now);
  for (int i = 0; i < 8; ++i) turn(1);
  CHECK(last_share() == 0.0);
}

}  // namespace tiercast::worker_turns_test
