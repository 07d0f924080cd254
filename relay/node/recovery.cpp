#include "relay/node/recovery.hpp"

#include <pthread.h>

#include <utility>

namespace tiercast::node {

Recovery::~Recovery() {
  {
    const std::lock_guard lock{mutex_};
    stop_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Recovery::look(store::RecordingPlace place) {
  {
    const std::lock_guard lock{mutex_};
    places_.push_back(std::move(place));
  }
  changed_.notify_one();
}

std::vector<Recovery::Done> Recovery::take_done() {
  const std::lock_guard lock{mutex_};
  return std::exchange(done_, {});
}

void Recovery::run() {
  pthread_setname_np(pthread_self(), "recovery");
  std::unique_lock lock{mutex_};
  while (true) {
    changed_.wait(lock, [this] { return stop_ || !places_.empty(); });
    if (stop_) return;  // the next start does it
    Done done{std::move(places_.front()), {}};
    places_.erase(places_.begin());
    lock.unlock();
    done.files = store::recover(done.place);
    lock.lock();
    done_.push_back(std::move(done));
    bell_.signal();
  }
}

}  // namespace tiercast::node
