// Where an origin finds the other one of its group.
#include "tests/config/whole_file.hpp"

namespace tiercast::align_test {

using namespace tiercast::config;
using namespace tiercast::test;

namespace {

const std::string kSourceLine = R"(source = { rtp = "127.0.0.1:5004", id = 1, signing_key = "/s.key" })";
const std::string kOneSource = R"(sources = [{ id = 1, key = "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=" }])";
const std::string kTwoSources =
    R"(sources = [{ id = 1, key = "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=" }, { id = 2, key = "BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ=" }])";

/// The whole file's problems with that behind its source's signing key.
std::vector<std::string> with(const std::string& more, bool two_sources = true,
                              const char* input = "rtp = \"127.0.0.1:5004\"") {
  std::string text = two_sources ? replaced(kWhole, kOneSource, kTwoSources) : kWhole;
  text = replaced(text, "signing_key = \"/s.key\" }", "signing_key = \"/s.key\"" + more + " }");
  return problems_of(replaced(text, "rtp = \"127.0.0.1:5004\"", input));
}

bool one_about(const std::vector<std::string>& problems, const std::string& what) {
  CAPTURE(what);
  CHECK(problems.size() == 1);
  const bool found = !problems.empty() && problems[0].find(what) != std::string::npos;
  if (!found && !problems.empty()) MESSAGE(problems[0]);
  return found;
}

constexpr const char* kKey = R"(, align_key = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=")";

}  // namespace

TEST_CASE("an origin's align arrives, by name or number") {
  const std::string text =
      replaced(replaced(kWhole, kOneSource, kTwoSources), "signing_key = \"/s.key\" }",
               std::string{"signing_key = \"/s.key\", align = \"origin-2.example.net:4801\""} + kKey + " }");
  const Loaded loaded = parse(text, "f.toml", kMachine);
  must_be(problems_of(text), {});
  REQUIRE(loaded.config);
  const auto& align = loaded.config->groups[0].source->align;
  REQUIRE(align);
  CHECK(align->address.host == "origin-2.example.net");
  CHECK(align->address.port == 4801);
  CHECK(align->public_key == *crypto::public_key_from_base64(kUpstreamKey));
  must_be(with(std::string{R"(, align = "[2001:db8::2]:4800")"} + kKey), {});
}

TEST_CASE("what is wrong with an align is said where it is") {
  const std::string align = R"(, align = "192.0.2.2:4800")";
  CHECK(one_about(with(align), "align_key"));
  CHECK(one_about(with(kKey), "there is no align"));
  CHECK(one_about(with(std::string{R"(, align = "192.0.2.2")"} + kKey), "not HOST:PORT"));
  CHECK(one_about(with(std::string{R"(, align = "192.0.2.2:0")"} + kKey), "port 0; use 1 to 65535"));
  CHECK(one_about(with(align + R"(, align_key = "x")"), "not a public key"));
  CHECK(one_about(with(align + kKey, false), "the group has one source"));
  const auto of_a_file = with(align + kKey, true, "ogg = \"/talk.opus\"");
  CHECK(of_a_file.size() == 2);
  for (const auto& problem : of_a_file)
    CHECK(problem.find("only rtp can be sent to two origins alike") != problem.npos);
}

}  // namespace tiercast::align_test
