#include "relay/node/state_saver.hpp"

#include <pthread.h>

namespace tiercast::node {

StateSaver::StateSaver(const store::OriginState& store, net::Wake& bell)
    : store_(store), bell_(bell), thread_([this] { run(); }) {}

StateSaver::~StateSaver() {
  {
    const std::lock_guard lock{mutex_};
    stop_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void StateSaver::save(Job job) {
  {
    const std::lock_guard lock{mutex_};
    jobs_.push_back(std::move(job));
  }
  changed_.notify_one();
}

std::vector<StateSaver::Done> StateSaver::take_done() {
  const std::lock_guard lock{mutex_};
  return std::exchange(done_, {});
}

void StateSaver::run() {
  pthread_setname_np(pthread_self(), "state");
  std::unique_lock lock{mutex_};
  while (true) {
    changed_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
    if (jobs_.empty()) return;  // what was asked for is saved before the end
    const Job job = std::move(jobs_.front());
    jobs_.erase(jobs_.begin());
    lock.unlock();
    const auto saved = store_.save(job.id, job.source, job.state);
    lock.lock();
    done_.push_back({job.group, saved ? std::string{} : saved.error().text});
    bell_.signal();
  }
}

}  // namespace tiercast::node
