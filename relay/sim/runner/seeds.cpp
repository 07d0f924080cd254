#include "relay/sim/runner/seeds.hpp"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <new>
#include <vector>

#include "relay/sim/runner/trial.hpp"

namespace tiercast::sim {
namespace {

using Real = std::chrono::steady_clock;

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

/// What a process has done so far, where the one that waits for it sees it.
struct Progress {
  std::uint64_t under_way = 0;  // the seed
  std::uint64_t passed = 0, failed = 0;
  std::uint64_t datagrams = 0, frames = 0, owed = 0;
  double process_seconds = 0;  // nodes and listeners × virtual seconds
  double real_seconds = 0;
};

void tell_failure(std::uint64_t seed, const std::string& violation, Duration at) {
  std::printf("seed %llu FAILED at %.3f s: %s\n", static_cast<unsigned long long>(seed), seconds(at),
              violation.c_str());
  std::fflush(stdout);
}

void work(Progress& progress, std::uint64_t from, std::uint64_t end, unsigned step) {
  const auto began = Real::now();
  for (std::uint64_t seed = from; seed < end; seed += step) {
    progress.under_way = seed;
    const Outcome outcome = run(make_scenario(seed));
    (outcome.violation.empty() ? progress.passed : progress.failed)++;
    progress.datagrams += outcome.datagrams;
    progress.frames += outcome.frames;
    progress.owed += outcome.owed;
    progress.process_seconds += static_cast<double>(outcome.processes) * seconds(outcome.ran);
    if (!outcome.violation.empty()) tell_failure(seed, outcome.violation, outcome.at);
  }
  progress.real_seconds += std::chrono::duration<double>(Real::now() - began).count();
}

}  // namespace

int run_seeds(std::uint64_t first, std::uint64_t count, unsigned jobs) {
  void* shared = mmap(nullptr, jobs * sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 1;
  auto* progress = static_cast<Progress*>(shared);
  std::vector<pid_t> children(jobs);
  const auto start = [&](unsigned job, std::uint64_t from) {
    std::fflush(stdout);
    children[job] = fork();
    if (children[job] != 0) return;
    work(progress[job], from, first + count, jobs);
    _exit(0);
  };
  const auto began = Real::now();
  for (unsigned job = 0; job < jobs; ++job) {
    new (&progress[job]) Progress{};
    start(job, first + job);
  }
  for (unsigned left = jobs; left > 0;) {
    int status = 0;
    const pid_t ended = wait(&status);
    if (ended < 0) return 1;
    const auto job = static_cast<unsigned>(std::find(children.begin(), children.end(), ended) - children.begin());
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
      --left;
      continue;
    }
    std::printf("seed %llu FAILED: the process crashed, signal %d\n",
                static_cast<unsigned long long>(progress[job].under_way), WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    ++progress[job].failed;
    start(job, progress[job].under_way + jobs);
  }
  Progress sum;
  for (unsigned job = 0; job < jobs; ++job) {
    sum.passed += progress[job].passed;
    sum.failed += progress[job].failed;
    sum.datagrams += progress[job].datagrams;
    sum.frames += progress[job].frames;
    sum.owed += progress[job].owed;
    sum.process_seconds += progress[job].process_seconds;
  }
  const double real = std::chrono::duration<double>(Real::now() - began).count();
  std::printf("%.0f nodes and listeners × virtual seconds in %.1f s by %u processes: %.0f a second; %.0f ms a seed\n",
              sum.process_seconds, real, jobs, sum.process_seconds / real,
              1000 * real / static_cast<double>(std::max<std::uint64_t>(count, 1)));
  std::printf("%llu datagrams, %llu frames played, %llu of them owed\n", static_cast<unsigned long long>(sum.datagrams),
              static_cast<unsigned long long>(sum.frames), static_cast<unsigned long long>(sum.owed));
  if (sum.failed > 0) std::puts("one of them again, at length: make sim SEED=n");
  std::printf("%llu passed, %llu failed\n", static_cast<unsigned long long>(sum.passed),
              static_cast<unsigned long long>(sum.failed));
  munmap(shared, jobs * sizeof(Progress));
  return sum.failed == 0 && sum.passed > 0 ? 0 : 1;
}

int run_seed(std::uint64_t seed, std::optional<Host> traced) {
  const Scenario scenario = make_scenario(seed);
  std::fputs(describe(scenario).c_str(), stdout);
  std::fflush(stdout);
  const Outcome first = run(scenario, {true, traced}), second = run(scenario, {true, {}});
  if (!first.violation.empty()) tell_failure(seed, first.violation, first.at);
  const bool same = first.history == second.history && first.violation == second.violation;
  if (!same) std::puts("not the same history twice");
  std::printf(
      "%zu nodes and listeners, %.1f virtual seconds, %llu datagrams, %llu frames played, %llu lost, %llu owed\n",
      first.processes, seconds(first.ran), static_cast<unsigned long long>(first.datagrams),
      static_cast<unsigned long long>(first.frames), static_cast<unsigned long long>(first.lost),
      static_cast<unsigned long long>(first.owed));
  return same && first.violation.empty() ? 0 : 1;
}

}  // namespace tiercast::sim
