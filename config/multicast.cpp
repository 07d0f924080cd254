#include "config/multicast.hpp"

#include <algorithm>
#include <utility>

namespace tiercast::config {
namespace {

constexpr std::size_t kV4 = 12;  // where IPv4 starts in 16 bytes

bool is_multicast(const Endpoint& e) { return e.is_v4() ? (e.ip[kV4] & 0xf0) == 0xe0 : e.ip[0] == 0xff; }

tl::unexpected<std::string> wrong(std::string why) { return tl::unexpected(std::move(why)); }

/// Numbers alone, without a port.
std::optional<Endpoint> parse_address(std::string_view text) {
  return parse_endpoint(to_string(HostPort{std::string{text}, 0}));
}

}  // namespace

tl::expected<Endpoint, std::string> parse_multicast_group(std::string_view text) {
  const std::string use = "use one of 239.0.0.0/8, or of ff15::/16 for IPv6";
  const auto group = parse_endpoint(text);
  if (!group) return wrong("not an address with a port; use numbers, as in 239.10.0.1:4801 or [ff15::10:1]:4801");
  if (!is_multicast(*group)) return wrong("not a multicast address; " + use);
  if (group->is_v4()) {
    if (group->ip[kV4] == 224 && group->ip[kV4 + 1] == 0 && group->ip[kV4 + 2] == 0)
      return wrong("of the local control block 224.0.0.0/24, which every host hears; " + use);
  } else if (const int scope = group->ip[1] & 0x0f; scope <= 1) {  // RFC 4291 §2.7: 0 is reserved
    return wrong("an IPv6 group of scope " + std::to_string(scope) + " never leaves the machine; " + use);
  }
  if (group->scope != 0) return wrong("names an interface, which is told beside it; leave out what % begins");
  if (group->port == 0) return wrong("port 0; use 1 to 65535");
  return *group;
}

tl::expected<Endpoint, std::string> parse_multicast_source(std::string_view text) {
  const auto source = parse_address(text);
  if (!source) return wrong("not an address; use numbers without a port, as in 10.0.0.1 or fd00::1");
  if (source->scope != 0) return wrong("names an interface, which is told beside it; leave out what % begins");
  const auto is = [&](std::uint8_t byte) {
    return std::all_of(source->ip.begin() + kV4, source->ip.end(), [=](std::uint8_t b) { return b == byte; });
  };
  const bool nobody = source->is_v4() ? is(0) || is(0xff) : source->ip == Endpoint{}.ip;
  if (nobody || is_multicast(*source)) return wrong("nobody's address; use the one that the parent sends from");
  return *source;
}

bool is_interface_name(std::string_view name) {
  constexpr std::size_t kMost = 15;  // IFNAMSIZ and its zero
  const auto refused = [](char c) {
    return c == '/' || c == ':' || static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
  };
  return !name.empty() && name.size() <= kMost && name != "." && name != ".." &&
         std::none_of(name.begin(), name.end(), refused);
}

tl::expected<MulticastIn, std::string> parse_multicast_word(std::string_view word) {
  const std::size_t at = word.find('@');
  if (at == std::string_view::npos) return wrong("use GROUP:PORT@INTERFACE, as in 239.10.0.1:4801@eth0");
  const auto group = parse_multicast_group(word.substr(0, at));
  if (!group) return tl::unexpected(group.error());
  if (!is_interface_name(word.substr(at + 1))) return wrong(std::string{kInterfaceNameHint});
  return MulticastIn{*group, std::string{word.substr(at + 1)}};
}

std::optional<Endpoint> multicast_source_of(const HostPort& parent) {
  auto source = parse_address(parent.host);
  if (source) source->scope = 0;
  return source;
}

bool is_of_two_families(const MulticastIn& in, const HostPort& parent) {
  const auto source = in.source ? in.source : multicast_source_of(parent);
  return source && source->is_v4() != in.group.is_v4();
}

}  // namespace tiercast::config
