// The words of IP multicast, the same in a file and on a command line: text -> values. An error is one clause that says
// what would be right; whose word it was is the caller's to say. Touches no machine: whether an interface is there
// shows when it is used.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "config/config.hpp"

namespace tiercast::config {

/// "239.10.0.1:4801" or "[ff15::10:1]:4801": a multicast address that leaves the machine and is not the local control
/// block's (224.0.0.0/24), with a port. Its scope id is 0: the interface is told beside it.
tl::expected<Endpoint, std::string> parse_multicast_group(std::string_view text);

/// "10.0.0.1" or "fd00::1": one sender's address, without a port (0 in the Endpoint).
tl::expected<Endpoint, std::string> parse_multicast_source(std::string_view text);

/// Could be an interface's name on Linux.
bool is_interface_name(std::string_view name);
inline constexpr std::string_view kInterfaceNameHint =
    "not an interface's name; use one that `ip link` lists, up to 15 characters";

/// "GROUP:PORT@INTERFACE", the source being the parent.
tl::expected<MulticastIn, std::string> parse_multicast_word(std::string_view word);

/// A parent's address as the source of its frames, port 0. nullopt: it is a name.
std::optional<Endpoint> multicast_source_of(const HostPort& parent);

/// Nothing can come to the group from its source (the parent unless told): they are of two families. False where the
/// parent is a name.
bool is_of_two_families(const MulticastIn& in, const HostPort& parent);

}  // namespace tiercast::config
