#include "config/document.hpp"

#include <doctest/doctest.h>

#include "config/config.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::document_test {

using namespace tiercast::config;

namespace {

std::string error_of(const std::string& text) {
  const auto document = parse_document(text);
  if (document) return "(none)";
  const SyntaxError& error = document.error();
  return std::to_string(error.at.line) + ":" + std::to_string(error.at.column) + ": " + error.text;
}

const std::string kSmall = R"([node]
name = "a" # comment
'key' = 'k'
[listen]
address = "0.0.0.0:4800"
workers = 1_0
[[group]]
list = [1, [2.5, "x"],
  { a.b = true }]
text = """
two
lines"""
)";

}  // namespace

TEST_CASE("members stand in the file's order, with the places of keys and values") {
  const auto document = parse_document(kSmall);
  REQUIRE(document);
  CHECK(document->at == Position{1, 1});
  REQUIRE(document->members.size() == 3);
  CHECK(document->members[0].key == "node");
  CHECK(document->members[1].key == "listen");
  CHECK(document->members[1].at == Position{4, 1});
  const Value& node = document->members[0].value;
  REQUIRE(node.members.size() == 2);
  CHECK(node.members[0].key == "name");
  CHECK(node.members[0].at == Position{2, 1});
  CHECK(node.members[0].value.at == Position{2, 8});
  CHECK(node.members[0].value.text == "a");
  CHECK(node.members[0].value.source == "\"a\"");
  CHECK(node.members[1].key == "key");
  CHECK(node.members[1].at == Position{3, 1});
  const Value& workers = document->members[1].value.members[1].value;
  CHECK(workers.kind == Value::Kind::integer);
  CHECK(workers.integer == 10);
  CHECK(workers.source == "1_0");
  const Value& group = document->members[2].value;
  REQUIRE(group.kind == Value::Kind::array);
  REQUIRE(group.items.size() == 1);
  CHECK(group.items[0].at == Position{7, 1});
  const Value& list = group.items[0].members[0].value;
  REQUIRE(list.items.size() == 3);
  CHECK(list.items[1].items[0].kind == Value::Kind::floating);
  CHECK(list.items[2].at == Position{9, 3});
  const Value& b = list.items[2].members[0].value.members[0].value;
  CHECK(b.kind == Value::Kind::boolean);
  CHECK(b.boolean);
  CHECK(b.at == Position{9, 11});
  const Value& text = group.items[0].members[1].value;
  CHECK(text.text == "two\nlines");
  CHECK(text.source.find('\n') == std::string::npos);
}

TEST_CASE("an empty file, a mark at its start and either end of line are fine") {
  CHECK(error_of("") == "(none)");
  CHECK(error_of("# nothing") == "(none)");
  const auto document = parse_document("\xef\xbb\xbf[node]\r\n\r\nname = \"a\"\r\n");
  REQUIRE(document);
  CHECK(document->members[0].value.members[0].value.at == Position{3, 8});
}

TEST_CASE("a syntax error is one line that says where and what") {
  CHECK(error_of("a = edge-1\n") ==
        R"(1:5: not valid TOML: not a value; text is written in quotes, as in name = "edge-fra-1")");
  CHECK(error_of("[node]\nname = foo\n") ==
        R"(2:8: not valid TOML: not a value; text is written in quotes, as in name = "edge-fra-1")");
  CHECK(error_of("\nname = \"abc\n") ==
        "2:8: not valid TOML: not a text; is its closing quote missing, or is there a \\ that should be \\\\?");
  CHECK(error_of("a = \"\\q\"\n") ==
        "1:5: not valid TOML: not a text; is its closing quote missing, or is there a \\ that should be \\\\?");
  CHECK(error_of("a = \n") ==
        "1:5: not valid TOML: missing value after key-value separator '=': expected value, but got nothing");
  CHECK(error_of("a\n") == "1:2: not valid TOML: missing key-value separator `=`: should be `=`");
  CHECK(error_of("a = 1 2\n") == "1:7: not valid TOML: invalid line format: expected newline, but got '2'");
  CHECK(error_of("a = [1, 2\n") == "2:1: not valid TOML: missing array separator `,` after a value: should be `,`");
  CHECK(error_of("a = 1\na = 2\n") == "2:5: not valid TOML: value (\"a\") already exists: value defined twice");
  CHECK(error_of("[a]\n[b]\n[a]\n") == "3:1: not valid TOML: table (\"a\") already exists: table defined twice");
  CHECK(error_of("[node\nx = 1\n") == "1:1: not valid TOML: an invalid key appeared: is not a valid key");
  CHECK(error_of("a = 0123\n") == "1:5: not valid TOML: bad integer: leading zero");
}

TEST_CASE("whatever the bytes, there is a configuration or a reason, on one line each") {
  test::SeededRandom random{20};
  const std::string pieces = "[]{}=.,\"'#\n\r\t\\ \x01\x80\xff-_0x1eTZ:";
  for (int round = 0; round < 3000; ++round) {
    std::string text = kSmall;
    for (std::uint64_t edits = 1 + random.below(6); edits > 0 && !text.empty(); --edits) {
      const std::size_t at = random.below(text.size());
      const char piece = pieces[random.below(pieces.size())];
      switch (random.below(4)) {
        case 0: text[at] = piece; break;
        case 1: text.insert(at, 1, piece); break;
        case 2: text.erase(at, 1 + random.below(8)); break;
        default: text.resize(at + 1); break;
      }
    }
    CAPTURE(text);
    const Loaded loaded = parse(text, "f", Machine{1, ""});
    REQUIRE(loaded.config.has_value() == loaded.problems.empty());
    for (const Problem& problem : loaded.problems) {
      REQUIRE(problem.text.starts_with("f:"));
      REQUIRE(problem.text.find('\n') == std::string::npos);
    }
  }
}

TEST_CASE("text in messages stays on one line and within its limit") {
  CHECK(printable("abc") == "abc");
  CHECK(printable("a\n\x1b[31m\x7f") == "a??[31m?");
  CHECK(printable("abcdef", 6) == "abcdef");
  CHECK(printable("abcdefg", 6) == "abcdef…");
  CHECK(printable("aäb", 2) == "a…");  // not half a character
}

}  // namespace tiercast::document_test
