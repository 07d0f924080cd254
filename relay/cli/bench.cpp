// `tiercast bench fanout`: measures, prints.
#include <cstdio>

#include "relay/base/exit_code.hpp"
#include "relay/cli/commands.hpp"
#include "relay/measure/fanout_bench.hpp"

namespace tiercast::cli {

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
