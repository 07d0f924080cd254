#include "config/multicast.hpp"

#include "tests/config/whole_file.hpp"

namespace tiercast::multicast_test {

using namespace tiercast::config;
using namespace tiercast::test;

namespace {

const std::string kUse = "use one of 239.0.0.0/8, or of ff15::/16 for IPv6";
const std::string kName = "not an interface's name; use one that `ip link` lists, up to 15 characters";

template <class T>
std::string error_of(const tl::expected<T, std::string>& parsed) {
  return parsed ? "(none)" : parsed.error();
}

std::string out(const std::string& value) {
  return replaced(kWhole, "max_leases = 100", "max_leases = 100\nmulticast = " + value);
}
std::string in(const std::string& value, const std::string& address = "relay-1.example.net:4800") {
  return replaced(replaced(kWhole, "[[downstream]]", "multicast = " + value + "\n[[downstream]]"),
                  "relay-1.example.net:4800", address);
}
Listen listen_of(const std::string& value) {
  const Loaded loaded = parse(out(value), "f.toml", kMachine);
  REQUIRE_MESSAGE(loaded.config, loaded.problems[0].text);
  return *loaded.config->listen;
}
Upstream upstream_of(const std::string& value, const std::string& address = "relay-1.example.net:4800") {
  const Loaded loaded = parse(in(value, address), "f.toml", kMachine);
  REQUIRE_MESSAGE(loaded.config, loaded.problems[0].text);
  return loaded.config->upstreams[0];
}

}  // namespace

TEST_CASE("a multicast group leaves the machine and has a port") {
  for (const char* good : {"239.10.0.1:4801", "224.0.1.0:1", "232.1.2.3:65535", "[ff15::10:1]:4801",
                           "[ff02::1234]:4801", "[ff3e::1]:4801", "[ff08::1]:4801"})
    CHECK(to_string(*parse_multicast_group(good)) == good);
  for (const char* bad : {"", "239.10.0.1", "ff15::1:4801", "239.10.0.1:x", "239.10.0.1:65536", "group.example:4801",
                          "239.10.0.1:4801@eth0"})
    CHECK(error_of(parse_multicast_group(bad)) ==
          "not an address with a port; use numbers, as in 239.10.0.1:4801 or [ff15::10:1]:4801");
  for (const char* bad : {"223.255.255.255:1", "240.0.0.0:1", "10.0.0.1:0", "[fd00::1]:1", "[::]:1", "0.0.0.0:1"})
    CHECK(error_of(parse_multicast_group(bad)) == "not a multicast address; " + kUse);
  for (const char* bad : {"224.0.0.0:1", "224.0.0.255:1"})
    CHECK(error_of(parse_multicast_group(bad)) ==
          "of the local control block 224.0.0.0/24, which every host hears; " + kUse);
  for (const char* bad : {"[ff01::1]:1", "[ff11::1]:1", "[ff31::1]:1"})
    CHECK(error_of(parse_multicast_group(bad)) == "an IPv6 group of scope 1 never leaves the machine; " + kUse);
  CHECK(error_of(parse_multicast_group("[ff10::1]:1")) == "an IPv6 group of scope 0 never leaves the machine; " + kUse);
  CHECK(error_of(parse_multicast_group("[ff02::1234%2]:1")) ==
        "names an interface, which is told beside it; leave out what % begins");
  CHECK(error_of(parse_multicast_group("239.10.0.1:0")) == "port 0; use 1 to 65535");
}

TEST_CASE("a source is one host's address without a port") {
  CHECK(to_string(*parse_multicast_source("10.0.0.1")) == "10.0.0.1:0");
  CHECK(to_string(*parse_multicast_source("fe80::1")) == "[fe80::1]:0");
  for (const char* bad : {"", "10.0.0.1:4800", "[fd00::1]", "relay-1.example.net", "10.0.0"})
    CHECK(error_of(parse_multicast_source(bad)) ==
          "not an address; use numbers without a port, as in 10.0.0.1 or fd00::1");
  for (const char* bad : {"239.10.0.1", "ff15::1", "0.0.0.0", "::", "255.255.255.255"})
    CHECK(error_of(parse_multicast_source(bad)) == "nobody's address; use the one that the parent sends from");
  CHECK(error_of(parse_multicast_source("fe80::1%2")) ==
        "names an interface, which is told beside it; leave out what % begins");
}

TEST_CASE("an interface's name is what Linux takes for one") {
  for (const char* good : {"eth0", "enp0s31f6", "br-lan", "eth0.100", "vlan_7", "123456789012345"})
    CHECK(is_interface_name(good));
  for (const char* bad : {"", ".", "..", "a/b", "eth0:1", "a b", "a\n", "a\x7f", "1234567890123456"})
    CHECK_FALSE(is_interface_name(bad));
}

TEST_CASE("a group and its interface in one word") {
  const auto four = parse_multicast_word("239.10.0.1:4801@eth0");
  REQUIRE(four);
  CHECK(*four == MulticastIn{*parse_endpoint("239.10.0.1:4801"), "eth0"});
  CHECK(parse_multicast_word("[ff15::10:1]:4801@br-lan")->interface == "br-lan");
  for (const char* bad : {"", "239.10.0.1:4801", "eth0"})
    CHECK(error_of(parse_multicast_word(bad)) == "use GROUP:PORT@INTERFACE, as in 239.10.0.1:4801@eth0");
  CHECK(error_of(parse_multicast_word("239.10.0.1:4801@")) == kName);
  CHECK(error_of(parse_multicast_word("239.10.0.1:4801@eth0/1")) == kName);
  CHECK(error_of(parse_multicast_word("10.0.0.1:4801@eth0")) == "not a multicast address; " + kUse);
}

TEST_CASE("[listen] multicast arrives in its place") {
  CHECK_FALSE(parse(kWhole, "f.toml", kMachine).config->listen->multicast);
  CHECK(listen_of(R"({ group = "239.10.0.1:4801", interface = "eth1" })").multicast ==
        MulticastOut{*parse_endpoint("239.10.0.1:4801"), "eth1", 1});
  CHECK(listen_of(R"({ group = "[ff15::10:1]:4801", interface = "br-lan", ttl = 255 })").multicast ==
        MulticastOut{*parse_endpoint("[ff15::10:1]:4801"), "br-lan", 255});
}

TEST_CASE("[[upstream]] multicast arrives in its place") {
  CHECK_FALSE(parse(kWhole, "f.toml", kMachine).config->upstreams[0].multicast);
  const MulticastIn in = *upstream_of(R"({ group = "239.10.0.1:4801", interface = "eth0" })").multicast;
  CHECK(in == MulticastIn{*parse_endpoint("239.10.0.1:4801"), "eth0", std::nullopt});
  CHECK(upstream_of(R"({ group = "[ff15::1]:4801", interface = "eth0", source = "fe80::1" })").multicast ==
        MulticastIn{*parse_endpoint("[ff15::1]:4801"), "eth0", parse_endpoint("[fe80::1]:0")});
  // The parent by IPv6, its frames by IPv4: with the address that they have.
  CHECK(upstream_of(R"({ group = "239.10.0.1:1", interface = "eth0", source = "10.0.0.1" })", "[fd00::1]:4800")
            .multicast->source == parse_endpoint("10.0.0.1:0"));
  CHECK(upstream_of(R"({ group = "[ff15::1]:1", interface = "eth0" })", "[fe80::1%2]:4800").multicast);
}

TEST_CASE("[listen] multicast: each wrong value has its message") {
  const std::string here = "f.toml:11:13: listen.multicast";
  must_be(problems_of(out("{}")), {here + ".group is missing; add group = \"239.10.0.1:4801\"",
                                   here + ".interface is missing; add interface = \"eth0\""});
  must_be(
      problems_of(out("\"239.10.0.1:4801@eth0\"")),
      {here + " = \"239.10.0.1:4801@eth0\": text; use { group = \"239.10.0.1:4801\", interface = \"eth1\", ttl = 1 }"});
  const std::string group = "f.toml:11:23: listen.multicast.group = ";
  must_be(problems_of(out(R"({ group = "10.0.0.1:4801", interface = "eth0" })")),
          {group + "\"10.0.0.1:4801\": not a multicast address; " + kUse});
  must_be(problems_of(out(R"({ group = "224.0.0.7:4801", interface = "eth0" })")),
          {group + "\"224.0.0.7:4801\": of the local control block 224.0.0.0/24, which every host hears; " + kUse});
  must_be(problems_of(out(R"({ group = "239.10.0.1:0", interface = "eth0" })")),
          {group + "\"239.10.0.1:0\": port 0; use 1 to 65535"});
  must_be(problems_of(out(R"({ group = 239, interface = "eth0" })")),
          {group + "239: an integer; use text in quotes, as in group = \"239.10.0.1:4801\""});
  must_be(problems_of(out(R"({ group = "239.10.0.1:4801", interface = "a/b" })")),
          {"f.toml:11:54: listen.multicast.interface = \"a/b\": " + kName});
  must_be(problems_of(out(R"({ group = "239.10.0.1:4801", interface = "eth0", ttl = 0 })")),
          {"f.toml:11:68: listen.multicast.ttl = 0: use 1 to 255"});
  must_be(problems_of(out(R"({ group = "239.10.0.1:4801", interface = "eth0", ttl = 256 })")),
          {"f.toml:11:68: listen.multicast.ttl = 256: use 1 to 255"});
  must_be(problems_of(out(R"({ group = "239.10.0.1:4801", interface = "eth0", tll = 1 })")),
          {"f.toml:11:62: listen.multicast.tll: unknown key; did you mean ttl?"});
  must_be(problems_of(out(R"({ group = "239.10.0.1:4801", interface = "eth0", source = "10.0.0.1" })")),
          {"f.toml:11:62: listen.multicast.source: unknown key; known here: group, interface or ttl"});
}

TEST_CASE("[[upstream]] multicast: each wrong value has its message") {
  const auto sourced = [](const std::string& source, const std::string& group = "239.10.0.1:4801") {
    return in("{ group = \"" + group + "\", interface = \"eth0\", source = \"" + source + "\" }");
  };
  const std::string source = "f.toml:14:71: upstream.multicast.source = ";
  must_be(problems_of(in("{ interface = \"eth0\" }")),
          {"f.toml:14:13: upstream.multicast.group is missing; add group = \"239.10.0.1:4801\""});
  must_be(problems_of(in("true")), {"f.toml:14:13: upstream.multicast = true: true or false; use { group = "
                                    "\"239.10.0.1:4801\", interface = \"eth0\" }"});
  must_be(problems_of(sourced("10.0.0.1:4800")),
          {source + "\"10.0.0.1:4800\": not an address; use numbers without a port, as in 10.0.0.1 or fd00::1"});
  must_be(problems_of(sourced("239.10.0.1")),
          {source + "\"239.10.0.1\": nobody's address; use the one that the parent sends from"});
  must_be(
      problems_of(sourced("fd00::1")),
      {source + "\"fd00::1\": not of the group's family; use the parent's other address, or a group of this one's"});
  must_be(problems_of(in(R"({ group = "239.10.0.1:4801", interface = "eth0", ttl = 1 })")),
          {"f.toml:14:62: upstream.multicast.ttl: unknown key; known here: group, interface or source"});
  must_be(problems_of(in(R"({ group = "[ff15::1]:4801", interface = "eth0" })", "10.0.0.1:4800")),
          {"f.toml:14:23: upstream.multicast.group = \"[ff15::1]:4801\": not of the family of upstream.address; add "
           "source = the parent's address in the group's family"});
  must_be(problems_of(in(R"({ group = "239.10.0.1:4801", interface = "eth0" })", "[fd00::1]:4800")),
          {"f.toml:14:23: upstream.multicast.group = \"239.10.0.1:4801\": not of the family of upstream.address; add "
           "source = the parent's address in the group's family"});
}

TEST_CASE("what one parent sends by multicast is no other's") {
  const auto two = [](const std::string& first, const std::string& first_value, const std::string& second,
                      const std::string& second_value) {
    return problems_of(in(first_value, first) + "[[upstream]]\naddress = \"" + second + "\"\npublic_key = \"" +
                       kSourceKey + "\"\nmulticast = " + second_value + "\n");
  };
  const std::string plain = R"({ group = "239.10.0.1:4801", interface = "eth0" })";
  const std::string other_port = R"({ group = "239.10.0.1:4802", interface = "eth0" })";
  const std::string other_interface = R"({ group = "239.10.0.1:4801", interface = "eth1" })";
  const std::string sourced = R"({ group = "239.10.0.1:4801", interface = "eth0", source = "10.0.0.1" })";
  const std::vector<std::string> refused{
      "f.toml:36:13: upstream.multicast: the upstream at line 14 has it already; one parent's frames come by it; name "
      "its source, or leave it out"};
  must_be(two("10.0.0.1:1", plain, "10.0.0.2:1", plain), {});
  must_be(two("10.0.0.1:1", plain, "10.0.0.1:2", other_port), {});
  must_be(two("10.0.0.1:1", plain, "10.0.0.1:2", other_interface), {});
  must_be(two("10.0.0.1:1", plain, "10.0.0.1:2", plain), refused);
  must_be(two("10.0.0.1:1", plain, "relay:1", sourced), refused);
  must_be(two("relay-1:1", sourced, "relay-2:1", sourced), refused);
  must_be(two("relay-1:1", plain, "relay-1:2", plain), refused);
  must_be(two("relay-1:1", plain, "relay-2:1", plain), {});
}

}  // namespace tiercast::multicast_test
