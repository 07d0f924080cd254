#include "config/host.hpp"

#include <doctest/doctest.h>

namespace tiercast::host_test {

TEST_CASE("a host has no characters but those of names and addresses") {
  using tiercast::config::is_host;
  for (const char* host : {"relay-1.example.net", "192.0.2.1", "2001:db8::1", "fe80::1%2", "a_b"}) CHECK(is_host(host));
  for (const char* host : {"", "a b", "a/b", "a,b", "ä", "a\nb", "<a>"}) {
    CAPTURE(host);
    CHECK_FALSE(is_host(host));
  }
}

}  // namespace tiercast::host_test
