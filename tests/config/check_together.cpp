// What is wrong only together, by its exact message.
#include "tests/config/whole_file.hpp"

namespace tiercast::check_together_test {

using namespace tiercast::config;
using namespace tiercast::test;

TEST_CASE("duplicates name the line they repeat") {
  const std::string group =
      "[[group]]\nname = \"NAME\"\nid = ID\nsources = [{ id = 1, key = \"" + std::string{kSourceKey} + "\" }]\n";
  const auto with_group = [&](const std::string& name, const std::string& id) {
    return kWhole + replaced(replaced(group, "NAME", name), "ID", id);
  };
  must_be(problems_of(with_group("second", "8")), {});
  must_be(problems_of(with_group("second", "7")),
          {"f.toml:34:6: group.id = 7: the group at line 19 has it already; give each group an id of its own"});
  must_be(
      problems_of(with_group("main", "8")),
      {"f.toml:33:8: group.name = \"main\": the group at line 18 has it already; give each group a name of its own"});

  const auto with_downstream = [](const std::string& name, const std::string& key) {
    return kWhole + "[[downstream]]\nname = \"" + name + "\"\npublic_key = \"" + key + "\"\n";
  };
  must_be(problems_of(with_downstream("edge-3", kSourceKey)), {});
  must_be(
      problems_of(with_downstream("edge-2", kSourceKey)),
      {"f.toml:33:8: downstream.name = \"edge-2\": the downstream at line 15 has it already; give each relay a name "
       "of its own"});
  must_be(problems_of(with_downstream("edge-3", kDownstreamKey)),
          {"f.toml:34:14: downstream.public_key = \"" + std::string{kDownstreamKey} +
           "\": the downstream at line 16 has it already; each relay has a key of its own"});

  const std::string upstream =
      "[[upstream]]\naddress = \"relay-1.example.net:4800\"\npublic_key = \"" + std::string{kSourceKey} + "\"\n";
  must_be(
      problems_of(kWhole + upstream),
      {"f.toml:33:11: upstream.address = \"relay-1.example.net:4800\": the upstream at line 12 has it already; name "
       "each parent once"});
  must_be(problems_of(kWhole + replaced(upstream, ":4800", ":4801")), {});
}

TEST_CASE("two groups cannot take in RTP at one address") {
  const auto with_rtp = [](const std::string& rtp) {
    return kWhole + "[[group]]\nname = \"second\"\nid = 8\nsources = [{ id = 1, key = \"" + kSourceKey +
           "\" }]\nsource = { rtp = \"" + rtp + "\", id = 1, signing_key = \"/s.key\" }\n";
  };
  must_be(problems_of(with_rtp("127.0.0.1:5006")), {});
  must_be(problems_of(with_rtp("127.0.0.2:5004")), {});
  for (const std::string rtp : {"127.0.0.1:5004", "0.0.0.0:5004", "[::]:5004"}) {
    must_be(problems_of(with_rtp(rtp)), {"f.toml:36:10: group.source: rtp " + rtp +
                                         " is taken by group \"main\"; give each group's RTP a port of its own"});
  }
}

TEST_CASE("only one source reads standard input") {
  const auto two = [](const std::string& first, const std::string& second) {
    return problems_of(replaced(kWhole, "rtp = \"127.0.0.1:5004\"", first) + "[[group]]\nname = \"second\"\nid = 8\n" +
                       "sources = [{ id = 1, key = \"" + kSourceKey + "\" }]\nsource = { " + second +
                       ", id = 1, signing_key = \"/s.key\" }\n");
  };
  must_be(two("wav = \"-\"", "pcm = \"/fifo\""), {});
  must_be(two("wav = \"/a.wav\"", "wav = \"/a.wav\""), {});
  must_be(two("wav = \"-\"", "ogg = \"-\""), {"f.toml:36:10: group.source: standard input is taken by group \"main\"; "
                                              "name a file or a named pipe (mkfifo) here"});
}

TEST_CASE("what one section demands of another") {
  const std::string node = "[node]\nname = \"a\"\nkey = \"/k\"\n";
  const std::string listen = "[listen]\naddress = \"0.0.0.0:4800\"\n";
  const std::string upstream = "[[upstream]]\naddress = \"a:1\"\npublic_key = \"" + std::string{kUpstreamKey} + "\"\n";
  const std::string downstream = "[[downstream]]\nname = \"b\"\npublic_key = \"" + std::string{kDownstreamKey} + "\"\n";
  const std::string group =
      "[[group]]\nname = \"g\"\nid = 1\nsources = [{ id = 1, key = \"" + std::string{kSourceKey} + "\" }]\n";
  const std::string source = "source = { rtp = \"127.0.0.1:5004\", id = 1, signing_key = \"/s\" }\n";
  const std::string record = "record = { directory = \"/r\" }\n";

  must_be(problems_of(node + listen + upstream + group), {});
  must_be(problems_of(node + upstream + group + record), {});  // a recorder
  must_be(problems_of(node + "state = \"/s\"\n" + listen + group + source), {});
  must_be(problems_of(node + "state = \"/s\"\n" + listen + upstream + group + source), {});
  must_be(problems_of(node + "state = \"/s\"\n" + group + source + record), {});

  must_be(problems_of(node + listen + upstream),
          {"f.toml:1:1: [[group]]: missing; a node carries at least one, with name, id and sources"});
  must_be(problems_of(listen + upstream + group), {"f.toml:1:1: [node] is missing; add it with a name and a key"});
  must_be(problems_of(node + listen + group),
          {"f.toml:6:1: group.source: missing, and there is no [[upstream]] to bring the group; add either"});
  must_be(problems_of(node + "state = \"/s\"\n" + group + source),
          {"f.toml:1:1: [listen]: missing, and this node neither records nor has an [[upstream]]: it would do nothing; "
           "add [listen] with address = \"0.0.0.0:4800\""});
  must_be(problems_of(node + upstream + downstream + group),
          {"f.toml:7:1: downstream: nobody can join a node without [listen]; add it with address = "
           "\"0.0.0.0:4800\", or leave [[downstream]] out"});
}

TEST_CASE("a node carries up to 256 groups") {
  std::string text = "[node]\nname = \"a\"\nkey = \"/k\"\n[[upstream]]\naddress = \"a:1\"\npublic_key = \"" +
                     std::string{kUpstreamKey} + "\"\n";
  for (int i = 1; i <= 257; ++i) {
    if (i == 257) must_be(problems_of(text), {});
    text += "[[group]]\nname = \"g" + std::to_string(i) + "\"\nid = " + std::to_string(i) +
            "\nsources = [{ id = 1, key = \"" + kSourceKey + "\" }]\n";
  }
  must_be(problems_of(text), {"f.toml:1031:1: group: the file has 257 groups; use up to 256"});
}

}  // namespace tiercast::check_together_test
