// A vector that is full at its capacity and says so.
#include "relay/base/inline_vector.hpp"

#include <doctest/doctest.h>

#include <numeric>

namespace tiercast::inline_vector_test {
namespace {

TEST_CASE("an inline vector takes its capacity and not one more") {
  InlineVector<int, 3> v;
  CHECK(v.empty());
  CHECK(v.push_back(1));
  CHECK(v.push_back(2));
  CHECK_FALSE(v.full());
  CHECK(v.push_back(3));
  CHECK(v.full());
  CHECK_FALSE(v.push_back(4));
  CHECK(v.size() == 3);
  CHECK(v.back() == 3);
  CHECK(std::accumulate(v.begin(), v.end(), 0) == 6);
}

TEST_CASE("erasing keeps the order of the others, at both ends and within") {
  for (std::size_t at = 0; at < 4; ++at) {
    InlineVector<int, 4> v;
    for (int i = 0; i < 4; ++i) v.push_back(i);
    v.erase_at(at);
    REQUIRE(v.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) CHECK(v[i] == static_cast<int>(i < at ? i : i + 1));
  }
}

TEST_CASE("a cleared vector is empty and can be filled again") {
  InlineVector<int, 2> v;
  v.push_back(1);
  v.push_back(2);
  v.clear();
  CHECK(v.empty());
  CHECK(v.begin() == v.end());
  CHECK(v.push_back(9));
  CHECK(v[0] == 9);
}

}  // namespace
}  // namespace tiercast::inline_vector_test
