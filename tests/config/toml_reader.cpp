#include "config/toml_reader.hpp"

#include <doctest/doctest.h>

namespace tiercast::toml_reader_test {

using namespace tiercast::config;

TEST_CASE("the nearest known key is one that a slip of the hand makes of it") {
  const std::vector<std::string> known{"name", "key", "state", "parents", "id", "rtp"};
  const auto hint = [&](std::string_view word) { return nearest(word, known).value_or("-"); };
  CHECK(hint("nmae") == "name");
  CHECK(hint("nam") == "name");
  CHECK(hint("names") == "name");
  CHECK(hint("parent") == "parents");
  CHECK(hint("paretns") == "parents");
  CHECK(hint("stat") == "state");
  CHECK(hint("kye") == "key");
  CHECK(hint("ip") == "id");
  CHECK(hint("rpt") == "rtp");
  CHECK(hint("x") == "-");  // as near to "id" as that is long: no hint
  CHECK(hint("xyz") == "-");
  CHECK(hint("colour") == "-");
  CHECK(hint("") == "-");
  CHECK(hint(std::string(100'000, 'n')) == "-");
}

TEST_CASE("alternatives read as a sentence does") {
  using Words = std::vector<std::string_view>;
  CHECK(join_alternatives(Words{}) == "");
  CHECK(join_alternatives(Words{"a"}) == "a");
  CHECK(join_alternatives(Words{"a", "b"}) == "a or b");
  CHECK(join_alternatives(Words{"a", "b", "c"}) == "a, b or c");
}

TEST_CASE("problems come out in the file's order, those of one place as they were found") {
  Problems problems;
  problems.add({3, 1}, "third");
  problems.add({1, 9}, "second");
  problems.add({3, 1}, "fourth");
  problems.add({1, 2}, "first");
  const auto taken = problems.take("f");
  REQUIRE(taken.size() == 4);
  CHECK(taken[0].text == "f:1:2: first");
  CHECK(taken[1].text == "f:1:9: second");
  CHECK(taken[2].text == "f:3:1: third");
  CHECK(taken[3].text == "f:3:1: fourth");
  CHECK(problems.take("f").empty());
}

}  // namespace tiercast::toml_reader_test
