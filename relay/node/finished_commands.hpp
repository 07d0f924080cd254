// Runs a command for each finished recording, and tells how it ended. On a thread of its own: to start a program reads
// a disk.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <tl/expected.hpp>
#include <vector>

#include "relay/base/counter.hpp"
#include "relay/base/types.hpp"
#include "relay/net/descriptor.hpp"
#include "relay/net/error.hpp"

namespace tiercast::node {

struct FinishedCommandCounters {
  Counter started, failed;  // the thread's
  Counter drop_queue_full;  // the feed's
  template <class F>
  void each(F&& f) const {
    f("finished_command_started", started);
    f("finished_command_failed", failed);  // not started, or ended with another status than 0
    f("finished_command_drop_queue_full", drop_queue_full);
  }
};

/// The program gets the file's path as its last argument, TIERCAST_GROUP, TIERCAST_NODE and TIERCAST_WHY beside a PATH
/// of the system's folders, nothing on its standard input, the node's standard error as both outputs, no other
/// descriptor, a session of its own, and all signals as usual.
class FinishedCommands {
 public:
  static constexpr std::size_t kAtOnce = 4;
  static constexpr std::size_t kMostWaiting = 256;
  static constexpr Duration kGoodbye = 1s;

  struct Job {
    std::vector<std::string> command;  // an absolute path first
    std::string file, group, node, why;
  };
  static tl::expected<std::unique_ptr<FinishedCommands>, net::Error> create();
  /// What waits is started, then they have kGoodbye; whom that is too short for goes on without this process.
  ~FinishedCommands();

  /// From the feed's thread.
  void run(Job job);
  const FinishedCommandCounters& counters() const { return counters_; }

 private:
  struct Running {
    Job job;
    int pid = -1;
    net::Descriptor process;
    Time since;
  };
  explicit FinishedCommands(net::Descriptor bell);
  void work();
  bool start_next();
  void reap(Running& running);

  net::Descriptor bell_;
  std::mutex mutex_;  // of what follows
  std::deque<Job> waiting_;
  bool stop_ = false;
  std::vector<Running> running_;  // the thread's alone
  FinishedCommandCounters counters_;
  std::thread thread_;
};

}  // namespace tiercast::node
