#include "relay/cli/styled_text.hpp"

#include <doctest/doctest.h>

namespace tiercast::styled_text_test {

using namespace tiercast::cli;

TEST_CASE("shortened: fits, keeps both ends, and makes one ? of what is not ASCII") {
  CHECK(shortened("edge", 4) == "edge");
  CHECK(shortened("edge-frankfurt-1", 10) == "edge..rt-1");
  CHECK(shortened("edge-frankfurt-1", 2) == "ed");
  CHECK(shortened("edge-frankfurt-1", 0) == "");
  CHECK(shortened("fr\xc3\xbch\n", 10) == "fr?h?");
  CHECK(shortened("\xe4\xbd\xa0\xe5\xa5\xbd", 10) == "??");
  CHECK(left("ab", 4) == "ab  ");
  CHECK(right("ab", 4) == "  ab");
  CHECK(right("abcdef", 4) == "a..f");
}

TEST_CASE("wrapped: breaks at spaces, and in a word that has none") {
  CHECK(wrapped("one two three", 7) == std::vector<std::string>{"one two", "three"});
  CHECK(wrapped("one two three", 8) == std::vector<std::string>{"one two", "three"});
  CHECK(wrapped("abcdefgh ij", 4) == std::vector<std::string>{"abcd", "efgh", "ij"});
  CHECK(wrapped("", 4) == std::vector<std::string>{""});
}

TEST_CASE("paint: colours pieces only where asked to, and takes back what it set") {
  const std::vector<Line> lines{{{"a "}, {"b", Style::good}}, {{"c", Style::bad}}};
  CHECK(paint(lines, {}) == "a b\nc\n");
  CHECK(paint(lines, {.colour = true}) == "a \033[32mb\033[0m\n\033[1;31mc\033[0m\n");
}

TEST_CASE("paint: cuts to the columns without counting colours, and says what the rows had no room for") {
  const std::vector<Line> lines{{{"abc", Style::good}, {"def"}}, {{"2"}}, {{"3"}}, {{"4"}}};
  CHECK(paint(lines, {.columns = 4}) == "abcd\n2\n3\n4\n");
  CHECK(paint(lines, {.colour = true, .columns = 2}) == "\033[32mab\033[0m\n2\n3\n4\n");
  CHECK(paint(lines, {.rows = 4}) == "abcdef\n2\n3\n4\n");
  CHECK(paint(lines, {.rows = 3}) == "abcdef\n2\n... and 2 more lines\n");
  CHECK(paint(lines, {.columns = 6, .rows = 1}) == "... an\n");
  CHECK(paint(lines, {.rows = 0}).empty());
  CHECK(paint(lines, {.rows = 2, .clears = true}) == "\033[Kabcdef\n\033[K... and 3 more lines\n");
}

}  // namespace tiercast::styled_text_test
