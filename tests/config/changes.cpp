// changes(): for each kind of difference whether a running node takes it over, and how that is said.
#include "config/changes.hpp"

#include <doctest/doctest.h>

#include <functional>

namespace tiercast::changes_test {

using namespace tiercast::config;

namespace {

using Lines = std::vector<std::string>;

crypto::PublicKey key(std::uint8_t n) {
  crypto::PublicKey out{};
  out[0] = n;
  return out;
}

Group group(std::uint32_t id, const std::string& name) {
  Group out;
  out.id = GroupId{id};
  out.name = name;
  out.sources = {{SourceId{1}, key(9)}};
  return out;
}

SourceInput rtp(const char* at) {
  SourceInput out;
  out.id = SourceId{1};
  out.signing_key = {"/s.key", false};
  out.rtp = *parse_endpoint(at);
  return out;
}

Config relay() {
  Config out;
  out.node = {"edge", {"/k", false}, "/state", 2};
  out.listen = Listen{{*parse_endpoint("0.0.0.0:4800")}, 1, Backend::automatic, 100, 0, std::nullopt};
  out.upstreams = {{{"one", 4800}, key(1)}, {{"two", 4800}, key(2)}};
  out.downstreams = {{"below", key(3)}};
  out.groups = {group(1, "main")};
  out.admin.socket = "/a.sock";
  return out;
}

Config origin() {
  Config out = relay();
  out.upstreams.clear();
  out.groups[0].source = rtp("127.0.0.1:5004");
  return out;
}

Changes after(const Config& running, const std::function<void(Config&)>& edit) {
  Config wanted = running;
  edit(wanted);
  return changes(running, wanted);
}

}  // namespace

TEST_CASE("nothing differs between a file and itself") {
  for (const Config& config : {relay(), origin()}) {
    const Changes same = changes(config, config);
    CHECK(same.applied.empty());
    CHECK(same.restart.empty());
    CHECK_FALSE((same.downstreams || same.upstreams || same.log_level || same.edges));
    CHECK(same.groups_added.size() + same.groups_removed.size() + same.groups_changed.size() == 0);
  }
}

TEST_CASE("downstreams come and go, known by their key; another name is nothing to tell") {
  auto c = after(relay(), [](Config& to) { to.downstreams.push_back({"new", key(4)}); });
  CHECK(c.applied == Lines{"downstream \"new\" added"});
  CHECK(c.downstreams);
  CHECK(c.result.downstreams.size() == 2);
  c = after(relay(), [](Config& to) { to.downstreams.clear(); });
  CHECK(c.applied == Lines{"downstream \"below\" removed"});
  CHECK(c.downstreams);
  CHECK(c.result.downstreams.empty());
  c = after(relay(), [](Config& to) { to.downstreams[0].public_key = key(5); });
  CHECK(c.applied == Lines{"downstream \"below\" removed", "downstream \"below\" added"});
  c = after(relay(), [](Config& to) { to.downstreams[0].name = "other"; });
  CHECK_FALSE(c.downstreams);
  CHECK(c.result.downstreams[0].name == "other");
}

TEST_CASE("upstreams come and go, known by address and key; their order counts where some stand by") {
  auto c = after(relay(), [](Config& to) { to.upstreams.push_back({{"2001:db8::1", 4801}, key(4)}); });
  CHECK(c.applied == Lines{"upstream [2001:db8::1]:4801 added"});
  CHECK(c.upstreams);
  CHECK(c.result.upstreams.size() == 2 + 1);
  c = after(relay(), [](Config& to) { to.upstreams.erase(to.upstreams.begin()); });
  CHECK(c.applied == Lines{"upstream one:4800 removed"});
  CHECK(c.upstreams);
  REQUIRE(c.result.upstreams.size() == 1);
  CHECK(c.result.upstreams[0].address.host == "two");
  c = after(relay(), [](Config& to) { to.upstreams[0].public_key = key(7); });
  CHECK(c.applied == Lines{"upstream one:4800 removed", "upstream one:4800 added"});
  c = after(relay(), [](Config& to) { to.node.parents = 1; });
  CHECK(c.applied == Lines{"node.parents = 1"});
  CHECK(c.upstreams);
  CHECK(c.result.node.parents == 1);
  Config one_used = relay();
  one_used.node.parents = 1;
  c = after(one_used, [](Config& to) { std::swap(to.upstreams[0], to.upstreams[1]); });
  CHECK(c.applied == Lines{"the order of [[upstream]]"});
  CHECK(c.upstreams);
  c = after(relay(), [](Config& to) { std::swap(to.upstreams[0], to.upstreams[1]); });
  CHECK_FALSE(c.upstreams);  // both are live, in whatever order
}

TEST_CASE("the log level is taken over") {
  const auto c = after(relay(), [](Config& to) { to.log_level = LogLevel::debug; });
  CHECK(c.applied == Lines{"log level debug"});
  CHECK(c.log_level);
  CHECK(c.restart.empty());
  CHECK(c.result.log_level == LogLevel::debug);
}

TEST_CASE("edges are taken over, but for a list that is older than what runs") {
  const Edges ours{"/e", key(8), {}, {100, {Edge{{"a", 1}, key(1)}}}};
  Config running = relay();
  auto c = after(running, [&](Config& to) { to.edges = ours; });
  CHECK(c.applied == Lines{"edges: 1 in /e, serial 100"});
  CHECK(c.edges);
  CHECK(c.result.edges == ours);
  running.edges = ours;
  c = after(running, [](Config& to) { to.edges->list = {101, {std::nullopt, Edge{{"b", 1}, key(2)}}}; });
  CHECK(c.applied == Lines{"edges: 1 in /e, serial 101"});
  CHECK(c.edges);
  c = after(running, [](Config& to) { to.edges->elsewhere = {{"a", 1}}; });
  CHECK(c.edges);
  c = after(running, [](Config& to) { to.edges->list.serial = 99; });
  CHECK(c.restart == Lines{"edges: /e has serial 99, older than 100, which runs"});
  CHECK_FALSE(c.edges);
  CHECK(c.result.edges == ours);
  c = after(running, [](Config& to) {  // another operator's serials say nothing
    to.edges->list.serial = 99;
    to.edges->operator_key = key(7);
  });
  CHECK(c.edges);
  c = after(running, [](Config& to) { to.edges.reset(); });
  CHECK(c.applied == Lines{"no edges any more"});
  CHECK(c.edges);
  CHECK_FALSE(c.result.edges);
}

TEST_CASE("a list of edges that is older than one that ran before is not taken, whatever ran in between") {
  const Edges ours{"/e", key(8), {}, {100, {Edge{{"a", 1}, key(1)}}}};
  Config with = relay(), without = relay(), older = relay();
  with.edges = older.edges = ours;
  older.edges->list.serial = 99;
  EdgeSerials seen;
  seen.note(with);
  seen.note(without);
  CHECK(seen.highest(key(8)) == 100);
  CHECK(seen.highest(key(7)) == 0);
  auto c = changes(without, older, seen);
  CHECK(c.restart == Lines{"edges: /e has serial 99, older than 100, which ran before"});
  CHECK_FALSE(c.edges);
  CHECK_FALSE(c.result.edges);
  CHECK(changes(without, with, seen).edges);
  Config others = with;  // nor where another operator's did
  others.edges->operator_key = key(7);
  others.edges->list.serial = 5;
  CHECK(changes(with, others, seen).edges);
  seen.note(others);
  CHECK_FALSE(changes(others, older, seen).edges);
  CHECK(changes(others, with, seen).edges);
  seen.note(older);
  CHECK(seen.highest(key(8)) == 100);
}

TEST_CASE("groups come and go by their id") {
  auto c = after(relay(), [](Config& to) { to.groups.push_back(group(2, "second")); });
  CHECK(c.applied == Lines{"group \"second\" added"});
  CHECK(c.groups_added == std::vector{GroupId{2}});
  CHECK(c.result.groups.size() == 2);
  c = after(relay(), [](Config& to) { to.groups = {group(2, "second")}; });
  CHECK(c.applied == Lines{"group \"main\" removed", "group \"second\" added"});
  CHECK(c.groups_removed == std::vector{GroupId{1}});
  REQUIRE(c.result.groups.size() == 1);
  CHECK(c.result.groups[0].id == GroupId{2});
  c = after(relay(), [](Config& to) { to.groups[0].id = GroupId{5}; });  // its name is free then
  CHECK(c.applied == Lines{"group \"main\" removed", "group \"main\" added"});
  CHECK(c.restart.empty());
}

TEST_CASE(
    "a group with a source here is added where the node is an origin and it is RTP; to remove it takes a restart") {
  auto c = after(origin(), [](Config& to) {
    to.groups.push_back(group(2, "second"));
    to.groups[1].source = rtp("127.0.0.1:5006");
  });
  CHECK(c.applied == Lines{"group \"second\" added"});
  CHECK(c.restart.empty());
  c = after(origin(), [](Config& to) {
    to.groups.push_back(group(2, "second"));
    to.groups[1].source = rtp("127.0.0.1:5006");
    to.groups[1].source->kind = InputKind::wav;
  });
  CHECK(c.restart == Lines{"group \"second\": added with a source that is not RTP"});
  CHECK(c.result.groups.size() == 1);
  c = after(relay(), [](Config& to) {
    to.groups.push_back(group(2, "second"));
    to.groups[1].source = rtp("127.0.0.1:5006");
  });
  CHECK(c.restart == Lines{"group \"second\": added with a source, and this node runs without any"});
  c = after(origin(), [](Config& to) { to.groups = {group(2, "second")}; });
  REQUIRE(c.restart.size() == 1);
  CHECK(c.restart[0].starts_with("group \"main\": its source is here"));
  CHECK(c.applied == Lines{"group \"second\" added"});
  CHECK(c.groups_removed.empty());
  CHECK(c.result.groups.size() == 2);
  // What stays keeps its name.
  c = after(origin(), [](Config& to) { to.groups = {group(2, "main")}; });
  CHECK(c.restart.size() == 2);
  CHECK(c.groups_added.empty());
}

TEST_CASE("how long a stop may take is taken over") {
  const auto c = after(relay(), [](Config& to) { to.node.drain = std::chrono::seconds{30}; });
  CHECK(c.applied == Lines{"node.drain = 30s"});
  CHECK(c.restart.empty());
  CHECK(c.result.node.drain == std::chrono::seconds{30});
}

TEST_CASE("what of a group is cheap is taken over, what its frames depend on is not") {
  auto c = after(relay(), [](Config& to) {
    to.groups[0].pinned = true;
    to.groups[0].parity = {10, 2};
    to.groups[0].rotate = std::chrono::seconds{90};
    to.groups[0].record = Record{"/r"};
  });
  CHECK(c.applied == Lines{"group \"main\": pinned = true", "group \"main\": parity = { data = 10, repair = 2 }",
                           "group \"main\": rotate = 90s", "group \"main\": recorded in /r"});
  REQUIRE(c.groups_changed.size() == 1);
  CHECK((c.groups_changed[0].pinned && c.groups_changed[0].parity && c.groups_changed[0].rotate &&
         c.groups_changed[0].record));
  CHECK(c.result.groups[0].pinned);
  CHECK(c.restart.empty());
  Config recorded = relay();
  recorded.groups[0].record = Record{"/r"};
  c = after(recorded, [](Config& to) { to.groups[0].record.reset(); });
  CHECK(c.applied == Lines{"group \"main\": recorded no more"});

  const std::pair<std::function<void(Group&)>, std::string> needs[] = {
      {[](Group& g) { g.name = "x"; }, "group \"main\": name: \"main\" runs, the file says \"x\""},
      {[](Group& g) { g.frame_ms = 40; }, "group \"main\": frame_ms: 20 runs, the file says 40"},
      {[](Group& g) { g.sources[0].key = key(8); }, "group \"main\": sources are others"},
      {[](Group& g) {
         g.sources.push_back({SourceId{2}, key(8)});
       },
       "group \"main\": sources are others"},
      {[](Group& g) { g.source->rtp.port = 6000; }, "group \"main\": source is another"},
      {[](Group& g) { g.source->signing_key.path = "/x"; }, "group \"main\": source is another"},
      {[](Group& g) { g.source->encoding.bitrate = 32000; }, "group \"main\": source is another"},
      {[](Group& g) { g.source.reset(); }, "group \"main\": source is another"},
      {[](Group& g) { g.admission = Admission::ticket; }, "group \"main\": admission is another"},
      {[](Group& g) { g.keys = KeyMode::ticket; }, "group \"main\": keys is another"},
  };
  for (const auto& [edit, line] : needs) {
    CAPTURE(line);
    c = after(origin(), [&](Config& to) {
      edit(to.groups[0]);
      to.groups[0].pinned = true;  // is taken over beside it
    });
    CHECK(c.restart == Lines{line});
    CHECK(c.applied.size() == 1);
    Group expected = origin().groups[0];
    const Group& got = c.result.groups[0];
    CHECK((got.name == expected.name && got.frame_ms == expected.frame_ms && got.sources == expected.sources &&
           got.source == expected.source && got.admission == expected.admission && got.keys == expected.keys));
    // And is said again the next time.
    Config wanted = origin();
    edit(wanted.groups[0]);
    wanted.groups[0].pinned = true;
    CHECK(changes(c.result, wanted).restart == Lines{line});
    CHECK(changes(c.result, wanted).applied.empty());
  }
}

TEST_CASE("what a node stands on needs a restart, and is said with both values") {
  const std::pair<std::function<void(Config&)>, std::string> needs[] = {
      {[](Config& c) { c.node.name = "x"; }, "node.name: edge runs, the file says x"},
      {[](Config& c) { c.node.key.path = "/x"; }, "node.key: /k runs, the file says /x"},
      {[](Config& c) { c.node.state.clear(); }, "node.state: /state runs, the file says none"},
      {[](Config& c) { c.listen->addresses[0].port = 4801; },
       "listen.address: 0.0.0.0:4800 runs, the file says 0.0.0.0:4801"},
      {[](Config& c) { c.listen->workers = 2; }, "listen.workers: 1 runs, the file says 2"},
      {[](Config& c) { c.listen->backend = Backend::sendmmsg; }, "listen.backend: auto runs, the file says sendmmsg"},
      {[](Config& c) { c.listen->spread = 50; }, "listen.spread: 0 runs, the file says 50"},
      {[](Config& c) { c.listen->max_leases = 7; }, "listen.max_leases: 100 runs, the file says 7"},
      {[](Config& c) {
         c.listen->cpus = {2, 3};
       },
       "listen.cpus: none runs, the file says 2, 3"},
      {[](Config& c) { c.listen->busy_poll = 50; }, "listen.busy_poll: 0 runs, the file says 50"},
      {[](Config& c) { c.node.cpu = 0; }, "node.cpu: none runs, the file says 0"},
      {[](Config& c) { c.listen.reset(); }, "[listen]: 0.0.0.0:4800 runs, the file says none"},
      {[](Config& c) { c.admin.socket = "/b.sock"; }, "admin.socket: /a.sock runs, the file says /b.sock"},
  };
  for (const auto& [edit, line] : needs) {
    CAPTURE(line);
    const auto c = after(relay(), edit);
    CHECK(c.restart == Lines{line});
    CHECK(c.applied.empty());
    CHECK(changes(c.result, relay()).restart.empty());  // what runs is what ran
  }
}

}  // namespace tiercast::changes_test
