#include "relay/net/resolve.hpp"

#include <netdb.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "relay/net/address.hpp"

namespace tiercast::net {

tl::expected<std::vector<Endpoint>, Error> resolve(const HostPort& where) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int result = getaddrinfo(where.host.c_str(), std::to_string(where.port).c_str(), &hints, &found);
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner{found, &freeaddrinfo};
  const auto failed = [&where](const char* why) {
    return tl::unexpected(Error{"cannot resolve " + where.host + ": " + why, 69});
  };
  if (result != 0) return failed(result == EAI_SYSTEM ? std::strerror(errno) : gai_strerror(result));
  std::vector<Endpoint> out;
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    const auto endpoint = from_sockaddr(a->ai_addr, a->ai_addrlen);
    if (endpoint && std::find(out.begin(), out.end(), *endpoint) == out.end()) out.push_back(*endpoint);
  }
  if (out.empty()) return failed("it has no IP address");
  return out;
}

}  // namespace tiercast::net
