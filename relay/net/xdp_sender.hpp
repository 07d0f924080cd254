// What the xdp backend's tables of one worker share: the program, and the ways to destinations, each kept current with
// what the kernel knows of its next hop and its device. Nobody tells the kernel that a MAC address is in use: what
// every lease is answered through the stack does, every five seconds, and so do those on the detour.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "relay/net/neighbours.hpp"
#include "relay/net/xdp_detour.hpp"
#include "relay/net/xdp_program.hpp"

namespace tiercast::net {

struct XdpSenderCounters {
  Counter probes;          // of a device, whether it takes packets from below the stack
  Counter probes_refused;  // it does not
  Counter way_changes;     // a way became usable, or no longer, or another MAC address
  template <class F>
  void each(F&& f) const {
    f("xdp_probes", probes);
    f("xdp_probes_refused", probes_refused);
    f("xdp_way_changes", way_changes);
  }
};

/// Of the network namespace that it was opened in. Used by one thread.
class XdpSender {
 public:
  static constexpr std::uint32_t kNoWay = ~0U;

  static tl::expected<std::unique_ptr<XdpSender>, Error> open(const XdpOptions& options);

  struct Resolved {
    std::uint32_t way = kNoWay;  // in use by the caller until release()
    Detour detour = Detour::none;
  };
  /// `question.from`: the address to leave from; without one there is no way.
  Resolved resolve(const RouteQuestion& question);
  void release(std::uint32_t way);
  /// none: what names this way may be sent to now.
  Detour detour(std::uint32_t way) const { return ways_[way].detour; }
  const IpAddress& source(std::uint32_t way) const { return ways_[way].key.source; }

  /// Before a frame: takes in what the kernel has told, tries devices again. One system call when nothing happens.
  void refresh(Time now);
  /// Devices took nothing: the next refresh() tries them.
  void doubt() { doubt_ = true; }

  std::uint64_t version() const { return version_; }              // another one: some way's detour() changed
  std::uint64_t route_version() const { return route_version_; }  // another one: resolve() may say otherwise

  XdpProgram& program() { return *program_; }
  const XdpSenderCounters& counters() const { return counters_; }
  const XdpProgramCounters& program_counters() const { return program_->counters(); }
  const NeighbourCounters& neighbour_counters() const { return neighbours_.counters(); }

 private:
  struct Key {
    std::uint32_t interface = 0;
    IpAddress next_hop{};
    IpAddress source{};
    auto operator<=>(const Key&) const = default;
  };
  struct Way {
    Key key;
    std::uint32_t device = 0;  // the key's interface, or where the VLAN that it is leaves by
    std::uint32_t users = 0;
    Detour detour = Detour::unresolved;
    MacAddress from{};
    MacAddress to{};
    VlanTag tag{};
    std::uint32_t number = 0;  // of the device, in the program
  };
  struct Device {
    std::uint32_t users = 0;  // ways
    bool takes = false;
    bool tried = false;
  };

  XdpSender(std::unique_ptr<XdpProgram> program, Neighbours neighbours)
      : program_(std::move(program)), neighbours_(std::move(neighbours)) {}
  void look_at(std::uint32_t way);
  std::uint32_t device_of(std::uint32_t interface);
  bool try_device(std::uint32_t interface, Device& device);

  std::unique_ptr<XdpProgram> program_;
  Neighbours neighbours_;
  std::map<Key, std::uint32_t> index_;
  std::vector<Way> ways_;
  std::vector<std::uint32_t> free_ways_;
  std::map<std::uint32_t, Device> devices_;  // by interface
  bool doubt_ = false;
  Time next_try_{};
  std::uint64_t version_ = 0;
  std::uint64_t route_version_ = 0;
  XdpSenderCounters counters_;
};

}  // namespace tiercast::net
