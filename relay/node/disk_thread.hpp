// Slow work with a disk, on a thread of its own and one after the other: it may take longer than a frame.
#pragma once

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "relay/net/wake.hpp"

namespace tiercast::node {

/// What is still waiting when the end comes.
enum class AtEnd { done, left };

template <class Job, class Done>
class DiskThread {
 public:
  using Work = std::function<Done(Job)>;
  /// `name`: the thread's, at most 15 bytes. The bell rings when there is something to take; it outlives this.
  DiskThread(const char* name, AtEnd at_end, net::Wake& bell, Work work)
      : at_end_(at_end), bell_(bell), work_(std::move(work)), thread_([this, name] { run(name); }) {}
  DiskThread(const DiskThread&) = delete;
  DiskThread& operator=(const DiskThread&) = delete;
  /// Waits for the job at work, and as `at_end` says for those behind it.
  ~DiskThread() {
    end();
    thread_.join();
  }

  /// Nothing is added from now on. Does not wait.
  void end() {
    {
      const std::lock_guard lock{mutex_};
      stop_ = true;
    }
    changed_.notify_one();
  }

  void add(Job job) {
    {
      const std::lock_guard lock{mutex_};
      jobs_.push_back(std::move(job));
    }
    changed_.notify_one();
  }

  /// What is done since the last call, in the jobs' order.
  std::vector<Done> take_done() {
    const std::lock_guard lock{mutex_};
    return std::exchange(done_, {});
  }

 private:
  void run(const char* name) {
    pthread_setname_np(pthread_self(), name);
    std::unique_lock lock{mutex_};
    while (true) {
      changed_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
      if (jobs_.empty() || (stop_ && at_end_ == AtEnd::left)) return;
      Job job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      Done done = work_(std::move(job));
      lock.lock();
      done_.push_back(std::move(done));
      bell_.signal();
    }
  }

  const AtEnd at_end_;
  net::Wake& bell_;
  const Work work_;
  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  std::vector<Done> done_;
  bool stop_ = false;
  std::thread thread_;  // last: it uses all that is above
};

}  // namespace tiercast::node
