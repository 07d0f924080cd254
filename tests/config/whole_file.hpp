// A configuration with every key, to spoil one line of; and the exact messages that must come of it.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <vector>

#include "config/config.hpp"

namespace tiercast::test {

inline constexpr const char* kUpstreamKey = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
inline constexpr const char* kDownstreamKey = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
inline constexpr const char* kSourceKey = "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=";

/// A file with every key. Cases change a line; the others keep their numbers.
inline const std::string kWhole = R"([node]
name = "edge-1"
key = "/k"
state = "/s"
parents = 3
[listen]
address = "0.0.0.0:4800"
workers = 2
backend = "sendmmsg"
max_leases = 100
[[upstream]]
address = "relay-1.example.net:4800"
public_key = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
[[downstream]]
name = "edge-2"
public_key = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
[[group]]
name = "main"
id = 7
sources = [{ id = 1, key = "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=" }]
admission = "open"
keys = "relay"
frame_ms = 60
pinned = true
rotate = "30m"
source = { rtp = "127.0.0.1:5004", id = 1, signing_key = "/s.key" }
record = { directory = "/r" }
[admin]
socket = "/a.sock"
[log]
level = "warning"
)";

inline const config::Machine kMachine{4, ""};

inline std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE_MESSAGE(at != std::string::npos, from);
  return text.replace(at, from.size(), to);
}

inline std::vector<std::string> problems_of(const std::string& text, const config::Machine& machine = kMachine) {
  const config::Loaded loaded = config::parse(text, "f.toml", machine);
  CHECK(loaded.config.has_value() == loaded.problems.empty());
  std::vector<std::string> out;
  for (const config::Problem& problem : loaded.problems) out.push_back(problem.text);
  return out;
}

inline void must_be(const std::vector<std::string>& found, const std::vector<std::string>& expected) {
  CHECK(found.size() == expected.size());
  for (std::size_t i = 0; i < std::max(found.size(), expected.size()); ++i) {
    CHECK((i < found.size() ? found[i] : "(nothing)") == (i < expected.size() ? expected[i] : "(nothing)"));
  }
}

/// The whole file with `from` replaced has exactly this one problem.
struct Case {
  std::string from, to, expected;
};

inline void check_cases(std::initializer_list<Case> cases) {
  for (const Case& one : cases) {
    CAPTURE(one.from);
    CAPTURE(one.to);
    must_be(problems_of(replaced(kWhole, one.from, one.to)), {one.expected});
  }
}

}  // namespace tiercast::test
