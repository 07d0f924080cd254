// How much more several workers send than one: threads with a socket and a table each, as a node's workers have them,
// beside one thread with the whole table, taking turns in one process. The body of `tiercast bench fanout --threads`.
#pragma once

#include <string>
#include <tl/expected.hpp>

#include "relay/measure/fanout_bench.hpp"

namespace tiercast::measure {

struct ThreadsMeasurement {
  std::uint32_t threads = 0;
  std::uint32_t destinations = 0;  // of one thread's table, and of all threads' together
  std::uint64_t datagrams = 0;     // sent, in all rounds
  std::uint64_t errors = 0;
  Spread one_per_second;  // datagrams of one thread, by the wall's clock
  Spread all_per_second;  // of all
  double speedup = 0;     // the median of the rounds' ratios
  double cpu_ratio = 0;   // the same of CPU per datagram: above 1 the threads are in each other's way
  /// CPUs that one thread and all had, the median of the rounds: fewer than threads where the machine had other things
  /// to do, and then the speedup says nothing.
  double one_cpus = 0, all_cpus = 0;
};

/// Of the relay's sendmmsg backend. `bench.frames` a round and table; its backends are not looked at. Exit status 64
/// for a request that cannot be, 71 where the kernel refuses.
tl::expected<ThreadsMeasurement, net::Error> measure_threads(const FanOutBench& bench, std::uint32_t threads);

/// One JSON object, one line.
std::string to_json(const ThreadsMeasurement& measurement);
std::string to_text(const ThreadsMeasurement& measurement);

}  // namespace tiercast::measure
