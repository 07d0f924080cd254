// Single words of a command line -> values. An error is one clause that says what would be right; whose word it was is
// the caller's to say. Knows no option's name.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "relay/cli/options.hpp"

namespace tiercast::cli {

template <class T>
using Argument = tl::expected<T, std::string>;

/// "HOST:PORT", port 1..65535.
Argument<HostPort> parse_address(std::string_view word);
/// A public key in base64; `command` is the one that prints such keys.
Argument<crypto::PublicKey> parse_public_key(std::string_view word, std::string_view command);
/// "GROUP:PORT@INTERFACE": where an edge's frames come by IP multicast, from the edge itself.
Argument<config::MulticastIn> parse_multicast(std::string_view word);
/// What an edge's own word leaves out.
struct ParentDefaults {
  std::optional<crypto::PublicKey> key;
  std::optional<config::MulticastIn> multicast;
};
/// "HOST:PORT", "HOST:PORT,KEY" or "HOST:PORT,KEY,GROUP:PORT@INTERFACE".
Argument<config::Upstream> parse_parent(std::string_view word, const ParentDefaults& defaults);
/// "ID:KEY".
Argument<config::SourceKey> parse_source_key(std::string_view word);
/// "ADDRESS/PREFIX", numeric; host bits are cleared.
Argument<AddressRange> parse_address_range(std::string_view word);
/// A whole number within bounds, in digits alone.
Argument<std::uint64_t> parse_number(std::string_view word, std::uint64_t least, std::uint64_t most);
/// Seconds, with a fraction if need be; above zero, up to a week.
Argument<Duration> parse_seconds(std::string_view word);
/// "a,b,c": each of sendto, floor, sendmmsg, none twice.
Argument<std::vector<std::string>> parse_backends(std::string_view word);

}  // namespace tiercast::cli
