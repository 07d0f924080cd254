// One frame to many destinations: a table and a send. Implementations live in relay/net (the send backends).
#pragma once

#include <memory>
#include <vector>

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

  // A datagram goes out in pieces, between which the table may change: who is removed gets nothing more, who is added
  // or moves to another address meanwhile gets it or does not, all others get it once. Never blocks; one bad
  // destination never loses the others.

  /// `datagram` stays where it is until advance() was false, or something else is started.
  virtual void start(Bytes datagram) = 0;
  /// To `most` destinations more at the most, and to some at least; adds to `result`. False: all have got it.
  virtual bool advance(std::size_t most, FanOutResult& result) = 0;
  /// Destinations that take about a millisecond.
  virtual std::size_t piece() const = 0;

  /// To every destination.
  FanOutResult send(Bytes datagram) {
    FanOutResult result;
    start(datagram);
    while (advance(size(), result)) {
    }
    return result;
  }
};

/// Where a worker has the tables of a new group from.
class FanOutMaker {
 public:
  virtual ~FanOutMaker() = default;
  /// One a socket. They are used, and given up, on the caller's thread.
  virtual std::vector<std::unique_ptr<FanOut>> make_fan_outs() = 0;
};

}  // namespace tiercast::forward
