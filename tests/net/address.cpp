#include "relay/net/address.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>

#include <cstring>

#include "tests/net/sockets.hpp"

namespace tiercast::address_test {

using namespace tiercast::net;

TEST_CASE("an endpoint survives the way to a sockaddr and back") {
  for (const char* text : {"192.0.2.1:4800", "[2001:db8::1]:4800", "[fe80::1%7]:1", "0.0.0.0:0", "[::]:65535"}) {
    CAPTURE(text);
    const Endpoint e = test::endpoint(text);
    sockaddr_storage storage{};
    const socklen_t size = to_sockaddr(e, family_of(e), storage);
    REQUIRE(size > 0);
    CHECK(from_sockaddr(&storage, size) == e);
  }
}

TEST_CASE("an IPv4 endpoint is mapped for an IPv6 socket, an IPv6 one is refused for an IPv4 socket") {
  sockaddr_storage storage{};
  const Endpoint v4 = test::endpoint("192.0.2.1:4800");
  REQUIRE(to_sockaddr(v4, AF_INET6, storage) == sizeof(sockaddr_in6));
  CHECK(from_sockaddr(&storage, sizeof(sockaddr_in6)) == v4);
  CHECK(to_sockaddr(test::endpoint("[2001:db8::1]:1"), AF_INET, storage) == 0);
}

TEST_CASE("what is no IP address is not read as one") {
  sockaddr_storage storage{};
  CHECK_FALSE(from_sockaddr(&storage, 0));
  CHECK_FALSE(from_sockaddr(&storage, sizeof storage));  // AF_UNSPEC
  storage.ss_family = AF_UNIX;
  CHECK_FALSE(from_sockaddr(&storage, sizeof storage));
  storage.ss_family = AF_INET;
  CHECK_FALSE(from_sockaddr(&storage, sizeof(sockaddr_in) - 1));
  storage.ss_family = AF_INET6;
  CHECK_FALSE(from_sockaddr(&storage, sizeof(sockaddr_in6) - 1));
}

TEST_CASE("the unspecified address is told from others in both families") {
  CHECK(is_unspecified(test::endpoint("0.0.0.0:1").ip));
  CHECK(is_unspecified(test::endpoint("[::]:1").ip));
  CHECK_FALSE(is_unspecified(test::endpoint("0.0.0.1:1").ip));
  CHECK_FALSE(is_unspecified(test::endpoint("[::1]:1").ip));
  CHECK_FALSE(is_unspecified(test::endpoint("[1::]:1").ip));
}

TEST_CASE("a source is written only where there is one, in the socket's family") {
  SourceControl control;
  write_source({}, AF_INET, control);
  CHECK(control.size == 0);
  write_source(test::local_address("0.0.0.0:0"), AF_INET6, control);
  CHECK(control.size == 0);
  write_source(test::local_address("[2001:db8::1]:0"), AF_INET, control);
  CHECK(control.size == 0);  // cannot be
  write_source(test::local_address("192.0.2.7:0"), AF_INET, control);
  CHECK(control.size == CMSG_SPACE(sizeof(in_pktinfo)));
  CHECK(read_local(control.bytes.data(), control.size).ip == test::endpoint("192.0.2.7:0").ip);
  write_source(test::local_address("[2001:db8::7]:0"), AF_INET6, control);
  CHECK(control.size == CMSG_SPACE(sizeof(in6_pktinfo)));
  CHECK(read_local(control.bytes.data(), control.size).ip == test::endpoint("[2001:db8::7]:0").ip);
}

TEST_CASE("control data that is cut short or of another kind tells no address") {
  SourceControl control;
  write_source(test::local_address("192.0.2.7:0"), AF_INET, control);
  for (std::size_t size = 0; size < CMSG_LEN(sizeof(in_pktinfo)); ++size) {
    alignas(cmsghdr) std::array<std::uint8_t, 64> cut{};
    cmsghdr header{};
    std::memcpy(cut.data(), control.bytes.data(), size);
    if (size >= sizeof header) {  // a length that fits what is there
      std::memcpy(&header, cut.data(), sizeof header);
      header.cmsg_len = size;
      std::memcpy(cut.data(), &header, sizeof header);
    }
    CHECK(read_local(cut.data(), size) == LocalAddress{});
  }
  cmsghdr other{};
  std::memcpy(&other, control.bytes.data(), sizeof other);
  other.cmsg_type = IP_TTL;
  std::memcpy(control.bytes.data(), &other, sizeof other);
  CHECK(read_local(control.bytes.data(), control.size) == LocalAddress{});
}

TEST_CASE("an IPv6 multicast address is no address to answer from") {
  SourceControl control;
  write_source(test::local_address("[ff02::1]:0"), AF_INET6, control);
  CHECK(read_local(control.bytes.data(), control.size) == LocalAddress{});
}

}  // namespace tiercast::address_test
