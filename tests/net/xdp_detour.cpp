#include "relay/net/xdp_detour.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

namespace tiercast::xdp_detour_test {

using namespace tiercast::net;

namespace {

const Endpoint kTo = *parse_endpoint("192.0.2.1:4800");
const IpAddress kFrom = parse_endpoint("198.51.100.1:0")->ip;

Route good_route() { return {true, true, 3, {}, 0}; }
Link good_link() { return {3, {2, 0, 0, 0, 0, 1}, 1500, true, true}; }
Neighbour good_neighbour() { return {3, kTo.ip, {2, 0, 0, 0, 0, 2}, true, false}; }

}  // namespace

TEST_CASE("a route to another machine, by one plain way, takes no detour; any other does") {
  const auto judge = [](auto change) {
    Route route = good_route();
    change(route);
    return judge_route(kTo, kFrom, route);
  };
  CHECK(judge([](Route&) {}) == Detour::none);
  CHECK(judge([](Route& r) { r.unicast = false; }) == Detour::not_unicast);
  CHECK(judge([](Route& r) { r.plain = false; }) == Detour::not_plain);
  CHECK(judge([](Route& r) { r.interface = 0; }) == Detour::not_plain);
  CHECK(judge([](Route& r) { r.mtu = 1279; }) == Detour::small_mtu);
  CHECK(judge([](Route& r) { r.mtu = 1280; }) == Detour::none);
  CHECK(judge_route(kTo, kFrom, std::nullopt) == Detour::no_route);
  CHECK(judge_route(kTo, {}, good_route()) == Detour::no_source);
  CHECK(judge_route(kTo, parse_endpoint("0.0.0.0:0")->ip, good_route()) == Detour::no_source);
  CHECK(judge_route(kTo, parse_endpoint("[2001:db8::1]:0")->ip, good_route()) == Detour::no_source);
  CHECK(judge_route(*parse_endpoint("192.0.2.1:0"), kFrom, good_route()) == Detour::no_route);
  Endpoint link_local = *parse_endpoint("[fe80::1]:4800");
  link_local.scope = 3;
  CHECK(judge_route(link_local, parse_endpoint("[fe80::2]:0")->ip, good_route()) == Detour::link_local);
}

TEST_CASE("a way needs a running Ethernet device that takes packets, and the next hop's MAC address") {
  const auto judge = [](auto change, bool takes = true) {
    Link link = good_link();
    Neighbour neighbour = good_neighbour();
    change(link, neighbour);
    return judge_way(link, takes, neighbour);
  };
  CHECK(judge([](Link&, Neighbour&) {}) == Detour::none);
  CHECK(judge([](Link&, Neighbour&) {}, false) == Detour::device_refuses);
  CHECK(judge([](Link& l, Neighbour&) { l.running = false; }) == Detour::device_down);
  CHECK(judge([](Link& l, Neighbour&) { l.ethernet = false; }) == Detour::not_ethernet);
  CHECK(judge([](Link& l, Neighbour&) { l.mtu = 1279; }) == Detour::small_mtu);
  CHECK(judge([](Link& l, Neighbour&) { l.mtu = 1280; }) == Detour::none);
  CHECK(judge([](Link&, Neighbour& n) { n.usable = false; }) == Detour::unresolved);
}

TEST_CASE("every reason has a name of its own") {
  std::set<std::string> names;
  for (std::size_t i = 0; i < static_cast<std::size_t>(Detour::count_); ++i)
    names.insert(to_string(static_cast<Detour>(i)));
  CHECK(names.size() == static_cast<std::size_t>(Detour::count_));
  CHECK_FALSE(names.contains(""));
}

}  // namespace tiercast::xdp_detour_test
