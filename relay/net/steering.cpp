#include "relay/net/steering.hpp"

#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include <array>
#include <cassert>
#include <cerrno>
#include <cstring>

#include "relay/wire/packets.hpp"

namespace tiercast::net {
namespace {

// A socket filter sees the UDP header first; a steering program does not.
constexpr std::uint32_t kPayload = 8;
constexpr std::uint32_t kAccept = 0xffffffff;  // bytes to keep: all
constexpr std::uint32_t kDrop = 0;
constexpr std::uint32_t kLeastNoise = 48;  // Noise message 1: an ephemeral key and a tag
constexpr auto kLargestPacket = static_cast<std::uint32_t>(kPayload + wire::kMaxDatagram);
constexpr std::uint8_t kControl = static_cast<std::uint8_t>(wire::Type::control);

constexpr std::uint32_t number(wire::Type type) { return static_cast<std::uint32_t>(type); }

// A load beyond the datagram's end ends a program with 0: dropped by a filter, socket 0 by a steering program.
constexpr sock_filter load8(std::uint32_t at) { return BPF_STMT(BPF_LD | BPF_B | BPF_ABS, at); }
constexpr sock_filter load16(std::uint32_t at) { return BPF_STMT(BPF_LD | BPF_H | BPF_ABS, at); }
constexpr sock_filter load_length() { return BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0); }
constexpr sock_filter add(std::uint32_t k) { return BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, k); }
constexpr sock_filter give(std::uint32_t k) { return BPF_STMT(BPF_RET | BPF_K, k); }
constexpr sock_filter give_loaded() { return BPF_STMT(BPF_RET | BPF_A, 0); }
/// Skip so many instructions if …, else so many.
constexpr sock_filter if_equal(std::uint32_t k, std::uint8_t then, std::uint8_t otherwise) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, then, otherwise);
}
constexpr sock_filter if_at_least(std::uint32_t k, std::uint8_t then, std::uint8_t otherwise) {
  return BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, k, then, otherwise);
}
constexpr sock_filter if_more(std::uint32_t k, std::uint8_t then, std::uint8_t otherwise) {
  return BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, k, then, otherwise);
}

template <std::size_t N>
int attach(int fd, int option, std::array<sock_filter, N> program) {
  const sock_fprog loaded{static_cast<unsigned short>(N), program.data()};
  return setsockopt(fd, SOL_SOCKET, option, &loaded, sizeof loaded) == 0 ? 0 : errno;
}

}  // namespace

int attach_steering(int fd, unsigned workers) {
  return attach(fd, SO_ATTACH_REUSEPORT_CBPF,
                std::array{
                    load8(0), if_equal(kControl, 0, 4),    // 0, 1: not CONTROL -> 6
                    load8(1), if_at_least(workers, 2, 0),  // 2, 3: no such lane -> 6
                    add(1), give_loaded(),                 // 4, 5
                    give(0),                               // 6
                });
}

int attach_join_filter(int fd) {
  constexpr auto kHello = static_cast<std::uint32_t>(kPayload + wire::kHello);
  constexpr auto kLeastJoin = static_cast<std::uint32_t>(kPayload + wire::kJoinClear + kLeastNoise);
  return attach(fd, SO_ATTACH_FILTER,
                std::array{
                    load8(kPayload + 1), if_equal(0, 0, 8),                      // 0, 1: -> 10
                    load8(kPayload), if_equal(number(wire::Type::hello), 0, 2),  // 2, 3: -> 6
                    load_length(), if_equal(kHello, 3, 4),                       // 4, 5: -> 9 or 10
                    if_equal(number(wire::Type::join), 0, 3),                    // 6: -> 10
                    load_length(), if_at_least(kLeastJoin, 2, 1),                // 7, 8: -> 11 or 10
                    give(kAccept),                                               // 9
                    give(kDrop),                                                 // 10
                    if_more(kLargestPacket, 0, 1), give(kDrop), give(kAccept),   // 11, 12, 13
                });
}

int attach_control_filter(int fd, std::uint16_t boot_tag) {
  constexpr auto kLeast = static_cast<std::uint32_t>(kPayload + wire::kMinControl);
  return attach(fd, SO_ATTACH_FILTER,
                std::array{
                    load8(kPayload), if_equal(number(wire::Type::control), 0, 5),  // 0, 1: -> 7
                    load16(kPayload + 2), if_equal(boot_tag, 0, 3),                // 2, 3: -> 7
                    load_length(), if_at_least(kLeast, 0, 1),                      // 4, 5: -> 7
                    if_more(kLargestPacket, 0, 1),                                 // 6: -> 8
                    give(kDrop), give(kAccept),                                    // 7, 8
                });
}

int attach_drop_filter(int fd) { return attach(fd, SO_ATTACH_FILTER, std::array{give(kDrop)}); }

std::optional<std::uint32_t> socket_drops(int fd) {
  std::array<std::uint32_t, SK_MEMINFO_VARS> values{};
  socklen_t size = sizeof values;
  if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, values.data(), &size) != 0 || size < (SK_MEMINFO_DROPS + 1) * 4)
    return std::nullopt;
  return values[SK_MEMINFO_DROPS];
}

namespace {
tl::unexpected<Error> refused(int error) {
  return tl::unexpected(Error{std::string{"the kernel refuses a socket filter: "} + std::strerror(error), 71});
}
}  // namespace

tl::expected<void, Error> steer(const PublicSockets& sockets, std::span<const std::uint16_t> boot_tags) {
  assert(sockets.workers.size() == boot_tags.size());
  // What comes meanwhile meets the filters: a join that goes astray is sent again.
  for (std::size_t w = 0; w < boot_tags.size(); ++w)
    if (const int error = attach_control_filter(sockets.workers[w].fd(), boot_tags[w]); error != 0)
      return refused(error);
  if (const int error = attach_join_filter(sockets.join.fd()); error != 0) return refused(error);
  const auto workers = static_cast<unsigned>(boot_tags.size());
  if (const int error = attach_steering(sockets.join.fd(), workers); error != 0) return refused(error);
  return {};
}

tl::expected<PublicSockets, Error> bind_public(const Endpoint& address, std::span<const std::uint16_t> boot_tags,
                                               const SocketOptions& join_options, const SocketOptions& worker_options) {
  // Alone on its port first: SO_REUSEPORT would let a second program of the same user share it in silence.
  Endpoint where = address;
  {
    SocketOptions alone = join_options;
    alone.reuse_port = false;
    auto probe = UdpSocket::bind(address, alone);
    if (!probe) return tl::unexpected(probe.error());
    where.port = probe->local().port;
  }
  const auto open_one = [&](SocketOptions options) {
    options.reuse_port = true;
    return UdpSocket::open(family_of(address), options);
  };
  auto join = open_one(join_options);
  if (!join) return tl::unexpected(join.error());
  if (const int error = attach_join_filter(join->fd()); error != 0) return refused(error);
  // Before bind: from the first datagram on.
  if (const int error = attach_steering(join->fd(), static_cast<unsigned>(boot_tags.size())); error != 0)
    return refused(error);
  if (auto bound = join->bind_to(where); !bound) return tl::unexpected(bound.error());
  PublicSockets out{std::move(*join), {}};
  for (const std::uint16_t tag : boot_tags) {
    auto worker = open_one(worker_options);
    if (!worker) return tl::unexpected(worker.error());
    if (const int error = attach_control_filter(worker->fd(), tag); error != 0) return refused(error);
    if (auto bound = worker->bind_to(where); !bound) return tl::unexpected(bound.error());
    out.workers.push_back(std::move(*worker));
  }
  return out;
}

}  // namespace tiercast::net
