// The public ports' sockets where a service manager has bound them (systemd's ListenDatagram=) and keeps them over our
// restarts, with all that is queued in them. Knows no environment: it is given descriptors.
#pragma once

#include <span>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "relay/net/descriptor.hpp"
#include "relay/net/steering.hpp"

namespace tiercast::net {

/// A descriptor and how messages call it.
struct PassedSocket {
  Descriptor descriptor;
  std::string name;
};

/// Sorts them by address (in the order of each address's first), steers and filters them as bind_public() does. Each
/// address has one socket for joins, which is its first one, and one a worker, in the order in which they were bound:
/// that of the descriptors, with systemd. They may be of other addresses than `addresses`, which the configuration
/// names, but must be as many, of the same families and ports; else the exit status is 78 (EX_CONFIG).
tl::expected<std::vector<PublicSockets>, Error> adopt_public(std::vector<PassedSocket> passed,
                                                             std::span<const Endpoint> addresses,
                                                             std::span<const std::uint16_t> boot_tags);

}  // namespace tiercast::net
