// `tiercast bench fanout | seal | join | refuse`: measures, prints.
#include <cstdio>

#include "relay/base/exit_code.hpp"
#include "relay/cli/commands.hpp"
#include "relay/measure/fanout_bench.hpp"
#include "relay/measure/join_bench.hpp"
#include "relay/measure/refuse_bench.hpp"
#include "relay/measure/seal_bench.hpp"
#include "relay/measure/threads_bench.hpp"

namespace tiercast::cli {
namespace {

template <class M>
std::string json_lines(const std::vector<M>& measurements) {
  std::string out;
  for (const M& m : measurements) out += measure::to_json(m) + "\n";
  return out;
}
template <class M>
std::string json_lines(const M& measurement) {
  return measure::to_json(measurement) + "\n";
}

/// What was measured, or why not.
template <class Measured>
int print(const tl::expected<Measured, net::Error>& measured, bool json) {
  if (!measured) {
    std::fprintf(stderr, "%s\n", measured.error().text.c_str());
    return measured.error().exit_code;
  }
  const std::string out = json ? json_lines(*measured) : measure::to_text(*measured);
  const bool written = std::fputs(out.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
  return written ? ExitCode::ok : ExitCode::cannot_create;
}

}  // namespace

int run(const BenchFanoutOptions& options) {
  measure::FanOutBench bench;
  bench.destinations = options.destinations;
  bench.frames = options.frames;
  bench.payload = options.payload;
  bench.rounds = options.rounds;
  bench.backends = options.backends;
  bench.interface = options.interface;
  if (options.to) {
    bench.first = options.to->first;
    bench.prefix = options.to->prefix;
  }
  if (options.threads > 1) return print(measure::measure_threads(bench, options.threads), options.json);
  return print(measure::measure_fan_out(bench), options.json);
}

int run(const BenchSealOptions& options) {
  return print(measure::measure_seal({options.payload, options.frames, options.rounds}), options.json);
}

int run(const BenchJoinOptions& options) {
  return print(measure::measure_joins({options.joins, options.rounds, options.in_flight}), options.json);
}

int run(const BenchRefuseOptions& options) {
  return print(measure::measure_refusal({options.datagrams, options.rounds}), options.json);
}

}  // namespace tiercast::cli
