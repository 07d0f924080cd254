#include "relay/measure/load_socket.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "relay/net/address.hpp"
#include "relay/net/steering.hpp"
#include "relay/net/udp_socket.hpp"
#include "relay/wire/limits.hpp"

namespace tiercast::measure {
namespace {

constexpr std::size_t kLoadBatch = 128;
constexpr int kBuffer = 64 << 20;  // a round of frames to some tens of thousands
// Longer than any of the protocol, so that what is too long is seen to be.
constexpr std::size_t kLongest = 1280;
static_assert(kLongest > wire::kMaxDatagram);

bool on(int fd, int level, int option) {
  const int one = 1;
  return setsockopt(fd, level, option, &one, sizeof one) == 0;
}

}  // namespace

struct LoadSocket::State {
  struct Incoming {
    sockaddr_storage from;
    alignas(cmsghdr) std::array<std::uint8_t, net::kReceiveControl> control;
    iovec part;
    std::array<std::uint8_t, kLongest> bytes;
  };
  struct Outgoing {
    net::SourceControl source;
    iovec part;
    std::array<std::uint8_t, wire::kMaxDatagram> bytes;
  };

  State(net::UdpSocket made, const Endpoint& to)
      : socket(std::move(made)), edge(to), incoming(kLoadBatch), outgoing(kLoadBatch) {
    edge_size = net::to_sockaddr(to, socket.family(), edge_address);
    for (std::size_t i = 0; i < kLoadBatch; ++i) {
      Incoming& in = incoming[i];
      in.part = {in.bytes.data(), in.bytes.size()};
      msghdr& received = receive_headers[i].msg_hdr;
      received.msg_name = &in.from;
      received.msg_iov = &in.part;
      received.msg_iovlen = 1;
      received.msg_control = in.control.data();
      Outgoing& out = outgoing[i];
      msghdr& sent = send_headers[i].msg_hdr;
      sent.msg_name = &edge_address;
      sent.msg_namelen = edge_size;
      sent.msg_iov = &out.part;
      sent.msg_iovlen = 1;
    }
  }

  net::UdpSocket socket;
  Endpoint edge;
  sockaddr_storage edge_address{};
  socklen_t edge_size = 0;
  std::vector<Incoming> incoming;
  std::vector<Outgoing> outgoing;
  std::array<mmsghdr, kLoadBatch> receive_headers{}, send_headers{};
  std::size_t queued = 0;
  std::uint64_t send_refused = 0, drop_foreign = 0, truncated = 0;
};

LoadSocket::LoadSocket(std::unique_ptr<State> state) : state_(std::move(state)) {}
LoadSocket::LoadSocket(LoadSocket&&) noexcept = default;
LoadSocket::~LoadSocket() = default;

tl::expected<LoadSocket, net::Error> LoadSocket::open(const Endpoint& edge) {
  auto socket = net::UdpSocket::open(net::family_of(edge), {.receive_buffer = kBuffer, .send_buffer = kBuffer / 4});
  if (!socket) return tl::unexpected(socket.error());
  // A prefix that is local by its route alone: the kernel knows none of its addresses when it looks for one to send
  // from.
  const bool v4 = edge.is_v4();
  if (!on(socket->fd(), v4 ? int{IPPROTO_IP} : int{IPPROTO_IPV6}, v4 ? IP_FREEBIND : IPV6_FREEBIND) ||
      !on(socket->fd(), SOL_SOCKET, SO_TIMESTAMPNS))
    return tl::unexpected(net::Error{std::string{"cannot set up a UDP socket: "} + std::strerror(errno), 71});
  if (auto bound = socket->bind_to(net::unspecified(edge)); !bound) return tl::unexpected(bound.error());
  return LoadSocket{std::make_unique<State>(std::move(*socket), edge)};
}

int LoadSocket::fd() const { return state_->socket.fd(); }
std::uint16_t LoadSocket::port() const { return state_->socket.local().port; }

bool LoadSocket::receive(const std::function<void(const Datagram&)>& take) {
  State& s = *state_;
  for (std::size_t i = 0; i < kLoadBatch; ++i) {
    s.receive_headers[i].msg_hdr.msg_namelen = sizeof(sockaddr_storage);
    s.receive_headers[i].msg_hdr.msg_controllen = s.incoming[i].control.size();
  }
  const int got = ::recvmmsg(fd(), s.receive_headers.data(), kLoadBatch, MSG_DONTWAIT, nullptr);
  if (got <= 0) return false;  // none; or an error that ICMP has brought, which is over with this
  std::optional<WallTime> now;
  for (int i = 0; i < got; ++i) {
    msghdr& header = s.receive_headers[static_cast<std::size_t>(i)].msg_hdr;
    const auto from = net::from_sockaddr(header.msg_name, header.msg_namelen);
    const LocalAddress local = net::read_local(header.msg_control, header.msg_controllen);
    if (!from || from->ip != s.edge.ip || from->port != s.edge.port || net::is_unspecified(local.ip)) {
      ++s.drop_foreign;
      continue;
    }
    if ((header.msg_flags & MSG_TRUNC) != 0) {
      ++s.truncated;
      continue;
    }
    auto arrived = net::read_stamp(header.msg_control, header.msg_controllen);
    if (!arrived) {
      if (!now) now = std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
      arrived = now;
    }
    const std::size_t size = s.receive_headers[static_cast<std::size_t>(i)].msg_len;
    take({Bytes{s.incoming[static_cast<std::size_t>(i)].bytes}.first(size), local.ip, *arrived});
  }
  return got == static_cast<int>(kLoadBatch);
}

void LoadSocket::send(const std::array<std::uint8_t, 16>& from, Bytes datagram) {
  State& s = *state_;
  if (s.queued == kLoadBatch) flush();
  State::Outgoing& out = s.outgoing[s.queued];
  const std::size_t size = std::min(datagram.size(), out.bytes.size());
  std::copy_n(datagram.begin(), size, out.bytes.begin());
  out.part = {out.bytes.data(), size};
  net::write_source({.ip = from}, s.socket.family(), out.source);
  msghdr& header = s.send_headers[s.queued].msg_hdr;
  header.msg_control = out.source.bytes.data();
  header.msg_controllen = out.source.size;
  ++s.queued;
}

void LoadSocket::flush() {
  State& s = *state_;
  for (std::size_t next = 0; next < s.queued;) {
    const int sent = ::sendmmsg(fd(), &s.send_headers[next], static_cast<unsigned>(s.queued - next), MSG_DONTWAIT);
    if (sent <= 0) ++s.send_refused;  // the first of them; whoever sent it sends it again
    next += sent > 0 ? static_cast<std::size_t>(sent) : 1;
  }
  s.queued = 0;
}

std::uint64_t LoadSocket::send_refused() const { return state_->send_refused; }
std::uint64_t LoadSocket::drop_foreign() const { return state_->drop_foreign; }
std::uint64_t LoadSocket::truncated() const { return state_->truncated; }
std::uint64_t LoadSocket::drops() const { return net::socket_drops(fd()).value_or(0); }

}  // namespace tiercast::measure
