// Which socket of the public port a datagram goes to, and what is dropped before it is queued: classic BPF in the
// kernel. The one place of net/ that knows packet offsets (relay/wire).
#pragma once

#include <optional>
#include <span>
#include <tl/expected.hpp>
#include <vector>

#include "relay/net/udp_socket.hpp"

namespace tiercast::net {

/// The sockets of one public port. Joining (HELLO, JOIN) goes to `join`; CONTROL to the worker that its byte 1 names;
/// anything else nowhere.
struct PublicSockets {
  UdpSocket join;
  std::vector<UdpSocket> workers;  // by lane
};

/// Binds one socket for joins and one a worker (1 to 255), by SO_REUSEPORT, and filters them from the first datagram
/// on. `boot_tags`: the first 16 bits of each worker's lease ids. `worker_options` and `join_options` give the buffers.
///
/// The kernel numbers sockets in the order they were bound, and when one closes the last one takes its number: close
/// them all, or none while others go on.
tl::expected<PublicSockets, Error> bind_public(const Endpoint& address, std::span<const std::uint16_t> boot_tags,
                                               const SocketOptions& join_options, const SocketOptions& worker_options);

/// Steers and filters sockets that have been bound already, in the order join, then workers by lane.
tl::expected<void, Error> steer(const PublicSockets& sockets, std::span<const std::uint16_t> boot_tags);

// The programs by themselves; 0 or an errno. A filter can be attached before bind(), so that nothing slips in.

/// To any one socket of a SO_REUSEPORT group, for the whole group: number 0 gets all that is not CONTROL of a lane
/// below `workers`, number 1 + lane that. (The offset 0 of this program is the payload; a number that no socket has
/// would be chosen by hash.)
[[nodiscard]] int attach_steering(int fd, unsigned workers);
/// HELLO and JOIN of their right lengths and byte 1.
[[nodiscard]] int attach_join_filter(int fd);
/// CONTROL of a right length whose lease id begins with `boot_tag`.
[[nodiscard]] int attach_control_filter(int fd, std::uint16_t boot_tag);
/// Nothing at all: a sink for measurements.
[[nodiscard]] int attach_drop_filter(int fd);

/// Datagrams that a socket has dropped so far (wraps at 2^32): queue full, and refused by its filter; the kernel does
/// not tell these apart.
std::optional<std::uint32_t> socket_drops(int fd);

}  // namespace tiercast::net
