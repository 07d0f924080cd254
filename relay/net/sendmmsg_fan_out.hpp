// The send backend that every machine has: a table of prebuilt message headers, all pointing at one iovec, and
// sendmmsg(2). Knows no protocol; what it sends is bytes.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <map>
#include <memory>
#include <type_traits>
#include <vector>

#include "relay/base/counter.hpp"
#include "relay/forward/fan_out.hpp"
#include "relay/net/address.hpp"
#include "relay/net/udp_socket.hpp"

namespace tiercast::net {

struct FanOutCounters {
  Counter sent;
  Counter calls;
  // Destinations that a datagram was not sent to, by why.
  Counter congested;    // EAGAIN, ENOBUFS: the socket's or the device's queue is full
  Counter refused;      // ECONNREFUSED twice
  Counter unreachable;  // no route, no source address, network down
  Counter too_large;    // EMSGSIZE: the path's MTU; nothing is ever fragmented
  Counter forbidden;    // EPERM, EACCES: a firewall, or a broadcast address
  Counter other;
  template <class F>
  void each(F&& f) const {
    f("fan_out_sent", sent);
    f("fan_out_calls", calls);
    f("fan_out_drop_congested", congested);
    f("fan_out_drop_refused", refused);
    f("fan_out_drop_unreachable", unreachable);
    f("fan_out_drop_too_large", too_large);
    f("fan_out_drop_forbidden", forbidden);
    f("fan_out_drop_other", other);
  }
};

/// Memory: 80 bytes a destination of an IPv4 socket, 92 of an IPv6 one, in chunks; set() may allocate, send() never.
class SendmmsgFanOut final : public forward::FanOut {
 public:
  /// `socket` outlives it, as does `counters`: of all groups of a worker, say, whatever becomes of each. None: its own.
  explicit SendmmsgFanOut(const UdpSocket& socket, FanOutCounters* counters = nullptr);
  ~SendmmsgFanOut() override;
  SendmmsgFanOut(const SendmmsgFanOut&) = delete;
  SendmmsgFanOut& operator=(const SendmmsgFanOut&) = delete;

  std::size_t size() const override { return size_; }
  /// `to` is of a family that the socket can send to; else every send to it fails (counted).
  void set(std::size_t index, const Endpoint& to, const LocalAddress& from) override;
  void remove(std::size_t index) override;
  void start(Bytes datagram) override;
  bool advance(std::size_t most, forward::FanOutResult& result) override;
  std::size_t piece() const override { return kPiece; }

  const FanOutCounters& counters() const { return counters_; }

 private:
  /// One source address that destinations share; headers' msg_control points at it.
  struct Source {
    SourceControl control;
    std::array<std::uint8_t, 16> ip{};
    std::size_t users = 0;
  };
  static_assert(std::is_standard_layout_v<Source>);
  using Sources = std::map<std::array<std::uint8_t, 16>, Source>;  // its nodes stay where they are
  struct Chunk;
  static constexpr std::size_t kBatch = 1024;  // UIO_MAXIOV: the most that one sendmmsg takes
  static constexpr std::size_t kPiece = 512;

  Chunk& chunk_of(std::size_t index) { return *chunks_[index / kBatch]; }
  void release_source(const msghdr& header);
  void send_some(mmsghdr* headers, std::size_t count, forward::FanOutResult& result);
  void count_failure(int error);

  const UdpSocket& socket_;
  iovec shared_{};  // every header's; base and length change per frame
  std::size_t size_ = 0;
  std::size_t done_ = 0;           // those before it have got what is under way
  bool under_way_ = false;         // some may not have got it
  forward::FanOutResult between_;  // what was sent outside advance()
  std::vector<std::unique_ptr<Chunk>> chunks_;
  Sources sources_;
  FanOutCounters own_counters_;
  FanOutCounters& counters_;
};

}  // namespace tiercast::net
