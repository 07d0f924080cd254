// One frame to many destinations: a table and a send. Implementations live in relay/net (the send backends).
#pragma once

#include "relay/base/endpoint.hpp"

namespace tiercast::forward {

struct FanOutResult {
  std::uint32_t sent = 0;
  std::uint32_t failed = 0;
};

class FanOut {
 public:
  virtual ~FanOut() = default;
  virtual std::size_t size() const = 0;
  /// index == size() appends, index < size() replaces.
  virtual void set(std::size_t index, const Endpoint& to, const LocalAddress& from) = 0;
  /// The last destination takes the place of `index`; the table is one shorter.
  virtual void remove(std::size_t index) = 0;
  /// Sends `datagram` to every destination; never blocks, one bad destination never loses the others.
  virtual FanOutResult send(Bytes datagram) = 0;
};

}  // namespace tiercast::forward
