#include "relay/cli/command_line.hpp"

#include <doctest/doctest.h>

#include "relay/base/exit_code.hpp"

namespace tiercast::command_line_test {

using namespace tiercast::cli;

namespace {

const std::string kKey = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
const std::string kOtherKey = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

tl::expected<Options, Stop> parse(const std::vector<std::string>& words) {
  std::vector<const char*> pointers;
  for (const std::string& word : words) pointers.push_back(word.c_str());
  return parse_command_line(pointers);
}

template <class T>
T parsed(const std::vector<std::string>& words) {
  auto options = parse(words);
  if (!options) FAIL(options.error().text);
  REQUIRE(std::holds_alternative<T>(*options));
  return std::get<T>(*options);
}

/// The first line of what a wrong command line is answered with.
std::string refusal(const std::vector<std::string>& words) {
  const auto options = parse(words);
  REQUIRE_FALSE(options);
  CHECK(options.error().exit_code == ExitCode::usage);
  CHECK(options.error().text.ends_with(" --help\n"));
  return options.error().text.substr(0, options.error().text.find('\n'));
}

std::vector<std::string> listen(std::vector<std::string> more, const std::vector<std::string>& without = {}) {
  std::vector<std::string> words{"listen", "edge:4800"};
  for (const auto& pair :
       std::vector<std::vector<std::string>>{{"--key", kKey}, {"--group", "1"}, {"--source-key", "1:" + kKey}}) {
    if (std::find(without.begin(), without.end(), pair[0]) == without.end()) {
      words.insert(words.end(), pair.begin(), pair.end());
    }
  }
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

const std::vector<std::vector<std::string>> kCommands{{},
                                                      {"run"},
                                                      {"check"},
                                                      {"keygen"},
                                                      {"pubkey"},
                                                      {"edges"},
                                                      {"edges", "sign"},
                                                      {"edges", "check"},
                                                      {"listen"},
                                                      {"status"},
                                                      {"end"},
                                                      {"rotate"},
                                                      {"reload"},
                                                      {"bench"},
                                                      {"bench", "fanout"},
                                                      {"bench", "seal"},
                                                      {"bench", "join"},
                                                      {"bench", "refuse"},
                                                      {"load"}};

}  // namespace

TEST_CASE("every command answers --help, on stdout and with success") {
  for (auto words : kCommands) {
    const std::string name = words.empty() ? "" : words.back();
    for (const char* flag : {"--help", "-h"}) {
      words.push_back(flag);
      const auto options = parse(words);
      words.pop_back();
      REQUIRE_FALSE(options);
      CHECK(options.error().exit_code == ExitCode::ok);
      CHECK(options.error().text.find("Usage: tiercast") != std::string::npos);
      CHECK(options.error().text.find(name) != std::string::npos);
    }
  }
}

TEST_CASE("--version") {
  const auto options = parse({"--version"});
  REQUIRE_FALSE(options);
  CHECK(options.error().exit_code == ExitCode::ok);
  CHECK(options.error().text == "tiercast " TIERCAST_VERSION "\n");
}

TEST_CASE("run and check take a configuration") {
  CHECK(parsed<RunOptions>({"run", "-c", "a.toml"}).config == "a.toml");
  CHECK(parsed<RunOptions>({"run", "--config=a.toml"}).config == "a.toml");
  CHECK(parsed<CheckOptions>({"check", "--config", "b.toml"}).config == "b.toml");
  CHECK(refusal({"run"}) == "tiercast run: --config is required");
  CHECK(refusal({"check", "a.toml"}) == "tiercast check: --config is required");
}

TEST_CASE("keygen and pubkey make either kind of key") {
  CHECK(parsed<KeygenOptions>({"keygen"}).kind == KeyKind::node);
  CHECK(parsed<KeygenOptions>({"keygen"}).output.empty());
  CHECK(parsed<KeygenOptions>({"keygen", "--source", "-o", "k"}).kind == KeyKind::source);
  CHECK(parsed<KeygenOptions>({"keygen", "--source", "-o", "k"}).output == "k");
  CHECK(parsed<PubkeyOptions>({"pubkey"}).file.empty());
  CHECK(parsed<PubkeyOptions>({"pubkey", "k", "--source"}).file == "k");
  CHECK(parsed<PubkeyOptions>({"pubkey", "k", "--source"}).kind == KeyKind::source);
  CHECK(refusal({"pubkey", "a", "b"}) == "tiercast pubkey: The following argument was not expected: b");
}

TEST_CASE("listen takes its least and leaves the rest at defaults") {
  const auto options = parsed<ListenOptions>(listen({}));
  REQUIRE(options.parents.size() == 1);
  CHECK(options.parents[0].address.host == "edge");
  CHECK(options.parents[0].address.port == 4800);
  CHECK(options.parents[0].public_key == *crypto::public_key_from_base64(kKey));
  CHECK_FALSE(options.parents[0].multicast);
  CHECK(options.group == GroupId{1});
  REQUIRE(options.source_keys.size() == 1);
  CHECK(options.source_keys[0].id == SourceId{1});
  CHECK_FALSE(options.strict);
  CHECK_FALSE(options.quiet);
  CHECK(options.outputs.empty());
  CHECK(options.pcm.empty());
  CHECK(options.channels == 2);
  CHECK_FALSE(options.rtp);
  CHECK_FALSE(options.seconds);
  CHECK_FALSE(options.playout);
  CHECK_FALSE(options.latency);
}

TEST_CASE("listen takes everything at once") {
  const auto options = parsed<ListenOptions>({"listen",
                                              "--source-key",
                                              "1:" + kKey,
                                              "a:1",
                                              "b:2," + kOtherKey,
                                              "c:3," + kOtherKey + ",[ff15::1]:4802@eth1",
                                              "--multicast",
                                              "239.10.0.1:4801@eth0",
                                              "--source-key",
                                              "2:" + kOtherKey,
                                              "--group",
                                              "16777215",
                                              "--key",
                                              kKey,
                                              "--strict",
                                              "-o",
                                              "x.opus",
                                              "-o",
                                              "x.wav",
                                              "--pcm",
                                              "x.pcm",
                                              "--channels",
                                              "1",
                                              "--rtp",
                                              "player:5004",
                                              "--sdp",
                                              "x.sdp",
                                              "--seconds",
                                              "1.5",
                                              "--playout",
                                              "800",
                                              "--latency",
                                              "150",
                                              "--report",
                                              "r.json",
                                              "--frame-log",
                                              "-",
                                              "--quiet"});
  REQUIRE(options.parents.size() == 3);
  CHECK(options.parents[0].public_key == *crypto::public_key_from_base64(kKey));
  CHECK(options.parents[1].public_key == *crypto::public_key_from_base64(kOtherKey));
  const config::MulticastIn common{*parse_endpoint("239.10.0.1:4801"), "eth0"};
  CHECK(options.parents[0].multicast == common);
  CHECK(options.parents[1].multicast == common);
  CHECK(options.parents[2].multicast == config::MulticastIn{*parse_endpoint("[ff15::1]:4802"), "eth1"});
  REQUIRE(options.source_keys.size() == 2);
  CHECK(options.source_keys[1].id == SourceId{2});
  CHECK(options.source_keys[1].key == *crypto::public_key_from_base64(kOtherKey));
  CHECK(options.group == GroupId{16777215});
  CHECK(options.strict);
  CHECK(options.quiet);
  CHECK(options.outputs == std::vector<std::string>{"x.opus", "x.wav"});
  CHECK(options.pcm == "x.pcm");
  CHECK(options.channels == 1);
  REQUIRE(options.rtp);
  CHECK(options.rtp->host == "player");
  CHECK(options.sdp == "x.sdp");
  CHECK(options.seconds == Duration{1500ms});
  CHECK(options.playout == Duration{800ms});
  CHECK(options.latency == Duration{150ms});
  CHECK(options.report == "r.json");
  CHECK(options.frame_log == "-");
}

TEST_CASE("listen takes a list of edges with its operator's key, or neither") {
  const auto options = parsed<ListenOptions>(listen({"--edges", "list", "--operator", kOtherKey}));
  CHECK(options.edges == "list");
  CHECK(options.operator_key == *crypto::public_key_from_base64(kOtherKey));
  const std::string both =
      "tiercast listen: --edges FILE and --operator KEY: a list, and whose it is; give both or neither";
  CHECK(refusal(listen({"--edges", "list"})) == both);
  CHECK(refusal(listen({"--operator", kOtherKey})) == both);
  CHECK(refusal(listen({"--edges", "list", "--operator", "x"})) ==
        "tiercast listen: --operator \"x\": not a public key; use the 44 characters that `tiercast pubkey --source` "
        "prints");
}

TEST_CASE("listen says what is missing or wrong") {
  const std::string who = "tiercast listen: ";
  CHECK(refusal({"listen"}) == who + "ADDR is required");
  CHECK(refusal(listen({}, {"--group"})) == who + "--group is required");
  CHECK(refusal(listen({}, {"--source-key"})) == who + "--source-key is required");
  CHECK(refusal(listen({}, {"--key"})) ==
        who + "ADDR \"edge:4800\": whose key? Give the edge's public key with --key KEY, or write HOST:PORT,KEY");
  CHECK(refusal(listen({"nowhere"})) ==
        who + "ADDR \"nowhere\": use HOST:PORT, as in edge-1.example.net:4800 or [2001:db8::1]:4800");
  CHECK(refusal(listen({"--key", "x"}, {"--key"})) ==
        who + "--key \"x\": not a public key; use the 44 characters that `tiercast pubkey` prints");
  CHECK(refusal(listen({"--multicast", "239.10.0.1:4801"})) ==
        who + "--multicast \"239.10.0.1:4801\": use GROUP:PORT@INTERFACE, as in 239.10.0.1:4801@eth0");
  CHECK(refusal(listen({"edge:1," + kKey + ",239.10.0.1@eth0"})) ==
        who +
            "ADDR \"239.10.0.1@eth0\": not an address with a port; use numbers, as in 239.10.0.1:4801 or "
            "[ff15::10:1]:4801");
  CHECK(refusal(listen({"--group", "0"}, {"--group"})) == who + "--group \"0\": use a whole number, 1 to 16777215");
  CHECK(refusal(listen({"--source-key", "1:" + kOtherKey})) ==
        who + "--source-key: id 1 given twice; give each its own");
  CHECK(refusal(listen({"--source-key", "2:" + kKey, "--source-key", "3:" + kKey})) ==
        who + "--source-key: given more than twice; a group has one or two sources");
  CHECK(refusal(listen({"-o", "x.mp3"})) ==
        who + "--output: use a file that ends in .opus or .wav, or - for standard output");
  CHECK(refusal(listen({"-o", "a.wav", "-o", "b.opus", "-o", "a.wav"})) == who + "--output: a.wav given twice");
  CHECK(refusal(listen({"-o", "-", "-o", "-"})) == who + "--output: - given twice");
  CHECK(refusal(listen({"--channels", "1", "-o", "b.opus"})) ==
        who + "--channels: of what is decoded; give --output FILE.wav or --pcm FILE too");
  CHECK(refusal(listen({"--channels", "3", "--pcm", "-"})) == who + "--channels \"3\": use a whole number, 1 to 2");
  CHECK(refusal(listen({"--sdp", "x"})) == who + "--sdp: describes what --rtp HOST:PORT sends; give that too");
  CHECK(refusal(listen({"--seconds", "soon"})) == who + "--seconds \"soon\": use seconds, 0.001 to 604800");
  CHECK(refusal(listen({"--playout", "19"})) == who + "--playout \"19\": use a whole number, 20 to 8000");
  CHECK(refusal(listen({"--latency", "100", "-o", "-"})) ==
        who + "--latency: of what is played live; give --pcm - or --rtp HOST:PORT too");
  CHECK(refusal(listen({"--latency", "9000", "--pcm", "-"})) ==
        who + "--latency \"9000\": use a whole number, 20 to 8000");
  for (const char* other : {"--report", "--pcm", "--frame-log"})
    CHECK(refusal(listen({"-o", "-", other, "-"})) ==
          who + "only one of --output, --pcm, --report, --frame-log and --sdp can be -, standard output");
  CHECK(refusal(listen(std::vector<std::string>(16, "edge:1"))) ==
        who + "ADDR: more than 16 parents; a few are enough");
  CHECK(parsed<ListenOptions>(listen(std::vector<std::string>(15, "edge:1"))).parents.size() == 16);
  CHECK(refusal(listen({"--quite"})) == who + "The following argument was not expected: --quite");
}

TEST_CASE("status, end, rotate and reload go to the default socket or another") {
  CHECK(parsed<StatusOptions>({"status"}).socket == "/run/tiercast/admin.sock");
  CHECK_FALSE(parsed<StatusOptions>({"status"}).json);
  CHECK(parsed<StatusOptions>({"status", "--json", "--socket", "/s"}).json);
  CHECK(parsed<StatusOptions>({"status", "--json", "--socket", "/s"}).socket == "/s");
  CHECK_FALSE(parsed<StatusOptions>({"status"}).watch);
  CHECK(parsed<StatusOptions>({"status", "--watch"}).watch == Duration{1s});
  CHECK(parsed<StatusOptions>({"status", "--watch", "--socket", "/s"}).watch == Duration{1s});
  CHECK(parsed<StatusOptions>({"status", "--watch", "2.5", "--json"}).watch == Duration{2500ms});
  CHECK(refusal({"status", "--watch", "0.05"}) == "tiercast status: --watch 0.05: use 0.1 or more");
  CHECK(refusal({"status", "--watch", "soon"}) == "tiercast status: --watch \"soon\": use seconds, 0.001 to 604800");
  CHECK(parsed<EndOptions>({"end", "main"}).group == "main");
  CHECK(parsed<EndOptions>({"end", "main"}).socket == "/run/tiercast/admin.sock");
  CHECK(parsed<EndOptions>({"end", "--socket", "/s", "7"}).socket == "/s");
  CHECK(parsed<RotateOptions>({"rotate", "7"}).group == "7");
  CHECK(refusal({"end"}) == "tiercast end: GROUP is required");
  CHECK(parsed<ReloadOptions>({"reload"}).socket == "/run/tiercast/admin.sock");
  CHECK(parsed<ReloadOptions>({"reload", "--socket", "/s"}).socket == "/s");
  CHECK(refusal({"reload", "now"}) == "tiercast reload: The following argument was not expected: now");
  CHECK(parsed<DrainOptions>({"drain"}).socket == "/run/tiercast/admin.sock");
  CHECK_FALSE(parsed<DrainOptions>({"drain"}).timeout);
  CHECK(parsed<DrainOptions>({"drain", "--timeout", "0", "--socket", "/s"}).timeout == 0U);
  CHECK(refusal({"drain", "--timeout", "3601"}) == "tiercast drain: --timeout \"3601\": use a whole number, 0 to 3600");
  CHECK(refusal({"rotate"}) == "tiercast rotate: GROUP is required");
  CHECK(refusal({"end", ""}) == "tiercast end: GROUP: empty; give the group's name or id");
  CHECK(refusal({"rotate", "a", "b"}) == "tiercast rotate: The following argument was not expected: b");
}

TEST_CASE("bench fanout takes its measures") {
  const auto defaults = parsed<BenchFanoutOptions>({"bench", "fanout"});
  CHECK(defaults.threads == 1);
  CHECK(parsed<BenchFanoutOptions>({"bench", "fanout", "--threads", "2"}).threads == 2);
  CHECK(defaults.destinations == 10000);
  CHECK(defaults.frames == 100);
  CHECK(defaults.payload == 180);
  CHECK(defaults.backends == std::vector<std::string>{"floor", "sendmmsg"});
  CHECK(defaults.rounds == 5);
  CHECK_FALSE(defaults.to);
  CHECK_FALSE(defaults.json);
  const auto options = parsed<BenchFanoutOptions>({"bench", "fanout", "--destinations", "1000000", "--frames", "7",
                                                   "--payload", "1232", "--backend", "sendto,floor", "--to",
                                                   "10.9.8.7/16", "--interface", "veth0", "--rounds", "3", "--json"});
  CHECK(options.destinations == 1'000'000);
  CHECK(options.frames == 7);
  CHECK(options.payload == 1232);
  CHECK(options.backends == std::vector<std::string>{"sendto", "floor"});
  REQUIRE(options.to);
  CHECK(to_string(options.to->first) == "10.9.0.0:0");
  CHECK(options.to->prefix == 16);
  CHECK(options.interface == "veth0");
  CHECK(options.rounds == 3);
  CHECK(options.json);
  const std::string who = "tiercast bench fanout: ";
  CHECK(refusal({"bench", "fanout", "--payload", "1233"}) == who + "--payload \"1233\": use a whole number, 1 to 1232");
  CHECK(refusal({"bench", "fanout", "--rounds", "0"}) == who + "--rounds \"0\": use a whole number, 1 to 1000");
  CHECK(refusal({"bench", "fanout", "--threads", "256"}) == who + "--threads \"256\": use a whole number, 1 to 255");
  CHECK(refusal({"bench", "fanout", "--threads", "2", "--backend", "floor"}) ==
        who + "--threads: measures sendmmsg; leave --backend out");
  CHECK(refusal({"bench", "fanout", "--backend", "udp"}) ==
        who + "--backend \"udp\": use sendto, floor, sendmmsg or xdp, or several with commas between");
  CHECK(refusal({"bench", "fanout", "--to", "10.0.0.0"}) ==
        who + "--to \"10.0.0.0\": use ADDRESS/PREFIX in numbers, as in 10.1.0.0/16 or fd00::/64");
}

TEST_CASE("load takes its least, and everything") {
  const std::vector<std::string> least{"load", "127.0.0.1:4800", "--key", kKey, "--group", "7"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), least.begin(), least.end());
    return more;
  };
  LoadOptions options = parsed<LoadOptions>(least);
  CHECK(options.edge.host == "127.0.0.1");
  CHECK(options.group == GroupId{7});
  CHECK(options.source_keys.empty());
  CHECK(options.listeners == 100);
  CHECK(options.sample == 100);
  CHECK_FALSE(options.from);
  CHECK(options.count_on.empty());
  options = parsed<LoadOptions>(with({"--source-key", "1:" + kKey, "--source-key", "2:" + kOtherKey, "--listeners",
                                      "5000", "--from", "10.64.7.9/15", "--ramp", "500", "--churn", "20", "--seconds",
                                      "2.5", "--sample", "7", "--count-on", "eth0", "--json"}));
  CHECK(options.source_keys.size() == 2);
  CHECK(options.listeners == 5000);
  REQUIRE(options.from);
  CHECK(to_string(options.from->first) == "10.64.0.0:0");
  CHECK(options.from->prefix == 15);
  CHECK(options.ramp == 500);
  CHECK(options.churn == 20);
  CHECK(options.seconds == 2500ms);
  CHECK(options.sample == 7);
  CHECK(options.count_on == "eth0");
  CHECK(options.json);
  CHECK(parsed<LoadOptions>(with({"--listeners", "3"})).sample == 3);

  const auto refused = [&](std::vector<std::string> more) { return refusal(with(std::move(more))); };
  CHECK(refusal({"load"}) == "tiercast load: ADDR is required");
  CHECK(refused({"--listeners", "0"}).find("1 to 1000000") != std::string::npos);
  CHECK(refused({"--listeners", "1000001"}) != "");
  CHECK(refused({"--ramp", "0"}) != "");
  CHECK(refused({"--sample", "101"}).find("0 to 100") != std::string::npos);
  CHECK(refused({"--churn", "26"}).find("use 25 at most") != std::string::npos);
  CHECK(refused({"--churn", "20", "--ramp", "10"}).find("--ramp") != std::string::npos);
  CHECK(refused({"--seconds", "0"}) != "");
  CHECK(refused({"--from", "10.0.0.1"}) != "");
  CHECK(refused({"--sample", "0", "--count-on", "eth0"}).find("--sample 1") != std::string::npos);
  CHECK(refused({"--source-key", "1:" + kKey, "--source-key", "1:" + kKey}).find("given twice") != std::string::npos);
}

TEST_CASE("bench seal, join and refuse take their measures") {
  const auto seal = parsed<BenchSealOptions>({"bench", "seal"});
  CHECK(seal.payload == 60);
  CHECK(seal.frames == 10000);
  CHECK(seal.rounds == 5);
  CHECK_FALSE(seal.json);
  const auto sealed =
      parsed<BenchSealOptions>({"bench", "seal", "--payload", "0", "--frames", "7", "--rounds", "3", "--json"});
  CHECK(sealed.payload == 0);
  CHECK(sealed.frames == 7);
  CHECK(sealed.rounds == 3);
  CHECK(sealed.json);
  const auto join = parsed<BenchJoinOptions>({"bench", "join", "--joins", "50", "--in-flight", "9", "--json"});
  CHECK(join.joins == 50);
  CHECK(join.in_flight == 9);
  CHECK(join.rounds == 5);
  CHECK(join.json);
  const auto refuse = parsed<BenchRefuseOptions>({"bench", "refuse", "--datagrams", "5000", "--rounds", "9"});
  CHECK(refuse.datagrams == 5000);
  CHECK(refuse.rounds == 9);
  CHECK_FALSE(refuse.json);
  CHECK(refusal({"bench", "seal", "--payload", "1081"}) ==
        "tiercast bench seal: --payload \"1081\": use a whole number, 0 to 1080");
  CHECK(refusal({"bench", "seal", "--frames", "0"}) ==
        "tiercast bench seal: --frames \"0\": use a whole number, 1 to 10000000");
  CHECK(refusal({"bench", "join", "--joins", "60001"}) ==
        "tiercast bench join: --joins \"60001\": use a whole number, 1 to 60000");
  CHECK(refusal({"bench", "join", "--in-flight", "0"}) ==
        "tiercast bench join: --in-flight \"0\": use a whole number, 1 to 1000");
  CHECK(refusal({"bench", "refuse", "--rounds", "x"}) ==
        "tiercast bench refuse: --rounds \"x\": use a whole number, 1 to 1000");
  CHECK(refusal({"bench", "refuse", "--payload"}) ==
        "tiercast bench refuse: The following argument was not expected: --payload");
}

TEST_CASE("edges signs with a key file and checks against a public key") {
  const auto sign = parsed<EdgesSignOptions>({"edges", "sign", "--key", "k", "list"});
  CHECK(sign.key.path == "k");
  CHECK_FALSE(sign.key.credential);
  CHECK(sign.list == "list");
  const auto check = parsed<EdgesCheckOptions>({"edges", "check", "--operator", kKey, "signed"});
  CHECK(check.operator_key == *crypto::public_key_from_base64(kKey));
  CHECK(check.file == "signed");
  CHECK(refusal({"edges", "sign", "list"}) == "tiercast edges sign: --key is required");
  CHECK(refusal({"edges", "sign", "--key", "k"}) == "tiercast edges sign: LIST is required");
  CHECK(refusal({"edges", "check", "--operator", "x", "f"}) ==
        "tiercast edges check: --operator \"x\": not a public key; use the 44 characters that `tiercast pubkey "
        "--source` prints");
  CHECK(refusal({"edges"}) == "tiercast edges: no command; use sign or check");
}

TEST_CASE("no command or a wrong one names those there are") {
  CHECK(
      refusal({}) ==
      "tiercast: no command; use run, check, keygen, pubkey, edges, listen, status, end, rotate, reload, drain, bench "
      "or load");
  CHECK(refusal({"frobnicate"}) ==
        "tiercast: no such command: frobnicate; use run, check, keygen, pubkey, edges, listen, status, end, rotate, "
        "reload, drain, bench or load");
  CHECK(refusal({"lisetn"}) == "tiercast: no such command: lisetn; did you mean listen?");
  CHECK(refusal({"bench"}) == "tiercast bench: no command; use fanout, seal, join or refuse");
  CHECK(refusal({"bench", "fanuot"}) == "tiercast bench: no such command: fanuot; did you mean fanout?");
}

TEST_CASE("a refusal points at the help of the command it is about") {
  const auto options = parse({"bench", "fanout", "--rounds", "0"});
  REQUIRE_FALSE(options);
  CHECK(options.error().text.ends_with("\nSee: tiercast bench fanout --help\n"));
}

}  // namespace tiercast::command_line_test
