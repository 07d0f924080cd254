// Prints what one host sends, gets, (a listener) plays and, in the end, has counted: for who looks into a seed.
#pragma once

#include <cstdio>
#include <map>
#include <string>

#include "relay/sim/counters.hpp"
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
  /// What it has counted, all that is not 0.
  void tell_counters() const {
    std::map<std::string, std::uint64_t> sums;
    const auto add = [&](const char* name, const Counter& counter) { sums[name] += counter.get(); };
    if (host_.node) {
      const NodeHost& node = world_.node_host(host_.index);
      if (node.process) each_counter(*node.process, add);
    } else if (const ListenerHost& listener = world_.listener_host(host_.index); listener.agent) {
      each_counter(*listener.agent, add);
    }
    for (const auto& [name, count] : sums)
      if (count != 0) std::printf("%9.3f %s %llu\n", seconds(), name.c_str(), static_cast<unsigned long long>(count));
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
