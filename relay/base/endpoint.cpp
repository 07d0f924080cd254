#include "relay/base/endpoint.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace tiercast {
namespace {
constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
}

bool Endpoint::is_v4() const { return std::equal(kMapped.begin(), kMapped.end(), ip.begin()); }

std::string to_string(const Endpoint& endpoint) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (endpoint.is_v4()) {
    inet_ntop(AF_INET, endpoint.ip.data() + 12, text.data(), text.size());
    return std::string{text.data()} + ":" + std::to_string(endpoint.port);
  }
  inet_ntop(AF_INET6, endpoint.ip.data(), text.data(), text.size());
  std::string out = "[" + std::string{text.data()};
  if (endpoint.scope != 0) out += "%" + std::to_string(endpoint.scope);
  return out + "]:" + std::to_string(endpoint.port);
}

std::string to_string(const HostPort& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return (v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

std::optional<HostPort> split_host_port(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == text.size()) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) return std::nullopt;
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return std::nullopt;  // a bare IPv6 address: the port cannot be told from it
  }
  HostPort out;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (error != std::errc{} || end != port.data() + port.size() || host.empty()) return std::nullopt;
  out.host = host;
  return out;
}

std::optional<Endpoint> parse_endpoint(std::string_view text) {
  auto split = split_host_port(text);
  if (!split) return std::nullopt;
  Endpoint out;
  out.port = split->port;
  std::string& host = split->host;
  if (inet_pton(AF_INET, host.c_str(), out.ip.data() + 12) == 1) {
    std::copy(kMapped.begin(), kMapped.end(), out.ip.begin());
    return out;
  }
  if (const std::size_t percent = host.find('%'); percent != std::string::npos) {
    const char* first = host.data() + percent + 1;
    const char* last = host.data() + host.size();
    const auto [end, error] = std::from_chars(first, last, out.scope);
    if (error != std::errc{} || end != last) return std::nullopt;
    host.resize(percent);
  }
  if (inet_pton(AF_INET6, host.c_str(), out.ip.data()) != 1) return std::nullopt;
  return out;
}

}  // namespace tiercast
