// The examples are what people start from: each must parse on a machine with a single CPU.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "config/config.hpp"

namespace tiercast::examples_test {

using namespace tiercast::config;

namespace {

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::map<std::string, Config> parse_all() {
  std::map<std::string, Config> out;
  for (const auto& entry : std::filesystem::directory_iterator("config/examples")) {
    const Loaded loaded = parse(read(entry.path()), entry.path().string(), Machine{1, ""});
    for (const Problem& problem : loaded.problems) FAIL_CHECK(problem.text);
    REQUIRE(loaded.config);
    out.emplace(entry.path().filename().string(), *loaded.config);
  }
  return out;
}

}  // namespace

TEST_CASE("every example parses, and is what its name says") {
  const auto examples = parse_all();
  REQUIRE(examples.size() == 5);
  CHECK(examples.at("origin.toml").is_origin());
  CHECK(examples.at("origin.toml").upstreams.empty());
  CHECK_FALSE(examples.at("regional-relay.toml").is_origin());
  CHECK(examples.at("regional-relay.toml").downstreams.size() == 2);
  CHECK_FALSE(examples.at("edge.toml").is_origin());
  CHECK(examples.at("edge.toml").downstreams.empty());
  CHECK(examples.at("single-node.toml").is_origin());
  CHECK(examples.at("single-node.toml").listen);
  CHECK(examples.at("origin-pcm.toml").groups[0].source->kind == InputKind::pcm);
  CHECK(examples.at("origin-pcm.toml").groups[0].source->reads_standard_input());
}

TEST_CASE("what the examples have in comments can be had") {
  const auto uncommented = [](const std::string& name) {
    std::string text = read("config/examples/" + name);
    const std::string from = "\n# multicast = {", to = "\nmulticast = {";
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos;) text.replace(at, from.size(), to);
    const Loaded loaded = parse(text, name, Machine{1, ""});
    for (const Problem& problem : loaded.problems) FAIL_CHECK(problem.text);
    REQUIRE(loaded.config);
    return *loaded.config;
  };
  const Config edge = uncommented("edge.toml"), relay = uncommented("regional-relay.toml");
  REQUIRE(edge.listen->multicast);
  REQUIRE(relay.listen->multicast);
  REQUIRE(edge.upstreams[0].multicast);
  CHECK(edge.upstreams[0].multicast->group == relay.listen->multicast->group);
  CHECK(edge.listen->multicast->group != relay.listen->multicast->group);
}

TEST_CASE("origin, regional relay and edge belong together") {
  const auto examples = parse_all();
  const Config& origin = examples.at("origin.toml");
  const Config& relay = examples.at("regional-relay.toml");
  const Config& edge = examples.at("edge.toml");
  CHECK(origin.downstreams[0].name == relay.node.name);
  CHECK(origin.downstreams[0].public_key == edge.upstreams[0].public_key);
  CHECK(relay.downstreams[0].name == edge.node.name);
  for (const Config* config : {&relay, &edge}) {
    CHECK(config->groups[0].id == origin.groups[0].id);
    CHECK(config->groups[0].frame_ms == origin.groups[0].frame_ms);
    REQUIRE(config->groups[0].sources.size() == 2);
    for (std::size_t i = 0; i < 2; ++i) {
      CHECK(config->groups[0].sources[i].id == origin.groups[0].sources[i].id);
      CHECK(config->groups[0].sources[i].key == origin.groups[0].sources[i].key);
    }
  }
}

TEST_CASE("the examples show every key there is") {
  std::string all;
  for (const auto& entry : std::filesystem::directory_iterator("config/examples")) all += read(entry.path()) + "\n";
  for (const char* key : {"[node]",
                          "name",
                          "key",
                          "state",
                          "parents",
                          "[listen]",
                          "address",
                          "workers",
                          "backend",
                          "max_leases",
                          "[[upstream]]",
                          "public_key",
                          "[[downstream]]",
                          "[[group]]",
                          "id",
                          "sources",
                          "admission",
                          "keys",
                          "frame_ms",
                          "pinned",
                          "rotate",
                          "parity",
                          "source",
                          "{ rtp =",
                          "signing_key",
                          "record",
                          "{ directory =",
                          "[admin]",
                          "socket",
                          "[log]",
                          "level",
                          "pcm",
                          "wav",
                          "ogg",
                          "rate",
                          "channels",
                          "format",
                          "bitrate",
                          "complexity",
                          "fec",
                          "expected_loss",
                          "multicast",
                          "interface",
                          "ttl",
                          "cpu",
                          "cpus",
                          "busy_poll",
                          "drain",
                          "silence",
                          "finished"}) {
    CAPTURE(key);
    const std::string word{key};
    const bool shown = all.find("\n" + word) != std::string::npos || all.find(" " + word + " ") != std::string::npos ||
                       all.find(word + " \"") != std::string::npos;
    CHECK(shown);
  }
}

}  // namespace tiercast::examples_test
