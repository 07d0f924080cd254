#include "relay/measure/spread.hpp"

#include <doctest/doctest.h>

namespace tiercast::spread_test {

using namespace tiercast::measure;

TEST_CASE("the spread of some values") {
  CHECK(spread({3, 1, 2}).median == 2);
  CHECK(spread({4, 1, 3, 2}).median == 2.5);
  CHECK(spread({4, 1, 3, 2}).min == 1);
  CHECK(spread({4, 1, 3, 2}).max == 4);
  CHECK(spread({7}).median == 7);
}

TEST_CASE("a spread as JSON and as text") {
  CHECK(json_members("ns", {2.25, 1, 30}) == R"(,"ns":2.2,"ns_min":1.0,"ns_max":30.0)");
  CHECK(range_text({2, 1, 30}) == "1.0 .. 30.0");
}

}  // namespace tiercast::spread_test
