// The send backend below the network stack: a frame enters the kernel once, and an eBPF program stamps out and
// redirects a packet for every destination. Those that cannot be reached so, or not now, get theirs by sendmmsg, and
// change over by themselves. Knows no protocol; what it sends is bytes.
//
// Below the stack is also below its firewall, its traffic control and IPsec: none of them sees these packets.
#pragma once

#include <vector>

#include "relay/forward/fan_out.hpp"
#include "relay/net/sendmmsg_fan_out.hpp"
#include "relay/net/xdp_packet.hpp"
#include "relay/net/xdp_sender.hpp"

namespace tiercast::net {

struct XdpFanOutCounters {
  Counter sent;
  Counter promoted;  // destinations that changed over to the program
  Counter demoted;   // and back
  // Destinations that a datagram was not sent to, by why.
  Counter dropped;  // the device's queue was full, or it refused
  Counter refused;  // the kernel refused the call
  Counter too_large;
  /// Destinations now, by why they take the detour; [Detour::none]: those that do not.
  std::array<Counter, static_cast<std::size_t>(Detour::count_)> reached;
  template <class F>
  void each(F&& f) const {
    f("xdp_sent", sent);
    f("xdp_promoted", promoted);
    f("xdp_demoted", demoted);
    f("xdp_drop_device", dropped);
    f("xdp_drop_refused", refused);
    f("xdp_drop_too_large", too_large);
  }
};

/// Memory: 24 bytes a destination in the sender's table (taken by XDP_CHUNK), 8 here. One on a detour: what
/// SendmmsgFanOut needs, and 64. set() asks the kernel for the route: some microseconds.
class XdpFanOut final : public forward::FanOut {
 public:
  /// A public socket whose port, TTL and traffic class the packets have. All arguments outlive it, as does
  /// what the counters are; none: its own.
  XdpFanOut(XdpSender& sender, const UdpSocket& socket, XdpFanOutCounters* counters = nullptr,
            FanOutCounters* detour_counters = nullptr);
  ~XdpFanOut() override;
  XdpFanOut(const XdpFanOut&) = delete;
  XdpFanOut& operator=(const XdpFanOut&) = delete;

  std::size_t size() const override { return places_.size(); }
  void set(std::size_t index, const Endpoint& to, const LocalAddress& from) override;
  void remove(std::size_t index) override;
  /// At most 1,232 bytes.
  void start(Bytes datagram) override;
  bool advance(std::size_t most, forward::FanOutResult& result) override;
  std::size_t piece() const override { return kPiece; }

  /// How many take the detour now, by why; [Detour::none]: how many do not.
  const std::array<std::uint32_t, static_cast<std::size_t>(Detour::count_)>& detours() const { return detours_; }
  const XdpFanOutCounters& counters() const { return counters_; }
  const FanOutCounters& detour_counters() const { return detour_.counters(); }

 private:
  /// Destinations of one family in the program's table, without gaps.
  struct Table {
    std::vector<std::uint32_t> chunks;  // of the program
    std::vector<std::uint32_t> owners;  // their indices here
    std::uint32_t done = 0;             // those before it have got the frame underway
    // Of the frame underway, made when first needed.
    bool ready = false;
    std::vector<std::uint8_t> packet;  // with room for headers
    xdp_call call{};
  };
  struct Detoured {
    Endpoint to;
    LocalAddress from;
    std::uint32_t owner = 0;
    std::uint32_t way = XdpSender::kNoWay;
    Detour why = Detour::none;
  };
  /// Where a destination is: a table and the position in it.
  struct Place {
    std::uint32_t where : 2 = 0;  // 0, 1: tables_; kDetoured
    std::uint32_t position : 30 = 0;
  };
  static constexpr std::uint32_t kDetoured = 2;
  static constexpr std::uint32_t kPiece = 8192;  // of one call
  static_assert(kPiece / XDP_CHUNK < XDP_CALL_CHUNKS);

  xdp_destination& at(const Table& table, std::uint32_t position);
  /// false: on the detour.
  bool put(std::uint32_t index, const Endpoint& to, const LocalAddress& from, XdpSender::Resolved by);
  bool put_in_table(std::uint32_t index, const Endpoint& to, std::uint32_t way);
  void put_in_detour(std::uint32_t index, const Detoured& entry);
  /// Takes a destination off its place; its way is released unless `keep_way`.
  void take_out(std::uint32_t index, bool keep_way = false);
  void move(Table& table, std::uint32_t from, std::uint32_t to);
  void make_ready(Table& table);
  void send_some(Table& table, std::uint32_t count, forward::FanOutResult& result);
  void review();
  void resolve_some();
  void resolve_one(std::uint32_t index);
  XdpSender::Resolved resolve(const Endpoint& to, const LocalAddress& from);
  void set_why(Detoured& entry, Detour why);
  void count(Detour why, int by);

  XdpSender& sender_;
  const UdpSocket& socket_;
  XdpHeaders headers_v4_;
  XdpHeaders headers_v6_;
  IpAddress bound_{};  // zeros: a wildcard
  std::uint32_t interface_ = 0;
  std::uint32_t mark_ = 0;

  std::vector<Place> places_;
  std::array<Table, 2> tables_;  // IPv4, IPv6
  std::vector<Detoured> detoured_;
  SendmmsgFanOut detour_;  // same order
  std::array<std::uint32_t, static_cast<std::size_t>(Detour::count_)> detours_{};

  Bytes datagram_;
  bool detour_under_way_ = false;
  std::uint64_t version_ = 0;
  std::uint64_t route_version_ = 0;
  // Of places_, after the routes changed.
  std::size_t unresolved_ = 0, next_resolved_ = 0;

  XdpFanOutCounters own_counters_;
  XdpFanOutCounters& counters_;
};

}  // namespace tiercast::net
