#include "relay/measure/fanout_bench.hpp"
#include "relay/base/exit_code.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <memory>

#include "relay/base/bytes.hpp"
#include "relay/net/address.hpp"
#include "relay/net/sendmmsg_fan_out.hpp"
#include "relay/net/steering.hpp"
#include "relay/net/udp_socket.hpp"
#include "relay/net/xdp_fan_out.hpp"
#include "relay/wire/limits.hpp"

namespace tiercast::measure {
namespace {

using forward::FanOutResult;
using Send = std::function<FanOutResult(Bytes)>;

/// What the two plain loops share: every destination's address as the kernel wants it.
struct PlainTable {
  std::vector<sockaddr_storage> addresses;
  socklen_t size = 0;
  PlainTable(const std::vector<Endpoint>& to, int family) : addresses(to.size()) {
    for (std::size_t i = 0; i < to.size(); ++i) size = net::to_sockaddr(to[i], family, addresses[i]);
  }
};

Send plain_sendto(int fd, const std::vector<Endpoint>& to, int family) {
  return [fd, table = std::make_shared<PlainTable>(to, family)](Bytes datagram) {
    FanOutResult result;
    for (const sockaddr_storage& address : table->addresses) {
      const ssize_t sent = ::sendto(fd, datagram.data(), datagram.size(), MSG_DONTWAIT,
                                    reinterpret_cast<const sockaddr*>(&address), table->size);
      ++(sent >= 0 ? result.sent : result.failed);
    }
    return result;
  };
}

Send plain_sendmmsg(int fd, const std::vector<Endpoint>& to, int family) {
  struct Table : PlainTable {
    using PlainTable::PlainTable;
    iovec part{};
    std::vector<mmsghdr> headers;
  };
  auto table = std::make_shared<Table>(to, family);
  table->headers.resize(to.size());
  for (std::size_t i = 0; i < to.size(); ++i) {
    msghdr& header = table->headers[i].msg_hdr;
    header.msg_name = &table->addresses[i];
    header.msg_namelen = table->size;
    header.msg_iov = &table->part;
    header.msg_iovlen = 1;
  }
  return [fd, table](Bytes datagram) {
    table->part = {const_cast<std::uint8_t*>(datagram.data()), datagram.size()};
    FanOutResult result;
    for (std::size_t next = 0; next < table->headers.size();) {
      const std::size_t batch = std::min<std::size_t>(1024, table->headers.size() - next);
      const int sent = ::sendmmsg(fd, &table->headers[next], static_cast<unsigned>(batch), MSG_DONTWAIT);
      if (sent > 0) result.sent += static_cast<std::uint32_t>(sent);
      if (sent <= 0) ++result.failed;
      next += sent > 0 ? static_cast<std::size_t>(sent) : 1;
    }
    return result;
  };
}

/// The relay's own backend, as a worker has it.
Send relay_sendmmsg(const net::UdpSocket& socket, const std::vector<Endpoint>& to, const LocalAddress& from) {
  auto fan_out = std::make_shared<net::SendmmsgFanOut>(socket);
  for (const Endpoint& destination : to) fan_out->set(fan_out->size(), destination, from);
  return [fan_out](Bytes datagram) { return fan_out->send(datagram); };
}

/// The backend below the network stack, with a program and tables of its own. Not a single destination on the detour by
/// sendmmsg: the figure would be of neither.
tl::expected<Send, net::Error> relay_xdp(const net::UdpSocket& socket, const std::vector<Endpoint>& to,
                                         const LocalAddress& from) {
  struct Parts {
    std::unique_ptr<net::XdpSender> sender;
    std::unique_ptr<net::XdpFanOut> fan_out;  // goes first
  };
  net::XdpOptions options;
  options.destinations = static_cast<std::uint32_t>(to.size());
  auto sender = net::XdpSender::open(options);
  if (!sender) return tl::unexpected(sender.error());
  auto parts = std::make_shared<Parts>();
  parts->sender = std::move(*sender);
  parts->fan_out = std::make_unique<net::XdpFanOut>(*parts->sender, socket);
  for (const Endpoint& destination : to) parts->fan_out->set(parts->fan_out->size(), destination, from);
  for (std::size_t why = 1; why < parts->fan_out->detours().size(); ++why) {
    if (const std::uint32_t count = parts->fan_out->detours()[why]; count != 0)
      return tl::unexpected(net::Error{
          fmt::format("backend xdp: {} of {} destinations cannot be reached below the network stack ({}); use sendmmsg",
                      count, to.size(), to_string(static_cast<net::Detour>(why))),
          69});
  }
  return [parts](Bytes datagram) { return parts->fan_out->send(datagram); };
}

/// The address that routing leaves from towards `to`: what a relay there would listen on. Zeros: no route.
LocalAddress address_towards(const Endpoint& to, const net::SocketOptions& options) {
  const auto probe = net::UdpSocket::connect(to, options);
  return probe ? LocalAddress{probe->local().ip, 0} : LocalAddress{};
}

struct Contender {
  std::string name;
  std::unique_ptr<net::UdpSocket> socket;
  Send send;
  std::vector<double> cpu;
  std::vector<double> wall;
  std::uint64_t sent = 0;
  std::uint64_t failed = 0;

  void run(Bytes datagram, std::uint32_t frames) {
    send(datagram);  // routes and neighbours known, table in the cache as after the frame before
    std::uint64_t round = 0;
    const std::int64_t cpu_before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    const std::int64_t wall_before = clock_ns(CLOCK_MONOTONIC);
    for (std::uint32_t i = 0; i < frames; ++i) {
      const FanOutResult result = send(datagram);
      round += result.sent + result.failed;
      sent += result.sent;
      failed += result.failed;
    }
    const double datagrams = static_cast<double>(std::max<std::uint64_t>(round, 1));
    wall.push_back(static_cast<double>(clock_ns(CLOCK_MONOTONIC) - wall_before) / datagrams);
    cpu.push_back(static_cast<double>(clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_before) / datagrams);
  }
};

tl::expected<Contender, net::Error> contender(const std::string& name, const FanOutBench& bench,
                                              const std::vector<Endpoint>& to) {
  const net::SocketOptions options{.send_buffer = 8 << 20, .interface = bench.interface};
  const LocalAddress local = address_towards(to.front(), options);
  const bool wildcard = name == "sendmmsg-wildcard";
  auto socket = net::UdpSocket::bind(wildcard ? net::unspecified(bench.first) : Endpoint{local.ip, 0, 0}, options);
  if (!socket) return tl::unexpected(socket.error());
  Contender out;
  out.name = name;
  out.socket = std::make_unique<net::UdpSocket>(std::move(*socket));
  if (name == "sendto") {
    out.send = plain_sendto(out.socket->fd(), to, out.socket->family());
  } else if (name == "floor") {
    out.send = plain_sendmmsg(out.socket->fd(), to, out.socket->family());
  } else if (name == "sendmmsg" || wildcard) {
    out.send = relay_sendmmsg(*out.socket, to, local);
  } else if (name == "xdp") {
    auto send = relay_xdp(*out.socket, to, local);
    if (!send) return tl::unexpected(send.error());
    out.send = std::move(*send);
  } else {
    return net::fail("backend " + name + ": unknown; use sendto, floor, sendmmsg or xdp", ExitCode::usage);
  }
  return out;
}

}  // namespace

std::optional<Endpoint> nth_address(const Endpoint& first, unsigned prefix, std::uint32_t index) {
  const unsigned host_bits = (first.is_v4() ? 32U : 128U) - prefix;
  const std::uint64_t hosts = host_bits >= 33 ? std::uint64_t{1} << 33 : std::uint64_t{1} << host_bits;
  // A lone address is itself; else the first names the network and the last is its broadcast address.
  const std::uint64_t offset = hosts == 1 ? index : std::uint64_t{index} + 1;
  if (offset >= (hosts == 1 ? 1 : hosts - 1)) return std::nullopt;
  Endpoint out = first;
  std::uint8_t* low = out.ip.data() + 8;
  store_be<8>(low, load_be<8>(low) + offset);
  return out;
}

tl::expected<net::UdpSocket, net::Error> open_sink(const FanOutBench& bench) {
  if (bench.payload == 0 || bench.payload > wire::kMaxDatagram)
    return net::fail(fmt::format("payload = {}: use 1 to {}", bench.payload, wire::kMaxDatagram), ExitCode::usage);
  auto sink = net::UdpSocket::bind(net::unspecified(bench.first), {});
  if (sink && net::attach_drop_filter(sink->fd()) != 0)
    return tl::unexpected(net::Error{"the kernel refuses a socket filter", 71});
  return sink;
}

tl::expected<std::vector<Endpoint>, net::Error> destinations_of(const FanOutBench& bench, std::uint16_t port,
                                                                std::uint32_t first, std::uint32_t count) {
  std::vector<Endpoint> out;
  out.reserve(count);
  for (std::uint32_t i = first; i < first + count; ++i) {
    auto address = nth_address(bench.first, bench.prefix, i);
    if (!address)
      return net::fail(
          fmt::format("a /{} range has no {} addresses; use a wider one", bench.prefix, bench.destinations),
          ExitCode::usage);
    address->port = port;
    out.push_back(*address);
  }
  return out;
}

tl::expected<std::vector<FanOutMeasurement>, net::Error> measure_fan_out(const FanOutBench& bench) {
  if (bench.destinations == 0 || bench.frames == 0 || bench.rounds == 0 || bench.backends.empty())
    return net::fail("destinations, frames, rounds and backends must be at least 1", ExitCode::usage);
  const auto sink = open_sink(bench);
  if (!sink) return tl::unexpected(sink.error());
  const auto to = destinations_of(bench, sink->local().port, 0, bench.destinations);
  if (!to) return tl::unexpected(to.error());

  std::vector<Contender> contenders;
  for (const std::string& name : bench.backends) {
    auto made = contender(name, bench, *to);
    if (!made) return tl::unexpected(made.error());
    contenders.push_back(std::move(*made));
  }
  const std::vector<std::uint8_t> datagram(bench.payload, std::uint8_t{0x20});
  for (std::uint32_t round = 0; round < bench.rounds; ++round)
    for (std::size_t i = 0; i < contenders.size(); ++i)  // whoever goes first changes from round to round
      contenders[(i + round) % contenders.size()].run(datagram, bench.frames);

  const auto floor =
      std::find_if(contenders.begin(), contenders.end(), [](const auto& c) { return c.name == "floor"; });
  std::vector<FanOutMeasurement> out;
  for (const Contender& c : contenders) {
    FanOutMeasurement m{c.name, bench.destinations, c.sent, c.failed, spread(c.cpu), spread(c.wall), std::nullopt};
    if (floor != contenders.end()) {
      std::vector<double> ratios;
      for (std::size_t i = 0; i < c.cpu.size(); ++i) ratios.push_back(c.cpu[i] / floor->cpu[i]);
      m.ratio_to_floor = spread(ratios).median;
    }
    out.push_back(m);
  }
  return out;
}

std::string to_json(const FanOutMeasurement& m) {
  std::string out = fmt::format(R"({{"backend":"{}","destinations":{},"datagrams":{},"errors":{})", m.backend,
                                m.destinations, m.datagrams, m.errors);
  out += json_members("cpu_ns_per_datagram", m.cpu_ns_per_datagram);
  out += json_members("wall_ns_per_datagram", m.wall_ns_per_datagram);
  if (m.ratio_to_floor) out += fmt::format(R"(,"ratio_to_floor":{:.4f})", *m.ratio_to_floor);
  return out + "}";
}

std::string to_text(const std::vector<FanOutMeasurement>& measurements) {
  std::string out = fmt::format("{:<18} {:>12} {:>12} {:>8} {:>10} {:>17} {:>10} {:>8}\n", "backend", "destinations",
                                "datagrams", "errors", "CPU ns", "min .. max", "wall ns", "of floor");
  for (const FanOutMeasurement& m : measurements) {
    const Spread& cpu = m.cpu_ns_per_datagram;
    out += fmt::format("{:<18} {:>12} {:>12} {:>8} {:>10.1f} {:>17} {:>10.1f} {:>8}\n", m.backend, m.destinations,
                       m.datagrams, m.errors, cpu.median, range_text(cpu), m.wall_ns_per_datagram.median,
                       m.ratio_to_floor ? fmt::format("{:.3f}", *m.ratio_to_floor) : std::string{"-"});
  }
  return out;
}

}  // namespace tiercast::measure
