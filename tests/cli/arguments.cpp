#include "relay/cli/arguments.hpp"

#include <doctest/doctest.h>

namespace tiercast::arguments_test {

using namespace tiercast::cli;

namespace {
const std::string kKey = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
const std::string kOtherKey = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
const crypto::PublicKey kKeyBytes = *crypto::public_key_from_base64(kKey);
const crypto::PublicKey kOtherBytes = *crypto::public_key_from_base64(kOtherKey);

template <class T>
std::string error_of(const Argument<T>& argument) {
  return argument ? "(none)" : argument.error();
}
}  // namespace

TEST_CASE("an address is a host and a port") {
  CHECK(parse_address("edge-1.example.net:4800")->host == "edge-1.example.net");
  CHECK(parse_address("[2001:db8::1]:65535")->host == "2001:db8::1");
  CHECK(parse_address("[2001:db8::1]:65535")->port == 65535);
  for (const char* bad :
       {"", "edge", "edge:", ":4800", "edge:x", "edge:65536", "2001:db8::1:4800", "ed ge:1", "a/b:1"}) {
    CHECK(error_of(parse_address(bad)) ==
          "\"" + std::string{bad} + "\": use HOST:PORT, as in edge-1.example.net:4800 or [2001:db8::1]:4800");
  }
  CHECK(error_of(parse_address("edge:0")) == "\"edge:0\": port 0; use 1 to 65535");
}

TEST_CASE("a parent has its own key, else the common one, else none and is refused") {
  CHECK(parse_parent("edge:1", {kKeyBytes, {}})->public_key == kKeyBytes);
  CHECK(parse_parent("edge:1," + kOtherKey, {kKeyBytes, {}})->public_key == kOtherBytes);
  CHECK(parse_parent("edge:1," + kOtherKey, {})->address.host == "edge");
  CHECK(error_of(parse_parent("edge:1", {})) ==
        "\"edge:1\": whose key? Give the edge's public key with --key KEY, or write HOST:PORT,KEY");
  CHECK(error_of(parse_parent("edge:1,abc", {kKeyBytes, {}})) ==
        "\"abc\": not a public key; use the 44 characters that `tiercast pubkey` prints");
  CHECK_FALSE(parse_parent("edge," + kKey, {}));
  CHECK_FALSE(parse_parent("edge:1,", {kKeyBytes, {}}));
}

TEST_CASE("a parent has its own multicast, else the common one, else none") {
  const config::MulticastIn common = *parse_multicast("239.10.0.1:4801@eth0");
  const config::MulticastIn own = *parse_multicast("[ff15::1]:4802@eth1");
  CHECK(common == config::MulticastIn{*parse_endpoint("239.10.0.1:4801"), "eth0"});
  CHECK_FALSE(parse_parent("edge:1," + kKey, {})->multicast);
  CHECK(parse_parent("edge:1", {kKeyBytes, common})->multicast == common);
  CHECK(parse_parent("edge:1," + kOtherKey, {kKeyBytes, common})->multicast == common);
  const auto three = parse_parent("edge:1," + kOtherKey + ",[ff15::1]:4802@eth1", {kKeyBytes, common});
  REQUIRE(three);
  CHECK(three->multicast == own);
  CHECK(three->public_key == kOtherBytes);
  CHECK(parse_parent("[fd00::1]:1," + kKey, {{}, own})->multicast == own);
  CHECK(parse_parent("10.0.0.1:1," + kKey, {{}, common})->multicast == common);
}

TEST_CASE("a parent's multicast that cannot be is refused") {
  CHECK(error_of(parse_multicast("239.10.0.1:4801")) ==
        "\"239.10.0.1:4801\": use GROUP:PORT@INTERFACE, as in 239.10.0.1:4801@eth0");
  CHECK(error_of(parse_multicast("10.0.0.1:4801@eth0")) ==
        "\"10.0.0.1:4801@eth0\": not a multicast address; use one of 239.0.0.0/8, or of ff15::/16 for IPv6");
  CHECK(error_of(parse_parent("edge:1," + kKey + ",", {})) ==
        "\"\": use GROUP:PORT@INTERFACE, as in 239.10.0.1:4801@eth0");
  CHECK(error_of(parse_parent("edge:1," + kKey + ",239.10.0.1:4801@eth0,x/y", {})) ==
        "\"239.10.0.1:4801@eth0,x/y\": not an interface's name; use one that `ip link` lists, up to 15 characters");
  CHECK(error_of(parse_parent("edge:1,,239.10.0.1:4801@eth0", {kKeyBytes, {}})) ==
        "\"\": not a public key; use the 44 characters that `tiercast pubkey` prints");
  CHECK(error_of(parse_parent("[fd00::1]:1", {kKeyBytes, *parse_multicast("239.10.0.1:4801@eth0")})) ==
        "\"[fd00::1]:1\": its group 239.10.0.1:4801 is of the other family; use the edge's address of the same one");
}

TEST_CASE("a source key is an id and a key") {
  CHECK(parse_source_key("1:" + kKey)->id == SourceId{1});
  CHECK(parse_source_key("255:" + kKey)->key == kKeyBytes);
  for (const std::string& bad :
       {kKey, "0:" + kKey, "256:" + kKey, ":" + kKey, "-1:" + kKey, "1 :" + kKey, std::string{}}) {
    CAPTURE(bad);
    CHECK(error_of(parse_source_key(bad))
              .ends_with("use ID:KEY, ID from 1 to 255, KEY as `tiercast pubkey --source` prints it"));
  }
  CHECK(error_of(parse_source_key("1:abc")) ==
        "\"abc\": not a public key; use the 44 characters that `tiercast pubkey --source` prints");
}

TEST_CASE("an address range loses its host bits") {
  const auto first = [](const char* word) {
    const auto range = parse_address_range(word);
    REQUIRE(range);
    return to_string(range->first) + "/" + std::to_string(range->prefix);
  };
  CHECK(first("10.1.2.3/16") == "10.1.0.0:0/16");
  CHECK(first("10.1.2.3/32") == "10.1.2.3:0/32");
  CHECK(first("10.1.2.3/0") == "0.0.0.0:0/0");
  CHECK(first("10.255.255.255/9") == "10.128.0.0:0/9");
  CHECK(first("fd00:1:2:3:4::5/64") == "[fd00:1:2:3::]:0/64");
  CHECK(first("fd00::5/128") == "[fd00::5]:0/128");
  for (const char* bad : {"", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "fd00::/129", "10.0.0/8", "host/8", "10.0.0.0/-1",
                          "10.0.0.0:5/8", "[fd00::]/8", "/8"}) {
    CHECK(error_of(parse_address_range(bad)) ==
          "\"" + std::string{bad} + "\": use ADDRESS/PREFIX in numbers, as in 10.1.0.0/16 or fd00::/64");
  }
}

TEST_CASE("numbers are digits alone, within bounds") {
  CHECK(*parse_number("1", 1, 9) == 1);
  CHECK(*parse_number("9", 1, 9) == 9);
  for (const char* bad : {"", "0", "10", "-1", "+1", "1.0", "1e0", "0x1", " 1", "1 ", "99999999999999999999999"}) {
    CHECK(error_of(parse_number(bad, 1, 9)) == "\"" + std::string{bad} + "\": use a whole number, 1 to 9");
  }
}

TEST_CASE("seconds may have a fraction") {
  CHECK(*parse_seconds("1") == 1s);
  CHECK(*parse_seconds("2.5") == 2500ms);
  CHECK(*parse_seconds("0.001") == 1ms);
  CHECK(*parse_seconds("604800") == 168h);
  for (const char* bad : {"", "0", "0.0001", "-1", "604801", "nan", "inf", "1e3", "1s", "1,5"}) {
    CHECK(error_of(parse_seconds(bad)) == "\"" + std::string{bad} + "\": use seconds, 0.001 to 604800");
  }
}

TEST_CASE("backends are a list without repetition") {
  CHECK(*parse_backends("sendmmsg") == std::vector<std::string>{"sendmmsg"});
  CHECK(*parse_backends("sendto,floor,sendmmsg,xdp") == std::vector<std::string>{"sendto", "floor", "sendmmsg", "xdp"});
  CHECK(error_of(parse_backends("floor,floor")) == "\"floor\": named twice; name it once");
  for (const char* bad : {"", "floor,", ",floor", "floor, sendto", "udp"}) {
    CAPTURE(bad);
    CHECK(
        error_of(parse_backends(bad)).ends_with("use sendto, floor, sendmmsg or xdp, or several with commas between"));
  }
}

TEST_CASE("a word that is long or has control characters in it stays out of the terminal's way") {
  CHECK(error_of(parse_number(std::string(10'000, 'x'), 1, 9)).size() < 200);
  CHECK(error_of(parse_number("\x1b[2J", 1, 9)) == "\"?[2J\": use a whole number, 1 to 9");
}

}  // namespace tiercast::arguments_test
