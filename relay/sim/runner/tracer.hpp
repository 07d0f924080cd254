// Prints what one host sends, gets and (a listener) plays: for who looks into a seed.
#pragma once

#include <cstdio>

#include "relay/sim/world.hpp"

namespace tiercast::sim {

class Tracer final : public Observer {
 public:
  Tracer(const World& world, Host host) : world_(world), host_(host) {}
  void on_sent(const Endpoint& from, const Endpoint& to, Bytes datagram) override {
    if (host_of(from) == host_) tell("sends to", host_of(to), datagram);
  }
  void on_arrived(const Packet& packet) override {
    if (host_of(packet.to) == host_) tell("gets from", host_of(packet.from), packet.bytes);
  }
  void on_played(std::size_t listener, const receive::Played& played) override {
    if (host_.node || listener != host_.index) return;
    static constexpr const char* kKinds[] = {"a frame", "an empty one", "LOST"};
    std::printf("%9.3f plays %s %llu%s\n", seconds(), kKinds[static_cast<std::size_t>(played.kind)],
                static_cast<unsigned long long>(played.sequence.value),
                played.discontinuity ? ", a discontinuity" : "");
  }

 private:
  double seconds() const { return std::chrono::duration<double>(world_.time() - kBegin).count(); }
  void tell(const char* what, Host whom, Bytes datagram) const {
    std::printf("%9.3f %s %s %u type %02x, %zu bytes", seconds(), what, whom.node ? "node" : "listener", whom.index,
                datagram[0], datagram.size());
    if (const auto header = wire::parse_header(datagram))
      std::printf(", sequence %llu%s", static_cast<unsigned long long>(header->sequence.value),
                  header->jumps() ? " (jumps)" : "");
    std::puts("");
  }
  const World& world_;
  const Host host_;
};

}  // namespace tiercast::sim
