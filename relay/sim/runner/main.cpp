// The simulation's program: many seeds, or one of them at length, or a named scenario with its bar.
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>

#include "crypto/secret.hpp"
#include "relay/sim/runner/bars.hpp"
#include "relay/sim/runner/seeds.hpp"

namespace {

int usage() {
  std::fputs(
      "usage: sim --seeds N [--first S] [--jobs J]   many seeds\n"
      "       sim --seed S [--listener L | --node N] one, at length; with all that it sends, gets and plays\n"
      "       sim NAME|all [--seeds N]               a named scenario with its bar:\n",
      stderr);
  std::fputs(tiercast::sim::list_bars().c_str(), stderr);
  return 64;
}

}  // namespace

int main(int argc, char** argv) {
  constexpr std::uint64_t none = ~std::uint64_t{0};
  std::uint64_t seeds = 0, first = 1, seed = 0, jobs = 0, listener = none, node = none;
  std::string bar;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (bar.empty() && !option.starts_with("-")) {
      bar = option;
      continue;
    }
    std::uint64_t* value = option == "--seeds"      ? &seeds
                           : option == "--first"    ? &first
                           : option == "--seed"     ? &seed
                           : option == "--jobs"     ? &jobs
                           : option == "--listener" ? &listener
                           : option == "--node"     ? &node
                                                    : nullptr;
    if (value == nullptr || ++i == argc) return usage();
    const char* end = argv[i] + std::strlen(argv[i]);
    if (std::from_chars(argv[i], end, *value).ptr != end) return usage();
  }
  if (!tiercast::crypto::initialise()) return 71;
  if (!bar.empty()) {
    const int status = tiercast::sim::run_bar(bar, seeds);
    return status == 64 ? usage() : status;
  }
  if (seed != 0) {
    std::optional<tiercast::sim::Host> traced;
    if (listener != none) traced = tiercast::sim::Host{false, static_cast<std::uint32_t>(listener)};
    if (node != none) traced = tiercast::sim::Host{true, static_cast<std::uint32_t>(node)};
    return tiercast::sim::run_seed(seed, traced);
  }
  if (seeds == 0) return usage();
  if (jobs == 0) jobs = static_cast<std::uint64_t>(sysconf(_SC_NPROCESSORS_ONLN));
  return tiercast::sim::run_seeds(first, seeds, static_cast<unsigned>(jobs));
}
