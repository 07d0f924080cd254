#include "config/prescan.hpp"

#include <doctest/doctest.h>

namespace tiercast::prescan_test {

using namespace tiercast::config;

namespace {

/// What is unbearable in the text; where nothing is, that toml11 then reads it too.
std::string error_of(const std::string& text) {
  const auto error = find_unbearable(text);
  if (!error) {
    const auto document = parse_document(text);
    return document ? "(none)" : document.error().text;
  }
  return std::to_string(error->at.line) + ":" + std::to_string(error->at.column) + ": " + error->text;
}

std::string repeated(const std::string& part, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += part;
  return out;
}

}  // namespace

TEST_CASE("what nests too deeply is refused before it is parsed") {
  CHECK(error_of("a = " + repeated("[", 16) + repeated("]", 16)) == "(none)");
  const std::string deep = "nested too deeply: no key of a node's configuration is";
  CHECK(error_of("a = " + repeated("[", 17) + repeated("]", 17)) == "1:21: " + deep);
  CHECK(error_of("a = " + repeated("[", 500'000)) == "1:21: " + deep);
  CHECK(error_of("a = " + repeated("{a=", 300'000)) == "1:53: " + deep);
  CHECK(error_of("\n" + repeated("a.", 400'000) + "a = 1") == "2:34: " + deep);
  CHECK(error_of(repeated("\"a\" . ", 100'000) + "a = 1") == "1:101: " + deep);
  // Brackets and dots in text and comments nest nothing.
  CHECK(error_of("# " + repeated("[", 100) + "\na = \"" + repeated("[.\\\"", 100) + "\"\nb = '" + repeated("{", 100) +
                 "'\nc = \"\"\"" + repeated("[\n\"", 100) + "\n\"\"\"\nd = '''" + repeated("{.", 100) + "'''\n") ==
        "(none)");
  CHECK(error_of("a = [" + repeated("1.5, ", 100) + "]") == "(none)");
}

TEST_CASE("a file beyond 1 MiB is refused") {
  CHECK(error_of(std::string(kMaxDocument, '\n')) == "(none)");
  CHECK(error_of(std::string(kMaxDocument + 1, '\n')) == "1:1: larger than 1 MiB: not a node's configuration");
}

TEST_CASE("a file that is not UTF-8 is refused at the first such byte") {
  const std::string refused = "not UTF-8; save the file in that encoding";
  CHECK(error_of("a = \"\x7e\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"") ==
        "(none)");
  for (const char* bad :
       {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2x", "\xe0\x9f\xbf", "\xe2\x82", "\xed\xa0\x80",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xf0\x90\x80"}) {
    CAPTURE(std::string{bad});
    CHECK(error_of("a = 1\nb = '" + std::string{bad} + "'\n") == "2:6: " + refused);
  }
  // toml11 3.7 reads outside its buffer where it reports these itself.
  CHECK(error_of("a = '''\xff'''\n") == "1:8: " + refused);
  CHECK(error_of("a = ''''y'\n\xff''',\n") == "2:1: " + refused);
}

}  // namespace tiercast::prescan_test
