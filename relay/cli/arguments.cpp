#include "relay/cli/arguments.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "config/document.hpp"
#include "config/host.hpp"
#include "config/multicast.hpp"
#include "relay/base/decimal.hpp"

namespace tiercast::cli {
namespace {

tl::unexpected<std::string> wrong(std::string_view word, const std::string& why) {
  constexpr std::size_t kShown = 80;
  return tl::unexpected("\"" + config::printable(word, kShown) + "\": " + why);
}

}  // namespace

Argument<HostPort> parse_address(std::string_view word) {
  const auto address = split_host_port(word);
  if (!address || !config::is_host(address->host))
    return wrong(word, "use HOST:PORT, as in edge-1.example.net:4800 or [2001:db8::1]:4800");
  if (address->port == 0) return wrong(word, "port 0; use 1 to 65535");
  return *address;
}

Argument<crypto::PublicKey> parse_public_key(std::string_view word, std::string_view command) {
  const auto key = crypto::public_key_from_base64(word);
  if (!key) return wrong(word, "not a public key; use the 44 characters that `" + std::string{command} + "` prints");
  return *key;
}

Argument<config::MulticastIn> parse_multicast(std::string_view word) {
  const auto multicast = config::parse_multicast_word(word);
  if (!multicast) return wrong(word, multicast.error());
  return *multicast;
}

Argument<config::Upstream> parse_parent(std::string_view word, const ParentDefaults& defaults) {
  const std::size_t first = word.find(',');
  const std::size_t second = first == std::string_view::npos ? first : word.find(',', first + 1);
  const auto address = parse_address(word.substr(0, first));
  if (!address) return tl::unexpected(address.error());
  config::Upstream out{*address, {}, defaults.multicast};
  if (first != std::string_view::npos) {
    const auto key = parse_public_key(word.substr(first + 1, second - first - 1), "tiercast pubkey");
    if (!key) return tl::unexpected(key.error());
    out.public_key = *key;
  } else if (defaults.key) {
    out.public_key = *defaults.key;
  } else {
    return wrong(word, "whose key? Give the edge's public key with --key KEY, or write HOST:PORT,KEY");
  }
  if (second != std::string_view::npos) {
    const auto multicast = parse_multicast(word.substr(second + 1));
    if (!multicast) return tl::unexpected(multicast.error());
    out.multicast = *multicast;
  }
  if (out.multicast && config::is_of_two_families(*out.multicast, *address))
    return wrong(word, "its group " + to_string(out.multicast->group) +
                           " is of the other family; use the edge's address of the same one");
  return out;
}

Argument<config::SourceKey> parse_source_key(std::string_view word) {
  const std::size_t colon = word.find(':');
  const auto id = from_decimal<std::uint32_t>(word.substr(0, colon));
  if (colon == std::string_view::npos || !id || *id < 1 || *id > 255) {
    return wrong(word, "use ID:KEY, ID from 1 to 255, KEY as `tiercast pubkey --source` prints it");
  }
  const auto key = parse_public_key(word.substr(colon + 1), "tiercast pubkey --source");
  if (!key) return tl::unexpected(key.error());
  return config::SourceKey{SourceId{static_cast<std::uint8_t>(*id)}, *key};
}

Argument<AddressRange> parse_address_range(std::string_view word) {
  const std::string use = "use ADDRESS/PREFIX in numbers, as in 10.1.0.0/16 or fd00::/64";
  const std::size_t slash = word.find('/');
  if (slash == std::string_view::npos) return wrong(word, use);
  const std::string address{word.substr(0, slash)};
  const bool v6 = address.find(':') != std::string::npos;
  const auto endpoint = parse_endpoint(v6 ? "[" + address + "]:0" : address + ":0");
  const auto prefix = from_decimal<unsigned>(word.substr(slash + 1));
  if (!endpoint || !prefix || *prefix > (v6 ? 128u : 32u)) return wrong(word, use);
  AddressRange out{*endpoint, *prefix};
  const std::size_t kept = *prefix + (v6 ? 0 : 96);  // an IPv4 address lies in the last 32 of the 128 bits
  for (std::size_t bit = kept; bit < 128; ++bit) {
    out.first.ip[bit / 8] = static_cast<std::uint8_t>(out.first.ip[bit / 8] & ~(0x80u >> (bit % 8)));
  }
  return out;
}

Argument<std::uint64_t> parse_number(std::string_view word, std::uint64_t least, std::uint64_t most) {
  const auto number = from_decimal<std::uint64_t>(word);
  if (!number || *number < least || *number > most) {
    return wrong(word, "use a whole number, " + std::to_string(least) + " to " + std::to_string(most));
  }
  return *number;
}

Argument<Duration> parse_seconds(std::string_view word) {
  constexpr double kMost = 7 * 24 * 3600;
  double seconds = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), seconds, std::chars_format::fixed);
  const bool read = error == std::errc{} && end == word.data() + word.size();
  if (!read || !(seconds >= 0.001) || !(seconds <= kMost)) {  // written so that a NaN is refused too
    return wrong(word, "use seconds, 0.001 to 604800");
  }
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>{seconds});
}

Argument<std::vector<std::string>> parse_backends(std::string_view word) {
  constexpr std::array<std::string_view, 4> kBackends{"sendto", "floor", "sendmmsg", "xdp"};
  std::vector<std::string> out;
  for (std::string_view rest = word;;) {
    const std::size_t comma = rest.find(',');
    const std::string backend{rest.substr(0, comma)};
    if (std::find(kBackends.begin(), kBackends.end(), backend) == kBackends.end()) {
      return wrong(backend, "use sendto, floor, sendmmsg or xdp, or several with commas between");
    }
    if (std::find(out.begin(), out.end(), backend) != out.end()) return wrong(backend, "named twice; name it once");
    out.push_back(backend);
    if (comma == std::string_view::npos) return out;
    rest.remove_prefix(comma + 1);
  }
}

}  // namespace tiercast::cli
