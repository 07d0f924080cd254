// A part of a measurement that runs in a process of its own, so that its CPU time is its own. Told to end (SIGTERM)
// when its parent has gone.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <tl/expected.hpp>

#include "relay/net/error.hpp"

namespace tiercast::measure {

/// CPU time of threads, with the kernel's part, since they began.
struct CpuTime {
  std::int64_t main_ns = 0;     // the process's first thread; a node's feed
  std::int64_t workers_ns = 0;  // a node's
  std::int64_t others_ns = 0;
  std::int64_t all_ns() const { return main_ns + workers_ns + others_ns; }
  CpuTime operator-(const CpuTime& before) const {
    return {main_ns - before.main_ns, workers_ns - before.workers_ns, others_ns - before.others_ns};
  }
};

class ChildProcess {
 public:
  /// Forks; `body`'s result is the child's exit status. The calling process has one thread.
  static tl::expected<ChildProcess, net::Error> start(const std::function<int()>& body);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  /// SIGTERM; SIGKILL to who has not ended after three seconds.
  ~ChildProcess();

  /// Waits for a process that has only just been started to have had a turn on a processor: until then it has none.
  tl::expected<CpuTime, net::Error> cpu_time() const;
  /// Its exit status is told too if it has ended, which it should not have.
  bool alive();
  int exit_status() const { return exit_status_; }
  pid_t pid() const { return pid_; }

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}
  pid_t pid_;
  int exit_status_ = 0;
};

}  // namespace tiercast::measure
