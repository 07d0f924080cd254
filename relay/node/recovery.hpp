// Recovers what killed processes left of recordings, on a thread of its own: reading a whole file takes longer than a
// frame.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "relay/net/wake.hpp"
#include "relay/store/leftovers.hpp"

namespace tiercast::node {

class Recovery {
 public:
  struct Done {
    store::RecordingPlace place;
    std::vector<store::Leftover> files;  // oldest first
  };
  /// The bell rings when there is something to take; it outlives this.
  explicit Recovery(net::Wake& bell) : bell_(bell), thread_([this] { run(); }) {}
  /// Waits for the directory that is looked at.
  ~Recovery();

  void look(store::RecordingPlace place);
  std::vector<Done> take_done();

 private:
  void run();
  net::Wake& bell_;
  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::vector<store::RecordingPlace> places_;
  std::vector<Done> done_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace tiercast::node
