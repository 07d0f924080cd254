// `tiercast bench fanout`: measures, prints.
#include <cstdio>

#include "relay/base/exit_code.hpp"
#include "relay/cli/commands.hpp"
#include "relay/measure/fanout_bench.hpp"
#include "relay/measure/threads_bench.hpp"

namespace tiercast::cli {
namespace {

int print_threads(const measure::FanOutBench& bench, const BenchFanoutOptions& options) {
  const auto measured = measure::measure_threads(bench, options.threads);
  if (!measured) {
    std::fprintf(stderr, "%s\n", measured.error().text.c_str());
    return measured.error().exit_code;
  }
  const std::string out = options.json ? measure::to_json(*measured) + "\n" : measure::to_text(*measured);
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
  if (options.threads > 1) return print_threads(bench, options);
  const auto measured = measure::measure_fan_out(bench);
  if (!measured) {
    std::fprintf(stderr, "%s\n", measured.error().text.c_str());
    return measured.error().exit_code;
  }
  std::string out;
  if (options.json) {
    for (const measure::FanOutMeasurement& m : *measured) out += measure::to_json(m) + "\n";
  } else {
    out = measure::to_text(*measured);
  }
  const bool written = std::fputs(out.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
  return written ? ExitCode::ok : ExitCode::cannot_create;
}

}  // namespace tiercast::cli
