// What of the process' capabilities (capabilities(7)) is given up when it is no longer needed.
#pragma once

#include <string>

namespace tiercast::ops {

/// CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON, of this thread and of those that it makes from now on: they are needed to
/// load and attach an eBPF program, not to run it. Nothing to do where there are none. An error text; empty: done.
std::string drop_bpf_capabilities();

}  // namespace tiercast::ops
