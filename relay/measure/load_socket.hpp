// The one socket behind all listeners of `tiercast load`: bound to every address, told each datagram's own and when the
// kernel got it, sending from whichever it is asked to. In batches both ways. Knows no protocol.
#pragma once

#include <functional>
#include <memory>
#include <tl/expected.hpp>

#include "relay/measure/load_addresses.hpp"
#include "relay/net/error.hpp"

namespace tiercast::measure {

class LoadSocket {
 public:
  /// On any port, of the family of `edge`.
  static tl::expected<LoadSocket, net::Error> open(const Endpoint& edge);
  LoadSocket(LoadSocket&&) noexcept;
  ~LoadSocket();

  int fd() const;
  std::uint16_t port() const;

  struct Datagram {
    Bytes bytes;
    const std::array<std::uint8_t, 16>& to;
    WallTime arrived;
  };
  /// Hands over what has come from the edge's address and port, one batch; false: there was less than a batch.
  bool receive(const std::function<void(const Datagram&)>& take);

  /// Queued, and sent by flush() or when the batch is full; never blocks.
  void send(const std::array<std::uint8_t, 16>& from, Bytes datagram);
  void flush();

  std::uint64_t send_refused() const;  // by the kernel: the buffer is full, no route …
  std::uint64_t drop_foreign() const;  // from elsewhere, or to an address that was not told
  std::uint64_t truncated() const;
  /// For want of room in its queue. Asked of the kernel.
  std::uint64_t drops() const;

 private:
  struct State;
  explicit LoadSocket(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tiercast::measure
