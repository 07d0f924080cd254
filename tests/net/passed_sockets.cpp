#include "relay/net/passed_sockets.hpp"

#include <netinet/in.h>

#include "relay/wire/packets.hpp"
#include "tests/net/sockets.hpp"

namespace tiercast::passed_sockets_test {

using namespace tiercast::net;

namespace {

constexpr std::array<std::uint16_t, 2> kTags{0x1234, 0x5678};

/// Made as systemd does: SO_REUSEPORT, then bind, then the other options; of ours there are none.
Descriptor as_systemd(const Endpoint& address, bool reuse_port = true, bool v6_only = false) {
  const int family = family_of(address);
  Descriptor fd{::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  const int on = 1, only = v6_only ? 1 : 0, tos = 184;
  if (family == AF_INET6) REQUIRE(setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) == 0);
  if (reuse_port) REQUIRE(setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0);
  sockaddr_storage storage{};
  const socklen_t size = to_sockaddr(address, family, storage);
  REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), size) == 0);
  REQUIRE(setsockopt(fd.get(), IPPROTO_IP, IP_TOS, &tos, sizeof tos) == 0);
  return fd;
}

Endpoint local(const Descriptor& fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  REQUIRE(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&storage), &size) == 0);
  return *from_sockaddr(&storage, size);
}

/// So many on one port that was free.
std::vector<Descriptor> port(const char* address, std::size_t count) {
  std::vector<Descriptor> out;
  out.push_back(as_systemd(test::endpoint(address)));
  while (out.size() < count) out.push_back(as_systemd(local(out.front())));
  return out;
}

/// What a started process is given of them: systemd keeps its own.
std::vector<PassedSocket> passed(const std::vector<Descriptor>& kept) {
  std::vector<PassedSocket> out;
  for (const Descriptor& fd : kept) out.push_back({Descriptor{::dup(fd.get())}, "tiercast@edge.socket"});
  return out;
}

std::string control(std::uint8_t lane, std::uint16_t tag) {
  std::vector<std::uint8_t> out(100);
  wire::write_control_header(std::span{out}.first<wire::kControlHeader>(), Lane{lane},
                             LeaseId{std::uint64_t{tag} << 48 | 0xabcdef}, 7);
  return {out.begin(), out.end()};
}

std::string hello() {
  std::array<std::uint8_t, wire::kHello> out{};
  wire::write_hello(out, {});
  return {out.begin(), out.end()};
}

void send(const std::string& datagram, const Endpoint& to) {
  REQUIRE(test::bound(to.is_v4() ? "127.0.0.1:0" : "[::1]:0").send(test::bytes(datagram), to, {}) == 0);
}

/// Number of datagrams that lie in each.
std::vector<std::size_t> queued(const PublicSockets& sockets) {
  std::vector<std::size_t> out{test::drain(sockets.join.fd()).size()};
  for (const UdpSocket& worker : sockets.workers) out.push_back(test::drain(worker.fd()).size());
  return out;
}

using Counts = std::vector<std::size_t>;

std::string refusal(std::vector<PassedSocket> sockets, std::initializer_list<Endpoint> addresses, int exit_code = 78) {
  const auto adopted = adopt_public(std::move(sockets), std::vector<Endpoint>{addresses}, kTags);
  REQUIRE_FALSE(adopted);
  CHECK(adopted.error().exit_code == exit_code);
  CHECK(adopted.error().text.find("tiercast check -c FILE --print-socket-unit") != std::string::npos);
  return adopted.error().text;
}

Endpoint v4(std::uint16_t port) { return test::with_port(test::endpoint("127.0.0.1:0"), port); }
Endpoint v6(std::uint16_t port) { return test::with_port(test::endpoint("[::1]:0"), port); }

}  // namespace

TEST_CASE("sockets that were bound before are steered in the order in which they were bound, in both families") {
  for (const char* address : {"127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"}) {
    CAPTURE(address);
    const auto kept = port(address, 3);
    const Endpoint where = local(kept.front());
    const auto adopted = adopt_public(passed(kept), std::array{where}, kTags);
    REQUIRE_MESSAGE(adopted, (adopted ? "" : adopted.error().text));
    REQUIRE(adopted->size() == 1);
    const PublicSockets& sockets = adopted->front();
    CHECK(sockets.join.local() == where);
    CHECK(sockets.workers[1].is_wildcard() == is_unspecified(where.ip));
    for (int i = 0; i < 16; ++i) {  // from ports of 16 senders: no hash decides
      const Endpoint to = where.is_v4() ? v4(where.port) : v6(where.port);
      send(hello(), to);
      send(control(0, kTags[0]), to);
      send(control(1, kTags[1]), to);
      send(control(1, kTags[1]), to);
      send(control(1, kTags[0]), to);  // filtered
      send("junk", to);
      CHECK(queued(sockets) == Counts{1, 1, 2});
    }
  }
}

TEST_CASE("each address has its own set, whatever the order of the descriptors, and an address may be another one") {
  auto kept = port("127.0.0.1:0", 3);
  auto other = port("[::1]:0", 3);
  const Endpoint first = local(kept[0]), second = local(other[0]);
  std::vector<Descriptor> mixed;
  for (std::size_t i = 0; i < 3; ++i) {
    mixed.push_back(std::move(kept[i]));
    mixed.push_back(std::move(other[i]));
  }
  const std::array named{test::with_port(test::endpoint("[2001:db8::1]:0"), second.port),
                         test::with_port(test::endpoint("192.0.2.1:0"), first.port)};
  const auto adopted = adopt_public(passed(mixed), named, kTags);
  REQUIRE_MESSAGE(adopted, (adopted ? "" : adopted.error().text));
  REQUIRE(adopted->size() == 2);
  CHECK((*adopted)[0].join.local() == first);
  CHECK((*adopted)[1].join.local() == second);
  send(control(1, kTags[1]), first);
  send(control(0, kTags[0]), second);
  CHECK(queued((*adopted)[0]) == Counts{0, 0, 1});
  CHECK(queued((*adopted)[1]) == Counts{0, 1, 0});
}

TEST_CASE("between two processes the queues fill, and the next one finds them and its own steering") {
  const auto kept = port("127.0.0.1:0", 3);
  const Endpoint where = local(kept.front());
  REQUIRE(adopt_public(passed(kept), std::array{where}, kTags));  // and is gone again
  send(hello(), where);
  send(control(1, kTags[1]), where);
  const std::array<std::uint16_t, 2> tags{0x4321, 0x8765};
  const auto next = adopt_public(passed(kept), std::array{where}, tags);
  REQUIRE(next);
  CHECK(queued(next->front()) == Counts{1, 0, 1});
  send(control(0, tags[0]), where);
  send(control(0, kTags[0]), where);  // of a lease that ended with the first process
  send(hello(), where);
  CHECK(queued(next->front()) == Counts{1, 1, 0});
}

TEST_CASE("an adopted socket is like one of ours: never blocks or fragments, tells where a datagram came to") {
  for (const char* address : {"0.0.0.0:0", "[::]:0"}) {
    const auto kept = port(address, 3);
    const Endpoint where = local(kept.front());
    const auto adopted = adopt_public(passed(kept), std::array{where}, kTags);
    REQUIRE(adopted);
    send(hello(), v4(where.port));
    const auto got = test::drain(adopted->front().join.fd());
    REQUIRE(got.size() == 1);
    CHECK(got[0].local.ip == test::endpoint("127.0.0.1:0").ip);
    const auto option = [&](int level, int name) {
      int value = -1;
      socklen_t size = sizeof value;
      getsockopt(adopted->front().workers[1].fd(), level, name, &value, &size);
      return value;
    };
    CHECK(option(IPPROTO_IP, IP_MTU_DISCOVER) == IP_PMTUDISC_PROBE);
    if (!where.is_v4()) CHECK(option(IPPROTO_IPV6, IPV6_TCLASS) == 184);
  }
}

TEST_CASE("another number, port or family than the configuration's is told with both, and exit status 78") {
  const auto kept = port("127.0.0.1:0", 2);
  const Endpoint where = local(kept.front());
  const std::string is =
      "the sockets passed in are " + to_string(where) + " (2 sockets), and this configuration needs ";
  CHECK(refusal(passed(kept), {where}).starts_with(is + to_string(where) + " (3 sockets), one for joins"));
  const auto three = port("127.0.0.1:0", 3);
  const Endpoint at = local(three.front());
  CHECK(refusal(passed(three), {v4(static_cast<std::uint16_t>(at.port ^ 1))}).find(to_string(at) + " (3 sockets)") !=
        std::string::npos);
  CHECK(refusal(passed(three), {v6(at.port)}).find(to_string(v6(at.port))) != std::string::npos);
  CHECK(refusal(passed(three), {at, v6(at.port)}).find("(3 sockets each)") != std::string::npos);
  CHECK(refusal(passed(port("127.0.0.1:0", 4)), {at}).find("(4 sockets)") != std::string::npos);
}

TEST_CASE("what is no bound UDP socket is told, with its unit's name") {
  const auto one = [](Descriptor fd) {
    std::vector<PassedSocket> out;
    out.push_back({std::move(fd), "tiercast@edge.socket"});
    return out;
  };
  const Endpoint where = v4(4800);
  const std::string begins = "a descriptor passed in (tiercast@edge.socket) is ";
  CHECK(refusal(one(Descriptor{::socket(AF_INET, SOCK_STREAM, 0)}), {where}).starts_with(begins + "not a UDP socket"));
  CHECK(refusal(one(Descriptor{::socket(AF_UNIX, SOCK_DGRAM, 0)}), {where}).starts_with(begins + "not a UDP socket"));
  CHECK(refusal(one(Descriptor{::dup(STDIN_FILENO)}), {where}).starts_with(begins + "not a UDP socket"));
  CHECK(refusal(one(Descriptor{::socket(AF_INET, SOCK_DGRAM, 0)}), {where}).find("not bound") != std::string::npos);
  const UdpSocket peer = test::bound("127.0.0.1:0");
  CHECK(refusal(one(Descriptor{::dup(test::connected(peer.local()).fd())}), {where}).find("connected") !=
        std::string::npos);
  const Descriptor six = as_systemd(test::endpoint("[::]:0"), true, true);
  CHECK(refusal(one(Descriptor{::dup(six.get())}), {local(six)}).find("BindIPv6Only=both") != std::string::npos);
}

}  // namespace tiercast::passed_sockets_test
