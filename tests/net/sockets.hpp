// Plain blocking helpers for tests on real loopback sockets: what the code under test must agree with.
#pragma once

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "relay/net/address.hpp"
#include "relay/net/loop.hpp"
#include "relay/net/udp_socket.hpp"

namespace tiercast::test {

inline Endpoint endpoint(const std::string& text) {
  auto parsed = parse_endpoint(text);
  REQUIRE(parsed);
  return *parsed;
}
inline Endpoint with_port(Endpoint e, std::uint16_t port) {
  e.port = port;
  return e;
}
inline LocalAddress local_address(const std::string& ip) { return {endpoint(ip).ip, 0}; }

inline Bytes bytes(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string text(Bytes b) { return {b.begin(), b.end()}; }

inline net::UdpSocket bound(const std::string& address, const net::SocketOptions& options = {}) {
  auto socket = net::UdpSocket::bind(endpoint(address), options);
  REQUIRE_MESSAGE(socket, (socket ? "" : socket.error().text));
  return std::move(*socket);
}
inline net::UdpSocket connected(const Endpoint& peer) {
  auto socket = net::UdpSocket::connect(peer, {});
  REQUIRE(socket);
  return std::move(*socket);
}
inline net::Loop make_loop(const net::LoopOptions& options = {}) {
  auto loop = net::Loop::create(options);
  REQUIRE_MESSAGE(loop, (loop ? "" : loop.error().text));
  return std::move(*loop);
}

struct Received {
  std::string text;
  Endpoint from;
  LocalAddress local;
};

/// What lies in the socket's queue now: loopback delivers within the sender's system call.
inline std::vector<Received> drain(int fd) {
  std::vector<Received> out;
  while (true) {
    std::array<char, 4096> buffer{};
    sockaddr_storage from{};
    alignas(cmsghdr) std::array<char, 256> control{};
    iovec part{buffer.data(), buffer.size()};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = ::recvmsg(fd, &message, MSG_DONTWAIT);
    if (size < 0) return out;
    out.push_back({std::string{buffer.data(), static_cast<std::size_t>(size)},
                   net::from_sockaddr(&from, message.msg_namelen).value_or(Endpoint{}),
                   net::read_local(control.data(), message.msg_controllen)});
  }
}

/// Keeps what it is given.
class Collector : public net::DatagramHandler {
 public:
  void on_datagram(MutableBytes datagram, const Endpoint& from, const LocalAddress& local) override {
    received.push_back({text(datagram), from, local});
  }
  void on_error(int error) override { errors.push_back(error); }
  std::vector<Received> received;
  std::vector<int> errors;
};

/// Turns until `done`, at most 10 s: a bound against hanging, not a measurement.
template <class Done>
bool turn_until(net::Loop& loop, Done done) {
  const Time give_up = net::read_clocks().mono + 10s;
  while (!done()) {
    const Time now = net::read_clocks().mono;
    if (now >= give_up) return false;
    loop.turn(give_up, 64);
  }
  return true;
}

/// Turns until nothing is left to do now.
inline void settle(net::Loop& loop) {
  while (loop.turn(Time{}, 64) > 0) {
  }
}

}  // namespace tiercast::test
