#include "relay/measure/flood.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "relay/base/exit_code.hpp"
#include "relay/net/udp_socket.hpp"
#include "relay/wire/packets.hpp"

namespace tiercast::measure {
namespace {

// Sending over loopback costs about twice what receiving does, and the threads share their cores with the receiver.
constexpr unsigned kSenders = 4;
constexpr std::uint64_t kFloodBatch = 64;
constexpr std::size_t kNoise = 48 + 8;  // NK's message 1 with a join request

}  // namespace

std::vector<std::vector<std::uint8_t>> make_flood(Flood kind, std::uint32_t issued, std::size_t count, Random& random) {
  std::vector<std::vector<std::uint8_t>> out(count);
  for (auto& datagram : out) {
    datagram.resize(wire::kJoinClear + kNoise);
    random.fill(datagram);
    if (kind == Flood::junk) {
      datagram[0] = 0x7f;
      continue;
    }
    wire::Join join;
    join.pattern = wire::Pattern::nk;
    join.challenge.issued = issued;
    random.fill(join.challenge.nonce);
    random.fill(join.challenge.cookie);
    wire::write_join_clear(std::span{datagram}.first<wire::kJoinClear>(), join);
  }
  return out;
}

tl::expected<std::uint32_t, net::Error> ask_issued(const Endpoint& node, Random& random) {
  const auto socket = net::UdpSocket::connect(node, {.packet_info = false});
  if (!socket) return tl::unexpected(socket.error());
  wire::Hello clear;
  random.fill(clear.nonce);
  std::array<std::uint8_t, wire::kHello> hello{};
  wire::write_hello(hello, clear);
  for (int tries = 0; tries < 10; ++tries) {
    (void)socket->send(hello);
    pollfd ready{socket->fd(), POLLIN, 0};
    if (::poll(&ready, 1, 200) <= 0) continue;
    std::array<std::uint8_t, wire::kMaxDatagram> buffer;
    const ssize_t size = ::recv(socket->fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size <= 0) continue;
    if (const auto retry = wire::parse_retry(Bytes{buffer}.first(static_cast<std::size_t>(size))))
      return retry->challenge.issued;
  }
  return tl::unexpected(net::Error{"the node does not answer HELLO", ExitCode::unavailable});
}

tl::expected<std::uint64_t, net::Error> send_flood(const Endpoint& to,
                                                   const std::vector<std::vector<std::uint8_t>>& datagrams,
                                                   std::uint64_t count) {
  std::atomic<std::uint64_t> claimed{0}, sent{0};
  const auto send = [&](const net::UdpSocket& socket) {
    std::vector<iovec> parts(kFloodBatch);
    std::vector<mmsghdr> headers(kFloodBatch);
    for (std::size_t i = 0; i < kFloodBatch; ++i) {
      const auto& datagram = datagrams[i % datagrams.size()];
      parts[i] = {const_cast<std::uint8_t*>(datagram.data()), datagram.size()};
      headers[i].msg_hdr.msg_iov = &parts[i];
      headers[i].msg_hdr.msg_iovlen = 1;
    }
    for (std::uint64_t first = claimed.fetch_add(kFloodBatch); first < count; first = claimed.fetch_add(kFloodBatch)) {
      const auto most = static_cast<unsigned>(std::min(kFloodBatch, count - first));
      const int done = ::sendmmsg(socket.fd(), headers.data(), most, 0);
      if (done > 0) sent += static_cast<unsigned>(done);
    }
  };
  std::vector<net::UdpSocket> sockets;
  for (unsigned i = 0; i < kSenders; ++i) {
    auto socket = net::UdpSocket::connect(to, {.packet_info = false, .send_buffer = 1 << 20});
    if (!socket) return tl::unexpected(socket.error());
    sockets.push_back(std::move(*socket));
  }
  std::vector<std::thread> threads;
  for (const auto& socket : sockets) threads.emplace_back([&send, &socket] { send(socket); });
  for (auto& thread : threads) thread.join();
  return sent.load();
}

}  // namespace tiercast::measure
