// The eBPF program of the xdp backend in the kernel: loaded, its tables mapped, run. One of them per worker, for all
// its groups; everything of it goes with the process, however that ends. Knows no neighbour and no route.
#pragma once

#include <memory>
#include <optional>
#include <tl/expected.hpp>
#include <vector>

#include "relay/base/counter.hpp"
#include "relay/base/types.hpp"
#include "relay/net/bpf_array.hpp"
#include "relay/net/descriptor.hpp"
#include "relay/net/error.hpp"
#include "relay/net/xdp/layout.h"

struct bpf_link;
struct bpf_object;

namespace tiercast::net {

/// Memory in the kernel, all of it from the start: 24 bytes a destination, 40 a way.
struct XdpOptions {
  std::uint32_t destinations = 131072;  // of all groups together; each group's are a multiple of XDP_CHUNK
  std::uint32_t ways = 16384;           // a gateway is one, and so is every neighbour that is a destination itself
};

struct XdpProgramCounters {
  Counter calls;
  Counter interrupted;  // by a signal; goes on where it was
  Counter refused;      // by the kernel, mostly for memory
  Counter retried;      // packets that a device's queue had no room for at first
  template <class F>
  void each(F&& f) const {
    f("xdp_calls", calls);
    f("xdp_interrupted", interrupted);
    f("xdp_refused", refused);
    f("xdp_retried", retried);
  }
};

/// Used by one thread.
class XdpProgram {
 public:
  /// Needs CAP_BPF, CAP_PERFMON (for the tracepoint that counts what devices drop), CAP_NET_ADMIN and /dev/net/tun.
  /// Error text: "xdp: cannot …: why"; exit status 71.
  static tl::expected<std::unique_ptr<XdpProgram>, Error> load(const XdpOptions& options);
  ~XdpProgram();
  XdpProgram(const XdpProgram&) = delete;
  XdpProgram& operator=(const XdpProgram&) = delete;

  // The tables that the program reads, as plain memory.

  xdp_destination& destination(std::uint32_t slot) { return destinations_[slot]; }
  xdp_way& way(std::uint32_t index) { return ways_[index]; }
  std::uint32_t way_capacity() const { return options_.ways; }

  /// Room for XDP_CHUNK destinations, from slot XDP_CHUNK * number; nullopt: the table is full.
  std::optional<std::uint32_t> take_chunk();
  void give_chunk(std::uint32_t number) { free_chunks_.push_back(number); }

  /// Index into the program's devices, added where it is not yet there; nullopt: it is none, or the table is full.
  std::optional<std::uint32_t> device(std::uint32_t interface);
  /// It is gone: another may have its place.
  void forget_device(std::uint32_t interface);

  struct Outcome {
    std::uint32_t done = 0;     // destinations that the call got to
    std::uint32_t sent = 0;     // what devices have taken of them
    int error = 0;              // errno of a device or of the call; 0: none
    std::uint32_t dropped = 0;  // by devices, that had been given them
    /// Nothing was sent, and for no other reason than that a device's queue is full just now.
    bool congested() const { return sent == 0 && dropped > 0 && error == 0; }
  };
  /// `packet` has room for the headers before its payload; `call` is whole but for `next`, which begins at `first`.
  Outcome run(Bytes packet, const xdp_call& call, std::uint32_t first);
  /// Sends `packet` as it is.
  Outcome probe(Bytes packet, std::uint32_t device);

  const XdpProgramCounters& counters() const { return counters_; }

 private:
  explicit XdpProgram(const XdpOptions& options) : options_(options) {}
  tl::expected<void, Error> set_up();
  tl::expected<void, Error> attach();
  void clear_outcome();
  int call_kernel(Bytes packet, std::uint32_t repeat);

  XdpOptions options_;
  bpf_object* object_ = nullptr;
  bpf_link* tracepoint_ = nullptr;
  Descriptor tap_;         // a device of its own, to be attached to
  Descriptor attachment_;  // of the program to it
  int program_ = -1;       // the object's
  int devices_map_ = -1;
  BpfArray<xdp_destination> destinations_;
  BpfArray<xdp_way> ways_;
  BpfArray<xdp_state> state_memory_;
  volatile xdp_state* state_ = nullptr;  // that memory
  std::uint32_t tries_ = 1;              // more, of destinations that a full queue had no room for
  std::vector<std::uint32_t> free_chunks_;
  std::vector<std::uint32_t> devices_;  // their interfaces; 0: free
  XdpProgramCounters counters_;
};

}  // namespace tiercast::net
