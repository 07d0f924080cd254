#include "relay/cli/status_text.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/cli/status_fixture.hpp"

namespace tiercast::status_text_test {

using namespace tiercast::cli;
using namespace tiercast::test;

namespace {

std::vector<std::string> plain(const Snapshot& now, const Snapshot* before = nullptr) {
  std::vector<std::string> out;
  for (const Line& line : status_lines({now, before})) {
    out.emplace_back();
    for (const Piece& piece : line) out.back() += piece.text;
  }
  return out;
}

/// Checked in every test: what holds whatever a node says.
void check_form(const std::vector<std::string>& lines) {
  REQUIRE(!lines.empty());
  for (const std::string& line : lines) {
    CAPTURE(line);
    CHECK(line.size() <= kStatusColumns);
    CHECK(std::all_of(line.begin(), line.end(), [](char c) { return c >= 0x20 && c < 0x7f; }));
  }
}

std::string line_with(const std::vector<std::string>& lines, const std::string& part) {
  const auto at =
      std::find_if(lines.begin(), lines.end(), [&](const auto& l) { return l.find(part) != std::string::npos; });
  REQUIRE_MESSAGE(at != lines.end(), part);
  return *at;
}

bool any_with(const std::vector<std::string>& lines, const std::string& part) {
  return std::any_of(lines.begin(), lines.end(), [&](const auto& l) { return l.find(part) != std::string::npos; });
}

}  // namespace

TEST_CASE("status text: a healthy relay, exactly") {
  const Snapshot before = relay();
  Snapshot now = later(before, 2000);
  for (auto& parent : now.parents) parent.datagrams += 204;
  now.groups[0].frames += 100;
  now.groups[0].audio_bytes += 6000;
  now.counters["fanout_datagram"] = 300;
  now.children = {{"edge-fra-2", "192.0.2.7:40000", true, true, 12, 1, 0.0123, 0.42},
                  {"edge-fra-3", "192.0.2.8:40000", true, false, 0, 0, 0, 0.31},
                  {"edge-fra-4", "192.0.2.9:40000", false, false, 0, 0, 0, 0}};
  const auto lines = plain(now, &before);
  check_form(lines);
  CHECK(lines ==
        std::vector<std::string>{
            "edge-1 relay 0.1.0 up 1 min: ok",
            "parents                                     state    round trip      loss   datagrams/s",
            "192.0.2.1:4800                              live        0.30 ms       0 %         102.0",
            "192.0.2.2:4800                              live        0.30 ms       0 %         102.0",
            "groups                   id frames/s  kbit/s  listeners relays      epoch  latency  input",
            "main                      1     50.0    24.0          3      0 1700000000   3.0 ms  audio",
            "children                address                               listeners  relays     loss  round trip",
            "edge-fra-2              192.0.2.7:40000                              12       0    1.2 %     0.42 ms",
            "edge-fra-3              192.0.2.8:40000                               -       -      0 %     0.31 ms",
            "edge-fra-4              192.0.2.9:40000                               -       -        -           -",
            "listeners       here  datagrams/s  loss: median     90 %     99 %                    leases",
            "                   3        150.0           0 %      0 %      0 %                  3 of 100",
            "  at 0.0.0.0:4800",
        });
}

TEST_CASE("status text: the way of a frame through the node, once one has been sent") {
  Snapshot now = relay();
  CHECK_FALSE(any_with(plain(now), "way of a frame"));
  now.listen->hand_off = {9'999'999'999'999, 0.06, 0.1, 1.25};
  now.listen->first_send = {3000, 0.071, 0.25, 1.5};
  now.listen->last_send = {3000, 1.2, 2.9, 31'000};
  const auto lines = plain(now);
  check_form(lines);
  CHECK(line_with(lines, "way of a frame") ==
        "way of a frame through this node                          frames      median        99 %    greatest");
  CHECK(line_with(lines, "from the feed") ==
        "from the feed to a worker                            10000000.0M     0.06 ms     0.10 ms      1.2 ms");
  CHECK(line_with(lines, "first send") ==
        "from its arrival to a worker's first send                   3000     0.07 ms     0.25 ms      1.5 ms");
  CHECK(line_with(lines, "last send") ==
        "from its arrival to a worker's last send                    3000      1.2 ms      2.9 ms        31 s");
}

TEST_CASE("status text: a healthy origin says what its input is") {
  const Snapshot before = origin();
  Snapshot now = later(before);
  now.groups[0].frames += 50;
  const auto lines = plain(now, &before);
  check_form(lines);
  CHECK(lines[0] == "edge-1 origin 0.1.0 up 1 min: ok");
  CHECK(line_with(lines, "main ") ==
        "main                      1     50.0    24.0          3      0 1700000000        -  rtp ok");
  CHECK(!any_with(lines, "parents"));
  CHECK(!any_with(lines, "children"));
}

TEST_CASE("status text: what is wrong stands in the first line, what to do in the next, and the rest below") {
  Snapshot s = relay();
  s.parents[0].state = "silent";
  s.parents[1].state = "silent";
  s.groups[0].latency_ms = -100;
  const auto lines = plain(s);
  check_form(lines);
  CHECK(lines[0] == "edge-1 relay 0.1.0 up 1 min: none of 2 parents is live");
  CHECK(lines[1].starts_with("  -> 192.0.2.1:4800 is silent: run tiercast status there"));
  CHECK(any_with(lines, "  also: clocks disagree: group main comes 100 ms too early"));
  CHECK(any_with(lines, "relative"));
}

TEST_CASE("status text: without rates there are none, and nothing is said of drops") {
  Snapshot s = relay();
  s.counters["fanout_drop_late"] = 7;
  const auto lines = plain(s);
  CHECK(line_with(lines, "main ").find("        -       -") != std::string::npos);
  CHECK(!any_with(lines, "drops"));
}

TEST_CASE("status text: what was repaired, by which way, and what was lost, where anything was missing") {
  const Snapshot before = relay();
  CHECK(!any_with(plain(before), "repair"));
  Snapshot now = later(before);
  now.groups[0].counters["repair_missing"] = 40;
  now.groups[0].counters["repair_resent"] = 30;
  now.groups[0].counters["repair_late"] = 7;
  now.groups[0].counters["repair_given_up"] = 3;
  now.groups[0].counters["repair_nack"] = 28;
  const auto lines = plain(now, &before);
  check_form(lines);
  const auto at = std::find_if(lines.begin(), lines.end(), [](const auto& l) { return l.starts_with("repair "); });
  REQUIRE(lines.end() - at >= 2);
  CHECK(at[1].ends_with("        40        30         7         3         28"));
}

TEST_CASE("status text: drops are rates, the greatest first, and only those that rise") {
  const Snapshot before = relay();
  Snapshot now = later(before);
  now.counters["lease_drop_unknown"] = 3;
  now.counters["fanout_datagram"] = 9;
  now.groups[0].counters["intake_drop_stale"] = 40;
  now.groups[0].counters["intake_drop_source"] = 0;
  now.parents[1].counters["uplink_drop_forged"] = 1;
  const auto lines = plain(now, &before);
  check_form(lines);
  const auto at = std::find_if(lines.begin(), lines.end(), [](const auto& l) { return l.starts_with("drops "); });
  REQUIRE(lines.end() - at == 4);
  CHECK(at[1].starts_with("intake_drop_stale "));
  CHECK(at[1].find("group main") != std::string::npos);
  CHECK(at[1].ends_with("  40.0"));
  CHECK(at[2].starts_with("lease_drop_unknown "));
  CHECK(at[3].starts_with("uplink_drop_forged "));
  CHECK(at[3].find("192.0.2.2:4800") != std::string::npos);
  for (int i = 0; i < 40; ++i) now.counters["x_drop_" + std::to_string(i)] = 1;
  const auto many = plain(now, &before);
  CHECK(many.back() == "... and 31 more: tiercast status --json");
}

TEST_CASE("status text: hostile and huge values stay within the columns, and move no terminal") {
  const std::string hostile =
      "\033[2J\x9b"
      "31m\n\t\r" +
      std::string(300, 'x') + "\xe4\xbd\xa0\xff";
  constexpr std::uint64_t kMost = UINT64_MAX;
  Snapshot before = relay();
  before.name = before.version = before.role = hostile;
  before.listen->addresses = hostile;
  before.parents.assign(3, live_parent(hostile));
  before.parents[0].denied = before.parents[0].problem = before.parents[0].state = hostile;
  before.parents[1].round_trip_ms = 1e300;
  before.parents[1].loss = 1e300;
  before.groups[0].name = hostile;
  before.groups.push_back(origin().groups[0]);
  before.groups[1].id = kMost;
  before.groups[1].name = hostile;
  before.groups[1].input->kind = before.groups[1].input->from = before.groups[1].input->last_refused = hostile;
  before.groups[1].input->bits_per_second = kMost;
  before.groups[1].input->age_ms = 1e300;
  before.groups[0].latency_ms = -1e300;
  before.children.assign(2, {hostile, hostile, true, true, kMost, kMost, -1e300, 1e300});
  Snapshot now = later(before, 1e-9);
  for (auto& parent : now.parents) parent.datagrams = kMost;
  for (auto& group : now.groups) group.frames = group.audio_bytes = group.listeners = group.relays = kMost;
  now.groups[0].epoch = kMost;
  now.listen->leases = now.listen->max_leases = now.listen->listeners = kMost;
  now.listen->by_loss = {{1e300, kMost}};
  now.listen->worker_quiet_ms = {1e300};
  now.counters["fanout_datagram"] = kMost;
  now.counters[hostile + "_drop_" + hostile] = kMost;
  now.uptime_ms = 1e300;
  check_form(plain(now, &before));
  now.uptime_ms = before.uptime_ms + 1e-3;
  check_form(plain(now, &before));
  check_form(plain(now));
  check_form(plain(before));
  check_form(plain(Snapshot{}));
}

TEST_CASE("status text: a long complaint that the first line has no room for is told whole in the next") {
  Snapshot s = relay();
  s.name = std::string(64, 'n');
  s.uptime_ms = 86400.0 * 1000 * 365 + 3'600'000 * 23.0;
  s.version = "0.1.0-rc1-long";
  s.parents[1].address = "[2001:db8:1111:2222:3333:4444:5555:6666]:48000";
  s.parents[1].state = "joining";
  s.parents[1].answers = true;
  const auto lines = plain(s);
  check_form(lines);
  CHECK(lines[0].find("nn..nn") != std::string::npos);
  CHECK(lines[1] == "  1 of 2 parents live: [2001:db8:1..6666]:48000 does not accept");
}

TEST_CASE("status text: IPv6 addresses keep both of their ends") {
  Snapshot s = relay();
  s.parents[0].address = "[2001:db8::1]:4800";
  s.parents[1].address = "[2001:db8:1111:2222:3333:4444:5555:6666]:48000";
  s.children = {{"edge", "[2001:db8:1111:2222:3333:4444:5555:6666]:48000", true, true, 1, 1, 0, 1}};
  const auto lines = plain(s);
  check_form(lines);
  CHECK(any_with(lines, "[2001:db8::1]:4800 "));
  CHECK(line_with(lines, "[2001:db8:1111:2222:3").find("5:6666]:48000 ") != std::string::npos);
  CHECK(line_with(lines, "edge ").find("6666]:48000 ") != std::string::npos);
}

TEST_CASE("status text: the backend, whom it does not reach below the stack, and the room that is left") {
  Snapshot s = relay();
  s.listen->backend = "xdp";
  s.listen->direct = 70;
  s.listen->detours = {"3 unresolved"};
  s.listen->load = 0.234;
  s.listen->room = 12345;
  check_form(plain(s, nullptr));
  CHECK(any_with(plain(s, nullptr), "  xdp: 70 below the stack, 3 unresolved"));
  CHECK(any_with(plain(s, nullptr), "  sending takes 23.4 % of a worker's time; room for 12345 listeners more"));
  s.listen->standing_by = 7;
  s.listen->taken_up = 0.3;
  check_form(plain(s, nullptr));
  CHECK(any_with(plain(s, nullptr), "  7 more stand by: with them it would take 30.0 %"));
  s.listen->backend_why = std::string(300, 'x') + "\x1b[31m";
  s.listen->detours = {std::string(300, 'y') + "\n"};
  check_form(plain(s, nullptr));
}

TEST_CASE("status text: no listeners, and a million") {
  Snapshot s = relay();
  s.listen->listeners = s.listen->leases = 0;
  s.listen->by_loss = {{0, 0}, {1, 0}};
  s.groups[0].listeners = 0;
  auto lines = plain(s);
  check_form(lines);
  CHECK(line_with(lines, "0 of 100").starts_with("                   0 "));
  CHECK(line_with(lines, "0 of 100").find("-             -        -        -") != std::string::npos);
  s.listen->listeners = s.listen->leases = 1'000'000;
  s.listen->max_leases = 2'000'000;
  s.listen->by_loss = {{0, 400'000}, {0.01, 500'000}, {0.05, 89'999}, {1, 10'001}};
  s.groups[0].listeners = 4'000'000'000;
  lines = plain(s);
  check_form(lines);
  CHECK(line_with(lines, "1000000 of 2000000") ==
        "             1000000            -         <=1 %    <=1 %  <=100 %        1000000 of 2000000");
  CHECK(any_with(lines, " 4000000000 "));
}

TEST_CASE("status text: a relay tells audio from frames without any") {
  const Snapshot before = relay();
  Snapshot now = later(before);
  now.groups[0].frames += 50;
  CHECK(line_with(plain(now, &before), "main ").ends_with("  frames, no audio"));
  now.groups[0].audio_bytes += 1;
  CHECK(line_with(plain(now, &before), "main ").ends_with("  audio"));
  now.groups[0].ended = true;
  CHECK(line_with(plain(now, &before), "main ").ends_with("  ended"));
}

}  // namespace tiercast::status_text_test
