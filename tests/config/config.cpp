// parse(): what a whole file comes to, and for each way of being wrong the exact message.
#include "config/config.hpp"

#include "tests/config/whole_file.hpp"

namespace tiercast::config_test {

using namespace tiercast::config;
using namespace tiercast::test;

TEST_CASE("every key of a whole file arrives in its place") {
  const Loaded loaded = parse(kWhole, "f.toml", kMachine);
  must_be(problems_of(kWhole), {});
  REQUIRE(loaded.config);
  const Config& config = *loaded.config;
  CHECK(config.node.name == "edge-1");
  CHECK(config.node.key.path == "/k");
  CHECK_FALSE(config.node.key.credential);
  CHECK(config.node.state == "/s");
  CHECK(config.node.parents == 3);
  REQUIRE(config.listen);
  CHECK(config.listen->addresses == std::vector{*parse_endpoint("0.0.0.0:4800")});
  CHECK(config.listen->workers == 2);
  CHECK(config.listen->backend == Backend::sendmmsg);
  CHECK(config.listen->max_leases == 100);
  REQUIRE(config.upstreams.size() == 1);
  CHECK(config.upstreams[0].address.host == "relay-1.example.net");
  CHECK(config.upstreams[0].address.port == 4800);
  CHECK(config.upstreams[0].public_key == *crypto::public_key_from_base64(kUpstreamKey));
  REQUIRE(config.downstreams.size() == 1);
  CHECK(config.downstreams[0].name == "edge-2");
  CHECK(config.downstreams[0].public_key == *crypto::public_key_from_base64(kDownstreamKey));
  REQUIRE(config.groups.size() == 1);
  const Group& group = config.groups[0];
  CHECK(group.name == "main");
  CHECK(group.id == GroupId{7});
  REQUIRE(group.sources.size() == 1);
  CHECK(group.sources[0].id == SourceId{1});
  CHECK(group.sources[0].key == *crypto::public_key_from_base64(kSourceKey));
  CHECK(group.admission == Admission::open);
  CHECK(group.keys == KeyMode::relay);
  CHECK(group.frame_ms == 60);
  CHECK(group.pinned);
  CHECK(group.rotate == 30min);
  REQUIRE(group.source);
  CHECK(group.source->id == SourceId{1});
  CHECK(group.source->rtp == *parse_endpoint("127.0.0.1:5004"));
  CHECK(group.source->signing_key.path == "/s.key");
  REQUIRE(group.record);
  CHECK(group.record->directory == "/r");
  CHECK(group.record->silence == 10min);
  CHECK(group.record->finished.empty());
  CHECK(config.admin.socket == "/a.sock");
  CHECK(config.log_level == LogLevel::warning);
  CHECK(config.is_origin());
}

TEST_CASE("a recording's end by silence, and the command that it is finished with") {
  const auto record = [](const std::string& text) {
    const std::string key = "\"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\"";
    const Loaded loaded =
        parse("node = { name = \"a\", key = \"k\" }\nupstream = [{ address = \"u:1\", public_key = " + key +
                  " }]\n[[group]]\nname = \"g\"\nid = 1\nsources = [{ id = 1, key = " + key +
                  " }]\nrecord = { directory = \"/r\", " + text + " }\n",
              "f.toml", kMachine);
    REQUIRE(loaded.config);
    return *loaded.config->groups[0].record;
  };
  CHECK(record("silence = \"90s\"").silence == 90s);
  CHECK(record("silence = \"off\"").silence == 0s);
  CHECK(record("finished = \"/bin/post\"").finished == std::vector<std::string>{"/bin/post"});
  CHECK(record("finished = [\"/bin/post\", \"-x\", \"y z\"]").finished ==
        std::vector<std::string>{"/bin/post", "-x", "y z"});
}

TEST_CASE("what a file leaves out has its default") {
  const Loaded loaded = parse(R"(
node = { name = "a", key = "k" }
listen = { address = "[::]:1" }
upstream = [{ address = "192.0.2.1:65535", public_key = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=" }]
group = [{ name = "g", id = 16777215, sources = [{ id = 255, key = "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=" }] }]
)",
                              "f.toml", kMachine);
  REQUIRE(loaded.config);
  const Config& config = *loaded.config;
  CHECK(config.node.state.empty());
  CHECK(config.node.parents == 2);
  CHECK(config.node.drain == 10s);
  CHECK(config.listen->workers == 1);
  CHECK(config.listen->backend == Backend::automatic);
  CHECK(config.listen->max_leases == 50000);
  CHECK(config.groups[0].frame_ms == 20);
  CHECK_FALSE(config.groups[0].pinned);
  CHECK_FALSE(config.groups[0].parity.on());
  CHECK(config.groups[0].rotate == 1h);
  CHECK_FALSE(config.groups[0].source);
  CHECK_FALSE(config.groups[0].record);
  CHECK(config.admin.socket.empty());
  CHECK(config.log_level == LogLevel::info);
  CHECK_FALSE(config.is_origin());
}

TEST_CASE("a node may listen on several addresses that do not take each other's datagrams") {
  const auto addresses = [](const std::string& list) {
    const Loaded loaded = parse("node = { name = \"a\", key = \"k\" }\nlisten = { address = " + list + R"( }
upstream = [{ address = "192.0.2.1:65535", public_key = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=" }]
group = [{ name = "g", id = 16777215, sources = [{ id = 255, key = "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=" }] }]
)",
                                "f.toml", kMachine);
    for (const Problem& problem : loaded.problems) FAIL_CHECK(problem.text);
    REQUIRE(loaded.config);
    std::string out;
    for (const Endpoint& address : loaded.config->listen->addresses) out += to_string(address) + " ";
    return out;
  };
  CHECK(addresses(R"(["192.0.2.7:4800", "[2001:db8::7]:4800"])") == "192.0.2.7:4800 [2001:db8::7]:4800 ");
  CHECK(addresses(R"(["[::]:4800", "[::]:443", "0.0.0.0:444"])") == "[::]:4800 [::]:443 0.0.0.0:444 ");
  CHECK(addresses(R"(["0.0.0.0:4800", "[2001:db8::7]:4800"])") == "0.0.0.0:4800 [2001:db8::7]:4800 ");
  CHECK(addresses(R"(["[fe80::1%2]:4800", "[fe80::1%3]:4800"])") == "[fe80::1%2]:4800 [fe80::1%3]:4800 ");
  CHECK(addresses(R"(["[::1]:1","[::1]:2","[::1]:3","[::1]:4","[::1]:5","[::1]:6","[::1]:7","[::1]:8"])") ==
        "[::1]:1 [::1]:2 [::1]:3 [::1]:4 [::1]:5 [::1]:6 [::1]:7 [::1]:8 ");
}

TEST_CASE("an [admin] without a socket has the default one") {
  const Loaded loaded = parse(replaced(kWhole, "socket = \"/a.sock\"", ""), "f.toml", kMachine);
  REQUIRE(loaded.config);
  CHECK(loaded.config->admin.socket == kDefaultAdminSocket);
}

TEST_CASE("rotation takes hours, minutes and seconds between its bounds, and off") {
  const auto rotation = [](const std::string& value) {
    const Loaded loaded = parse(replaced(kWhole, "\"30m\"", value), "f.toml", kMachine);
    REQUIRE(loaded.config);
    return loaded.config->groups[0].rotate;
  };
  CHECK(rotation("\"1h\"") == 1h);
  CHECK(rotation("\"24h\"") == 24h);
  CHECK(rotation("\"90s\"") == 90s);
  CHECK(rotation("\"30s\"") == 30s);
  CHECK(rotation("\"off\"") == 0s);
  CHECK(rotation("0") == 0s);
}

TEST_CASE("those below get from a second to an hour to go elsewhere, or none") {
  const auto with = [](const std::string& value) { return replaced(kWhole, "parents = 3", "drain = " + value); };
  const auto drain = [&](const std::string& value) {
    const Loaded loaded = parse(with(value), "f.toml", kMachine);
    REQUIRE(loaded.config);
    return loaded.config->node.drain;
  };
  CHECK(drain("\"1s\"") == 1s);
  CHECK(drain("\"1h\"") == 1h);
  CHECK(drain("\"off\"") == 0s);
  CHECK(drain("0") == 0s);
  must_be(problems_of(with("\"61m\"")), {"f.toml:5:9: node.drain = \"61m\": use \"1s\" to \"1h\", or \"off\""});
  must_be(problems_of(with("10")), {"f.toml:5:9: node.drain = 10: use a time such as \"10s\" or \"1m\", or \"off\""});
}

TEST_CASE("a credential is looked for where systemd puts it") {
  const std::string text = replaced(kWhole, "\"/k\"", "\"credential:node\"");
  const Loaded loaded = parse(text, "f.toml", Machine{4, "/run/credentials/tiercast@a.service"});
  REQUIRE(loaded.config);
  CHECK(loaded.config->node.key.path == "/run/credentials/tiercast@a.service/node");
  CHECK(loaded.config->node.key.credential);
  must_be(problems_of(text), {"f.toml:3:7: node.key = \"credential:node\": $CREDENTIALS_DIRECTORY is not set: only a "
                              "systemd unit with LoadCredential=node:FILE has it; start that, or name a file"});
  const Loaded looked_at = parse(text, "f.toml", Machine{4, "", true});
  REQUIRE(looked_at.config);
  CHECK(looked_at.config->node.key.path == "credential:node");
  CHECK(looked_at.config->node.key.credential);
  for (const char* bad : {"credential:", "credential:..", "credential:.", "credential:a/b", "credential:../x"}) {
    must_be(problems_of(replaced(kWhole, "/k", bad), Machine{4, "/c"}),
            {"f.toml:3:7: node.key = \"" + std::string{bad} +
             "\": use credential:NAME, NAME as in the unit's LoadCredential=NAME:FILE"});
  }
}

TEST_CASE("a private key in the file itself is refused without being repeated") {
  must_be(problems_of(replaced(kWhole, "/k", kUpstreamKey)),
          {"f.toml:3:7: node.key: a key itself, and this file is no secret; make a new one with `tiercast keygen -o "
           "FILE` and write the file's name here"});
}

TEST_CASE("the number of workers is bounded by this machine's CPUs") {
  const std::string text = replaced(kWhole, "workers = 2", "workers = 99");
  must_be(problems_of(text, Machine{2, ""}), {"f.toml:8:11: listen.workers = 99: this machine has 2 CPUs; use 1 to 2"});
  must_be(problems_of(text, Machine{1, ""}), {"f.toml:8:11: listen.workers = 99: this machine has 1 CPU; use 1"});
  must_be(problems_of(text, Machine{99, ""}), {});
  must_be(problems_of(replaced(kWhole, "workers = 2", "workers = 256"), Machine{512, ""}),
          {"f.toml:8:11: listen.workers = 256: this machine has 512 CPUs; use 1 to 255"});
}

TEST_CASE("threads may have CPUs of their own, and workers wait for their network devices") {
  const std::string text = replaced(replaced(kWhole, "workers = 2", "workers = 2\ncpus = [3, 1]\nbusy_poll = 50"),
                                    "parents = 3", "parents = 3\ncpu = 2");
  const Loaded loaded = parse(text, "f.toml", kMachine);
  REQUIRE(loaded.config);
  CHECK(loaded.config->node.cpu == 2U);
  CHECK(loaded.config->listen->cpus == std::vector<unsigned>{3, 1});
  CHECK(loaded.config->listen->busy_poll == 50);
  const Loaded plain = parse(kWhole, "f.toml", kMachine);
  REQUIRE(plain.config);
  CHECK_FALSE(plain.config->node.cpu);
  CHECK(plain.config->listen->cpus.empty());
  CHECK(plain.config->listen->busy_poll == 0);
}

TEST_CASE("what is asked of CPUs fits the machine, or the message says what would") {
  const auto with_cpus = [](const std::string& cpus) {
    return replaced(kWhole, "workers = 2", "workers = 2\ncpus = " + cpus);
  };
  Machine part{5, ""};
  part.usable = {0, 2, 3, 4, 8};  // what a service manager or a container left
  must_be(problems_of(with_cpus("[2, 8]"), part), {});
  must_be(problems_of(with_cpus("[2, 1]"), part),
          {"f.toml:9:12: listen.cpus = 1: there is no CPU 1 for this process; use 0, 2 to 4, 8"});
  must_be(problems_of(with_cpus("[4, -1]")),
          {"f.toml:9:9: listen.cpus = 4: there is no CPU 4 for this process; use 0 to 3",
           "f.toml:9:12: listen.cpus = -1: there is no CPU -1 for this process; use 0 to 3"});
  must_be(problems_of(with_cpus("[4294967296, 1]")),
          {"f.toml:9:9: listen.cpus = 4294967296: there is no CPU 4294967296 for this process; use 0 to 3"});
  must_be(problems_of(with_cpus("[1, 1]")),
          {"f.toml:9:12: listen.cpus = 1: given twice; each worker needs a CPU of its own"});
  must_be(problems_of(with_cpus("[1]")),
          {"f.toml:9:8: listen.cpus: 1 CPU for workers = 2; name one for each, or leave it out"});
  must_be(problems_of(with_cpus("[1, 2, 3]")),
          {"f.toml:9:8: listen.cpus: 3 CPUs for workers = 2; name one for each, or leave it out"});
  must_be(problems_of(with_cpus("[]")),
          {"f.toml:9:8: listen.cpus: an empty list; use a list of integers, as in cpus = [2, 3]"});
  must_be(problems_of(with_cpus("2")),
          {"f.toml:9:8: listen.cpus = 2: an integer; use a list of integers, as in cpus = [2, 3]"});
  must_be(problems_of(with_cpus("[1, \"2\"]")),
          {"f.toml:9:12: listen.cpus = \"2\": text; use a list of integers, as in cpus = [2, 3]"});
  must_be(problems_of(replaced(kWhole, "parents = 3", "parents = 3\ncpu = 4")),
          {"f.toml:6:7: node.cpu = 4: there is no CPU 4 for this process; use 0 to 3"});
  must_be(problems_of(replaced(kWhole, "parents = 3", "parents = 3\ncpu = -1")),
          {"f.toml:6:7: node.cpu = -1: use 0 to 1023"});
  must_be(problems_of(replaced(kWhole, "workers = 2", "workers = 2\nbusy_poll = 1001")),
          {"f.toml:9:13: listen.busy_poll = 1001: in microseconds; use 0 to 1000"});
}

TEST_CASE("[node]: each wrong value has its message") {
  check_cases({
      {"name = \"edge-1\"", "", "f.toml:1:1: node.name is missing; add name = \"edge-fra-1\""},
      {"\"edge-1\"", "7", "f.toml:2:8: node.name = 7: an integer; use text in quotes, as in name = \"edge-fra-1\""},
      {"\"edge-1\"", "\"\"", "f.toml:2:8: node.name = \"\": empty; write it as in name = \"edge-fra-1\""},
      {"\"edge-1\"", "\"a b\"",
       "f.toml:2:8: node.name = \"a b\": use up to 64 letters, digits and any of - _ . (not - or . first)"},
      {"\"edge-1\"", "\".a\"",
       "f.toml:2:8: node.name = \".a\": use up to 64 letters, digits and any of - _ . (not - or . first)"},
      {"key = \"/k\"", "", "f.toml:1:1: node.key is missing; add key = \"/etc/tiercast/node.key\""},
      {"\"/k\"", "true",
       "f.toml:3:7: node.key = true: true or false; use text in quotes, as in key = \"/etc/tiercast/node.key\""},
      {"\"/k\"", "\"/k\\u0000\"", "f.toml:3:7: node.key = \"/k\\u0000\": has a zero byte in it; leave that out"},
      {"parents = 3", "parents = 0", "f.toml:5:11: node.parents = 0: use 1 to 8"},
      {"parents = 3", "parents = 9", "f.toml:5:11: node.parents = 9: use 1 to 8"},
      {"parents = 3", "parents = 1.5",
       "f.toml:5:11: node.parents = 1.5: a number with a fraction; use an integer, 1 to 8"},
      {"parents = 3", "parents = 99999999999999999999", "f.toml:5:11: node.parents = 99999999999999999999: use 1 to 8"},
      {"parents = 3", "parents = [1]", "f.toml:5:11: node.parents: a list; use an integer, 1 to 8"},
      {"parents = 3", "parents = 1979-05-27",
       "f.toml:5:11: node.parents = 1979-05-27: a date or time; use an integer, 1 to 8"},
  });
}

TEST_CASE("[listen]: each wrong value has its message") {
  check_cases({
      {"address = \"0.0.0.0:4800\"", "", "f.toml:6:1: listen.address is missing; add address = \"0.0.0.0:4800\""},
      {"0.0.0.0:4800", "edge.example.net:4800",
       "f.toml:7:11: listen.address = \"edge.example.net:4800\": not an address with a port; use numbers, as in "
       "\"0.0.0.0:4800\" or \"[::1]:4800\""},
      {"0.0.0.0:4800", "0.0.0.0",
       "f.toml:7:11: listen.address = \"0.0.0.0\": not an address with a port; use numbers, as in \"0.0.0.0:4800\" or "
       "\"[::1]:4800\""},
      {"0.0.0.0:4800", "0.0.0.0:65536",
       "f.toml:7:11: listen.address = \"0.0.0.0:65536\": not an address with a port; use numbers, as in "
       "\"0.0.0.0:4800\" or \"[::1]:4800\""},
      {"0.0.0.0:4800", "0.0.0.0:0", "f.toml:7:11: listen.address = \"0.0.0.0:0\": port 0; use 1 to 65535"},
      {"\"0.0.0.0:4800\"", "[]",
       "f.toml:7:11: listen.address: an empty list; write it as in address = [\"0.0.0.0:4800\"]"},
      {"\"0.0.0.0:4800\"", "4800",
       "f.toml:7:11: listen.address = 4800: an integer; use text in quotes, as in address = \"0.0.0.0:4800\""},
      {"\"0.0.0.0:4800\"", "[\"[::]:1\", 2]",
       "f.toml:7:22: listen.address = 2: an integer; use text in quotes, as in address = [\"0.0.0.0:4800\"]"},
      {"\"0.0.0.0:4800\"", "[\"[::]:1\", \"x\"]",
       "f.toml:7:22: listen.address = \"x\": not an address with a port; use numbers, as in \"0.0.0.0:4800\" or "
       "\"[::1]:4800\""},
      {"\"0.0.0.0:4800\"", "[\"[::1]:1\", \"[::1]:2\", \"[::1]:01\"]",
       "f.toml:7:34: listen.address = \"[::1]:01\": given twice; name each address once"},
      {"\"0.0.0.0:4800\"", "[\"[::]:1\", \"0.0.0.0:1\"]",
       "f.toml:7:22: listen.address = \"0.0.0.0:1\": [::]:1 takes what comes to 0.0.0.0:1 too; leave one of them out, "
       "or "
       "name IPv6 addresses instead of [::]"},
      {"\"0.0.0.0:4800\"", "[\"192.0.2.1:1\", \"[::]:1\"]",
       "f.toml:7:27: listen.address = \"[::]:1\": [::]:1 takes what comes to 192.0.2.1:1 too; leave one of them out, "
       "or "
       "name IPv6 addresses instead of [::]"},
      {"\"0.0.0.0:4800\"", "[\"0.0.0.0:1\", \"192.0.2.1:1\"]",
       "f.toml:7:25: listen.address = \"192.0.2.1:1\": 0.0.0.0:1 takes what comes to 192.0.2.1:1 too; leave one of "
       "them "
       "out"},
      {"\"0.0.0.0:4800\"", "[\"[2001:db8::1]:1\", \"[::]:1\"]",
       "f.toml:7:31: listen.address = \"[::]:1\": [::]:1 takes what comes to [2001:db8::1]:1 too; leave one of them "
       "out"},
      {"\"0.0.0.0:4800\"",
       "[\"[::1]:1\",\"[::1]:2\",\"[::1]:3\",\"[::1]:4\",\"[::1]:5\",\"[::1]:6\",\"[::1]:7\","
       "\"[::1]:8\",\"[::1]:9\"]",
       "f.toml:7:11: listen.address: 9 in a list; use up to 8"},
      {"workers = 2", "workers = 0", "f.toml:8:11: listen.workers = 0: this machine has 4 CPUs; use 1 to 4"},
      {"workers = 2", "workers = \"2\"", "f.toml:8:11: listen.workers = \"2\": text; use an integer, 1 to 4"},
      {"backend = \"sendmmsg\"", "spread = 91",
       "f.toml:9:10: listen.spread = 91: percent of a frame's length; use 0 to 90"},
      {"backend = \"sendmmsg\"", "spread = -1",
       "f.toml:9:10: listen.spread = -1: percent of a frame's length; use 0 to 90"},
      {"\"sendmmsg\"", "\"sendto\"", "f.toml:9:11: listen.backend = \"sendto\": use \"auto\", \"sendmmsg\" or \"xdp\""},
      {"\"sendmmsg\"", "1", "f.toml:9:11: listen.backend = 1: an integer; use \"auto\", \"sendmmsg\" or \"xdp\""},
      {"max_leases = 100", "max_leases = 0", "f.toml:10:14: listen.max_leases = 0: use 1 to 16777215"},
      {"max_leases = 100", "max_leases = 16777216", "f.toml:10:14: listen.max_leases = 16777216: use 1 to 16777215"},
  });
}

TEST_CASE("[[upstream]] and [[downstream]]: each wrong value has its message") {
  check_cases({
      {"address = \"relay-1.example.net:4800\"", "",
       "f.toml:11:1: upstream.address is missing; add address = \"relay-1.example.net:4800\""},
      {"relay-1.example.net:4800", "relay-1.example.net",
       "f.toml:12:11: upstream.address = \"relay-1.example.net\": not HOST:PORT; write it as in "
       "\"relay-1.example.net:4800\" or \"[2001:db8::1]:4800\""},
      {"relay-1.example.net:4800", "relay 1:4800",
       "f.toml:12:11: upstream.address = \"relay 1:4800\": not HOST:PORT; write it as in "
       "\"relay-1.example.net:4800\" or \"[2001:db8::1]:4800\""},
      {"relay-1.example.net:4800", "a:0", "f.toml:12:11: upstream.address = \"a:0\": port 0; use 1 to 65535"},
      {"public_key = \"AQE", "public_key = \"QE",
       "f.toml:13:14: upstream.public_key = \"QEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\": not a public key; use the "
       "44 characters that `tiercast pubkey` prints"},
      {"public_key = \"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\"", "",
       "f.toml:14:1: downstream.public_key is missing; add public_key = \"…\", the 44 characters that `tiercast "
       "pubkey` "
       "prints"},
      {"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
       "f.toml:16:14: downstream.public_key = \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\": all zeros, a "
       "placeholder; use the 44 characters that `tiercast pubkey` prints"},
      // The last character has bits beyond the 32 bytes: strict base64 has one form a key.
      {"gICAgI=\"", "gICAgJ=\"",
       "f.toml:16:14: downstream.public_key = \"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgJ=\": not a public key; use "
       "the 44 characters that `tiercast pubkey` prints"},
      {"[[downstream]]", "[downstream]", "f.toml:14:1: downstream: a table; use [[downstream]], one a relay"},
      {"name = \"edge-2\"", "name = \"edge-2\"\naddress = \"a:1\"",
       "f.toml:16:1: downstream.address: unknown key; known here: name or public_key"},
  });
}

TEST_CASE("[[group]]: each wrong value has its message") {
  check_cases({
      {"name = \"main\"", "", "f.toml:17:1: group.name is missing; add name = \"main\""},
      {"\"main\"", "\"12\"", "f.toml:18:8: group.name = \"12\": digits alone look like an id; begin it with a letter"},
      {"id = 7", "", "f.toml:17:1: group.id is missing; add id = 1"},
      {"id = 7", "id = 0", "f.toml:19:6: group.id = 0: use 1 to 16777215"},
      {"id = 7", "id = 16777216", "f.toml:19:6: group.id = 16777216: use 1 to 16777215"},
      {"sources = [{ id = 1, key = \"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\" }]", "",
       "f.toml:17:1: group.sources is missing; add sources = [{ id = 1, key = \"…\" }]"},
      {"sources = [{ id = 1, key = \"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\" }]", "sources = []",
       "f.toml:20:11: group.sources: empty; use [{ id = 1, key = \"…\" }]"},
      {"sources = [{ id = 1, key = \"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\" }]", "sources = [1]",
       "f.toml:20:12: group.sources: holds an integer; use [{ id = 1, key = \"…\" }]"},
      {"sources = [{ id = 1,", "sources = [{ id = 256,", "f.toml:20:19: group.sources.id = 256: use 1 to 255"},
      {"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=", "x",
       "f.toml:20:28: group.sources.key = \"x\": not a public key; use the 44 characters that `tiercast pubkey "
       "--source` prints"},
      {"\" }]", "\" },\n{ id = 1, key = \"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\" }]",
       "f.toml:21:8: group.sources.id = 1: used twice in this group; give each source an id of its own"},
      {"\" }]",
       "\" }, { id = 2, key = \"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\" }, "
       "{ id = 3, key = \"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\" }]",
       "f.toml:20:11: group.sources: has 3; use 1 or 2, a primary and a standby"},
      {"\"open\"", "\"ticket\"",
       "f.toml:21:13: group.admission = \"ticket\": not available in this version; use \"open\""},
      {"\"open\"", "\"closed\"", "f.toml:21:13: group.admission = \"closed\": use \"open\""},
      {"\"relay\"", "\"ticket\"", "f.toml:22:8: group.keys = \"ticket\": not available in this version; use \"relay\""},
      {"frame_ms = 60", "frame_ms = 30", "f.toml:23:12: group.frame_ms = 30: use 10, 20, 40 or 60"},
      {"frame_ms = 60", "frame_ms = 5", "f.toml:23:12: group.frame_ms = 5: use 10, 20, 40 or 60"},
      {"frame_ms = 60", "frame_ms = \"20\"",
       "f.toml:23:12: group.frame_ms = \"20\": text; use an integer, 10, 20, 40 or 60"},
      {"pinned = true", "pinned = 1", "f.toml:24:10: group.pinned = 1: an integer; use true or false, without quotes"},
      {"\"30m\"", "\"1d\"",
       "f.toml:25:10: group.rotate = \"1d\": use a time such as \"1h\", \"30m\" or \"90s\", or \"off\""},
      {"\"30m\"", "\"-1h\"",
       "f.toml:25:10: group.rotate = \"-1h\": use a time such as \"1h\", \"30m\" or \"90s\", or \"off\""},
      {"\"30m\"", "3600",
       "f.toml:25:10: group.rotate = 3600: use a time such as \"1h\", \"30m\" or \"90s\", or \"off\""},
      {"\"30m\"", "\"29s\"", "f.toml:25:10: group.rotate = \"29s\": use \"30s\" to \"24h\", or \"off\""},
      {"\"30m\"", "\"0s\"", "f.toml:25:10: group.rotate = \"0s\": use \"30s\" to \"24h\", or \"off\""},
      {"\"30m\"", "\"25h\"", "f.toml:25:10: group.rotate = \"25h\": use \"30s\" to \"24h\", or \"off\""},
      {"\"30m\"", "\"4294967295h\"",
       "f.toml:25:10: group.rotate = \"4294967295h\": use \"30s\" to \"24h\", or \"off\""},
      {"rotate = \"30m\"", "ticket_key = \"x\"",
       "f.toml:25:14: group.ticket_key: not available in this version; leave it out, with admission = \"open\""},
      {"{ directory = \"/r\" }", "\"/r\"",
       "f.toml:27:10: group.record = \"/r\": text; use { directory = \"/var/lib/tiercast\" }"},
      {"{ directory = \"/r\" }", "{}",
       "f.toml:27:10: group.record.directory is missing; add directory = \"/var/lib/tiercast\""},
      {"{ directory = \"/r\" }", "{ directory = \"/r\", silence = \"25h\" }",
       "f.toml:27:40: group.record.silence = \"25h\": use \"1s\" to \"24h\", or \"off\""},
      {"{ directory = \"/r\" }", "{ directory = \"/r\", finished = \"post\" }",
       "f.toml:27:41: group.record.finished = \"post\": no shell runs it: begin with the program's whole path, as in "
       "[\"/usr/local/bin/post\"]"},
  });
}

TEST_CASE("an origin's input: each wrong value has its message") {
  check_cases({
      {"rtp = \"127.0.0.1:5004\", ", "",
       "f.toml:26:10: group.source: no input; add rtp = \"127.0.0.1:5004\", or wav, pcm or ogg = \"FILE\""},
      {"127.0.0.1:5004", "localhost:5004",
       "f.toml:26:18: group.source.rtp = \"localhost:5004\": not an address with a port; use numbers, as in "
       "\"127.0.0.1:5004\" or \"[::1]:4800\""},
      {"127.0.0.1:5004", "127.0.0.1:65535",
       "f.toml:26:18: group.source.rtp = \"127.0.0.1:65535\": port 65535; use 1 to 65534"},
      {"rtp = \"127.0.0.1:5004\"", "rtp = \"127.0.0.1:5004\", wav = \"a.wav\"",
       "f.toml:26:42: group.source.wav = \"a.wav\": there is rtp already; use one input"},
      {"rtp = \"127.0.0.1:5004\"", "ogg = \"-\", pcm = \"-\"",
       "f.toml:26:18: group.source.ogg = \"-\": there is pcm already; use one input"},
      {"rtp = \"127.0.0.1:5004\"", "wav = 7",
       "f.toml:26:18: group.source.wav = 7: an integer; use text in quotes, as in wav = "
       "\"/var/lib/tiercast/talk.wav\""},
      {"rtp = \"127.0.0.1:5004\"", "wav = \"a\", rate = 8000",
       "f.toml:26:30: group.source.rate = 8000: only pcm needs to be told; leave it out"},
      {"rtp = \"127.0.0.1:5004\"", "ogg = \"a\", fec = true",
       "f.toml:26:29: group.source.fec = true: only wav and pcm are encoded here; leave it out, and tell the encoder"},
      {"rtp = \"127.0.0.1:5004\"", "rtp = \"127.0.0.1:5004\", bitrate = 32000",
       "f.toml:26:46: group.source.bitrate = 32000: only wav and pcm are encoded here; leave it out, and tell the "
       "encoder"},
      {"rtp = \"127.0.0.1:5004\"", "pcm = \"-\", format = \"u8\"",
       "f.toml:26:32: group.source.format = \"u8\": use \"s16le\", \"s24le\", \"s32le\" or \"f32le\""},
      {"rtp = \"127.0.0.1:5004\"", "pcm = \"-\", rate = 4000",
       "f.toml:26:30: group.source.rate = 4000: use 8000 to 192000"},
      {"rtp = \"127.0.0.1:5004\"", "pcm = \"-\", channels = 6", "f.toml:26:34: group.source.channels = 6: use 1 to 2"},
      {"rtp = \"127.0.0.1:5004\"", "wav = \"a\", bitrate = 5999",
       "f.toml:26:33: group.source.bitrate = 5999: with packets of 60 ms use 6000 to 144000"},
      {"rtp = \"127.0.0.1:5004\"", "wav = \"a\", complexity = 11",
       "f.toml:26:36: group.source.complexity = 11: use 0 to 10"},
      {"rtp = \"127.0.0.1:5004\"", "wav = \"a\", fec = true, expected_loss = 0",
       "f.toml:26:51: group.source.expected_loss = 0: use 1 to 100"},
      {"rtp = \"127.0.0.1:5004\"", "wav = \"a\", fec = false, expected_loss = 5",
       "f.toml:26:52: group.source.expected_loss = 5: only fec = true makes use of it; leave it out"},
      {"\", id = 1, signing_key", "\", id = 2, signing_key",
       "f.toml:26:41: group.source.id = 2: not among the group's sources; add { id = 2, key = \"…\" } to sources, or "
       "use an id from there"},
      {", signing_key = \"/s.key\"", "",
       "f.toml:26:10: group.source.signing_key is missing; add signing_key = \"/etc/tiercast/source.key\""},
      {"state = \"/s\"", "",
       "f.toml:26:10: group.source: an origin must remember which epochs it used; add state = \"/var/lib/tiercast\" to "
       "[node]"},
  });
}

TEST_CASE("an origin's input that is encoded here: what is told, and what is when it is not") {
  const auto input = [](const std::string& keys) {
    const Loaded loaded = parse(replaced(kWhole, "rtp = \"127.0.0.1:5004\"", keys), "f.toml", kMachine);
    REQUIRE_MESSAGE(loaded.config, loaded.problems[0].text);
    return *loaded.config->groups[0].source;
  };
  const SourceInput wav = input("wav = \"/talk.wav\"");
  CHECK(wav.kind == InputKind::wav);
  CHECK(wav.file == "/talk.wav");
  CHECK_FALSE(wav.reads_standard_input());
  CHECK_FALSE(wav.encoding.bitrate);
  CHECK(wav.encoding.complexity == 9);
  CHECK_FALSE(wav.encoding.fec);
  CHECK(wav.encoding.expected_loss == 5);
  const SourceInput raw = input("pcm = \"-\"");
  CHECK(raw.kind == InputKind::pcm);
  CHECK(raw.reads_standard_input());
  CHECK(raw.pcm == publish::PcmFormat{publish::SampleFormat::s16le, 48000, 1});
  const SourceInput told = input(
      "pcm = \"/p\", format = \"f32le\", rate = 192000, channels = 2, bitrate = 144000, complexity = 0, fec = true, "
      "expected_loss = 20");
  CHECK(told.pcm == publish::PcmFormat{publish::SampleFormat::f32le, 192000, 2});
  CHECK(told.encoding.bitrate == 144000);
  CHECK(told.encoding.complexity == 0);
  CHECK(told.encoding.expected_loss == 20);
  CHECK(told.encoding.fec);
  const SourceInput ogg = input("ogg = \"-\"");
  CHECK(ogg.kind == InputKind::ogg);
  CHECK(ogg.reads_standard_input());
  CHECK_FALSE(input("rtp = \"127.0.0.1:5004\"").reads_standard_input());
}

TEST_CASE("the greatest bitrate is the encoder's own where a packet has room for it") {
  const auto problems = [](const std::string& frame, const std::string& bitrate) {
    const std::string file = replaced(kWhole, "frame_ms = 60", "frame_ms = " + frame);
    return problems_of(replaced(file, "rtp = \"127.0.0.1:5004\"", "wav = \"a\", bitrate = " + bitrate));
  };
  must_be(problems("10", "510000"), {});
  must_be(problems("10", "510001"), {"f.toml:26:33: group.source.bitrate = 510001: use 6000 to 510000"});
  must_be(problems("20", "432000"), {});
  must_be(problems("20", "432001"), {"f.toml:26:33: group.source.bitrate = 432001: with packets of 20 ms use 6000 "
                                     "to 432000"});
}

TEST_CASE("[admin] and [log]: each wrong value has its message") {
  const std::string longest = "/" + std::string(106, 'a');
  must_be(problems_of(replaced(kWhole, "/a.sock", longest)), {});
  must_be(problems_of(replaced(kWhole, "/a.sock", longest + "b")),
          {"f.toml:29:10: admin.socket = \"/" + std::string(70, 'a') +
           "…: longer than a socket's path may be; use up to 107 bytes"});
  check_cases({
      {"socket = \"/a.sock\"", "metrics = \"127.0.0.1:9480\"",
       "f.toml:29:11: admin.metrics: not available in this version; leave it out and read `tiercast status --json`"},
      {"\"warning\"", "\"warn\"",
       "f.toml:31:9: log.level = \"warn\": use \"debug\", \"info\", \"warning\" or \"error\""},
  });
}

TEST_CASE("[edges]: its keys, and for each wrong value its message") {
  const std::string key = "BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ=";
  const std::string whole = kWhole + "[edges]\nfile = \"/e\"\noperator = \"" + key +
                            "\"\nelsewhere = [\"edge-2.example.net:4800\", \"e:1\"]\n";
  const Loaded loaded = parse(whole, "f.toml", kMachine);
  REQUIRE(loaded.config);
  REQUIRE(loaded.config->edges);
  const Edges& edges = *loaded.config->edges;
  CHECK(edges.file == "/e");
  CHECK(edges.operator_key == *crypto::public_key_from_base64(key));
  CHECK(edges.elsewhere == std::vector{*split_host_port("edge-2.example.net:4800"), *split_host_port("e:1")});
  CHECK(edges.list == EdgeList{});  // whoever reads files fills it
  CHECK_FALSE(parse(kWhole, "f.toml", kMachine).config->edges);
  const std::string list = "[\"edge-2.example.net:4800\", \"e:1\"]";
  for (const Case& one : {
           Case{"file = \"/e\"\n", "", "f.toml:32:1: edges.file is missing; add file = \"/etc/tiercast/edges\""},
           Case{key, "x",
                "f.toml:34:12: edges.operator = \"x\": not a public key; use the 44 characters that `tiercast pubkey "
                "--source` prints"},
           Case{list, "[\"e:1\", \"edge-2\"]",
                "f.toml:35:21: edges.elsewhere = \"edge-2\": not HOST:PORT; write it as in "
                "\"edge-fra-2.example.net:4800\" or \"[2001:db8::1]:4800\""},
           Case{list, "\"e:0\"", "f.toml:35:13: edges.elsewhere = \"e:0\": port 0; use 1 to 65535"},
           Case{list, "[\"e:1\", \"e:1\"]",
                "f.toml:35:21: edges.elsewhere = \"e:1\": given twice; name each edge once"},
           Case{"elsewhere = ", "elsewere = ", "f.toml:35:1: edges.elsewere: unknown key; did you mean elsewhere?"},
       }) {
    CAPTURE(one.to);
    must_be(problems_of(replaced(whole, one.from, one.to)), {one.expected});
  }
}

TEST_CASE("a node tells of the edges that it is to, else of all, and never of itself") {
  const auto key = [](std::uint8_t n) {
    crypto::PublicKey out{};
    out[0] = n;
    return out;
  };
  Edges edges{
      "/e", key(9), {}, {1, {Edge{{"a", 1}, key(1)}, std::nullopt, Edge{{"b", 1}, key(2)}, Edge{{"c", 1}, key(3)}}}};
  using Numbers = std::vector<std::uint16_t>;
  CHECK(told_of(edges, key(2)) == Numbers{0, 3});
  CHECK(told_of(edges, key(8)) == Numbers{0, 2, 3});
  edges.elsewhere = {{"c", 1}, {"a", 2}, {"b", 1}};
  CHECK(told_of(edges, key(8)) == Numbers{2, 3});
  CHECK(told_of(edges, key(2)) == Numbers{3});
}

TEST_CASE("unknown keys are errors, with the nearest known key as a hint") {
  check_cases({
      {"parents = 3", "parnets = 3", "f.toml:5:1: node.parnets: unknown key; did you mean parents?"},
      {"parents = 3", "  Parents = 3", "f.toml:5:3: node.Parents: unknown key; did you mean parents?"},
      {"parents = 3", "\"par ents\" = 3", "f.toml:5:1: node.par ents: unknown key; did you mean parents?"},
      {"parents = 3", "colour = 3",
       "f.toml:5:1: node.colour: unknown key; known here: name, key, state, parents, drain or cpu"},
      {"parents = 3", "parents = 3\nname.first = 3",
       "f.toml:6:14: not valid TOML: target (name) is neither table nor an array of tables: inserting this"},
      {"{ directory = \"/r\" }", "{ directory = \"/r\", dir = \"/r\" }",
       "f.toml:27:30: group.record.dir: unknown key; known here: directory, silence or finished"},
      {"[log]\n", "[logs]\n", "f.toml:30:1: logs: unknown key; did you mean log?"},
      {"[node]", "title = \"x\"\n[node]",
       "f.toml:1:1: title: unknown key; known here: node, listen, upstream, downstream, group, admin, log or edges"},
  });
}

TEST_CASE("sections of the wrong shape are refused as a whole") {
  check_cases({
      {"[log]\nlevel = \"warning\"", "[[log]]\nlevel = \"warning\"", "f.toml:30:1: log: a list; use a section, [log]"},
      {"[[upstream]]\naddress = \"relay-1.example.net:4800\"\npublic_key", "[upstream]\npublic_key",
       "f.toml:11:1: upstream: a table; use [[upstream]], one a parent"},
  });
}

TEST_CASE("all problems of a file are told, in the file's order") {
  must_be(problems_of(R"([listen]
workers = 99
address = "x"
[node]
nmae = "a"
key = 1
[[group]]
sources = [{ id = 1 }]
id = 0
)"),
          {"f.toml:2:11: listen.workers = 99: this machine has 4 CPUs; use 1 to 4",
           "f.toml:3:11: listen.address = \"x\": not an address with a port; use numbers, as in \"0.0.0.0:4800\" or "
           "\"[::1]:4800\"",
           "f.toml:4:1: node.name is missing; add name = \"edge-fra-1\"",
           "f.toml:5:1: node.nmae: unknown key; did you mean name?",
           "f.toml:6:7: node.key = 1: an integer; use text in quotes, as in key = \"/etc/tiercast/node.key\"",
           "f.toml:7:1: group.name is missing; add name = \"main\"",
           "f.toml:7:1: group.source: missing, and there is no [[upstream]] to bring the group; add either",
           "f.toml:8:12: group.sources.key is missing; add key = \"…\", the 44 characters that `tiercast pubkey "
           "--source` prints",
           "f.toml:9:6: group.id = 0: use 1 to 16777215"});
}

TEST_CASE("parity is of blocks that end well before they are played") {
  const auto with = [](const std::string& frame_ms, const std::string& parity) {
    return replaced(replaced(kWhole, "frame_ms = 60", "frame_ms = " + frame_ms), "pinned = true", "parity = " + parity);
  };
  const Loaded loaded = config::parse(with("20", "{ data = 10, repair = 2 }"), "f.toml", kMachine);
  REQUIRE(loaded.config);
  CHECK(loaded.config->groups[0].parity == forward::ParityShape{10, 2});
  must_be(problems_of(with("60", "{ data = 7, repair = 1 }")), {"f.toml:24:19: group.parity.data = 7: use 2 to 6"});
  must_be(problems_of(with("10", "{ data = 33, repair = 1 }")), {"f.toml:24:19: group.parity.data = 33: use 2 to 32"});
  must_be(problems_of(with("20", "{ data = 4, repair = 5 }")), {"f.toml:24:31: group.parity.repair = 5: use 1 to 4"});
  must_be(problems_of(with("20", "{ data = 20, repair = 0 }")), {"f.toml:24:32: group.parity.repair = 0: use 1 to 16"});
  must_be(problems_of(with("20", "{ data = 4 }")), {"f.toml:24:10: group.parity.repair is missing; add repair = 2"});
  must_be(problems_of(with("20", "{ data = 4, repair = 1, delay = 3 }")),
          {"f.toml:24:34: group.parity.delay: unknown key; known here: data or repair"});
}

}  // namespace tiercast::config_test
