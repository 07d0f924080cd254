// Who stays, goes and comes by a reload.
#include "relay/node/parent_changes.hpp"

#include <doctest/doctest.h>

namespace tiercast::parent_changes_test {

using namespace tiercast::node;

namespace {

crypto::PublicKey key(std::uint8_t n) {
  crypto::PublicKey out{};
  out[0] = n;
  return out;
}

config::Upstream at(const char* host, std::uint8_t k) { return {{host, 4800}, key(k)}; }

using Places = std::vector<std::optional<std::size_t>>;
using Numbers = std::vector<std::size_t>;

}  // namespace

TEST_CASE("parents of a reload: who is named as before stays, others go and come") {
  const std::vector<PresentParent> present{{at("a", 1)}, {at("b", 2)}, {at("c", 3)}};
  auto c = parent_changes(present, {at("c", 3), at("a", 1), at("d", 4)});
  CHECK(c.stays_as == Places{1, std::nullopt, 0});
  CHECK(c.gone == Numbers{1});
  CHECK(c.added == Numbers{2});
  c = parent_changes(present, {at("a", 1), at("b", 9), at("z", 3)});  // another key, another address
  CHECK(c.stays_as == Places{0, std::nullopt, std::nullopt});
  CHECK(c.gone == Numbers{1, 2});
  CHECK(c.added == Numbers{1, 2});
}

TEST_CASE("parents of a reload: who was learnt stays, is one of [[upstream]], or goes where that has it elsewhere") {
  const std::vector<PresentParent> present{{at("a", 1)}, {at("b", 2), true}};
  auto c = parent_changes(present, {at("a", 1)});
  CHECK(c.stays_as == Places{0, std::nullopt});
  CHECK(c.gone.empty());
  CHECK(c.added.empty());
  c = parent_changes(present, {at("b", 2), at("a", 1)});
  CHECK(c.stays_as == Places{1, 0});
  CHECK(c.gone.empty());
  CHECK(c.added.empty());
  c = parent_changes(present, {at("a", 1), at("other", 2)});
  CHECK(c.stays_as == Places{0, std::nullopt});
  CHECK(c.gone == Numbers{1});
  CHECK(c.added == Numbers{1});
}

TEST_CASE("parents of a reload: who goes already is not given up again, but may come back") {
  const std::vector<PresentParent> present{{at("a", 1), false, true}, {at("b", 2), false, true}};
  const auto c = parent_changes(present, {at("b", 2)});
  CHECK(c.stays_as == Places{std::nullopt, 0});
  CHECK(c.gone.empty());
  CHECK(c.added.empty());
}

TEST_CASE("parents of a reload: an edge that was learnt is followed to another address, one of [[upstream]] is not") {
  const std::vector<PresentParent> present{
      {at("a", 1)}, {at("b", 2), true}, {at("c", 3), true}, {at("d", 4), true, true}, {at("e", 5), true}};
  const auto edge = [](const char* host, std::uint8_t k) { return config::Edge{{host, 4800}, key(k)}; };
  const config::EdgeList list{
      1, {edge("moved-a", 1), std::nullopt, edge("moved-b", 2), edge("c", 3), edge("moved-d", 4), edge("b", 9)}};
  const auto moved = moved_edges(present, list);
  REQUIRE(moved.size() == 1);
  CHECK(moved[0].parent == 1);
  CHECK(moved[0].edge == 2);
}

}  // namespace tiercast::parent_changes_test
