// The listeners' addresses: a prefix, one address each, and back from an address to whose it is. Pure arithmetic.
#pragma once

#include <optional>
#include <string>

#include "relay/base/endpoint.hpp"

namespace tiercast::measure {

class LoadAddresses {
 public:
  /// `first`: an address with its host bits cleared; its port is every listener's. `prefix`: bits, of the address's own
  /// family.
  LoadAddresses(const Endpoint& first, unsigned prefix) : first_(first), prefix_(prefix) {}

  /// How many there are: of an IPv4 prefix neither the network's own address nor its broadcast address, of an IPv6
  /// prefix all but the first (the subnet routers' anycast address, RFC 4291 §2.6.1). A lone address is one. At most
  /// 2^32 - 1.
  std::uint32_t size() const;
  /// The address of listener `index` < size().
  Endpoint at(std::uint32_t index) const;
  /// nullopt: nobody's.
  std::optional<std::uint32_t> index_of(const std::array<std::uint8_t, 16>& ip) const;

  const Endpoint& first() const { return first_; }
  /// "10.64.0.0/15".
  std::string text() const;

 private:
  unsigned host_bits() const { return (first_.is_v4() ? 32U : 128U) - prefix_; }
  std::uint32_t skipped() const { return host_bits() == 0 ? 0 : 1; }
  Endpoint first_;
  unsigned prefix_;
};

}  // namespace tiercast::measure
