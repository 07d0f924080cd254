// The eBPF program that counts frames below the network stack, in the kernel: loaded, attached to one interface, its
// table read as plain memory. It goes with the process, however that ends.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <tl/expected.hpp>

#include "relay/base/endpoint.hpp"
#include "relay/measure/load_filter.h"
#include "relay/net/bpf_array.hpp"
#include "relay/net/descriptor.hpp"
#include "relay/net/error.hpp"

struct bpf_object;

namespace tiercast::measure {

struct LoadCounterSetup {
  std::string interface;
  Endpoint edge;   // frames come from here
  Endpoint first;  // the first listener's address, and every listener's port; the others' addresses follow it
  std::uint32_t listeners = 0;
  std::uint32_t group = 0;
};

/// Counts of one listener are written by the processor that its flow's packets come to, and read here without a lock.
class LoadCounter {
 public:
  /// Needs CAP_BPF and CAP_NET_ADMIN. Counts from now on. Error text: "--count-on IF: …"; exit status 71, or 64 where
  /// there is no such interface. Memory in the kernel: 72 bytes a listener.
  static tl::expected<std::unique_ptr<LoadCounter>, net::Error> attach(const LoadCounterSetup& setup);
  ~LoadCounter();
  LoadCounter(const LoadCounter&) = delete;
  LoadCounter& operator=(const LoadCounter&) = delete;

  std::span<load_account> accounts() { return accounts_.elements(); }
  /// In the interface's driver; else in the stack's first step, for any interface, at some three times the cost.
  bool native() const { return native_; }

 private:
  LoadCounter() = default;
  bpf_object* object_ = nullptr;
  net::Descriptor attachment_;  // a link: the kernel detaches when the last descriptor of it is gone
  net::BpfArray<load_account> accounts_;
  bool native_ = false;
};

}  // namespace tiercast::measure
