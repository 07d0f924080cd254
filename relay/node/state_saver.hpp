// Saves origins' state on a thread of its own: an fsync may take longer than a frame.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "relay/net/wake.hpp"
#include "relay/node/messages.hpp"
#include "relay/store/origin_state.hpp"

namespace tiercast::node {

class StateSaver {
 public:
  struct Job {
    GroupIndex group;
    GroupId id;
    SourceId source;
    store::SourceState state;
  };
  struct Done {
    GroupIndex group;
    std::string problem;  // empty: it is on the disk
  };
  StateSaver(const store::OriginState& store, net::Wake& bell);
  ~StateSaver();

  void save(Job job);
  /// What is done since the last call; the bell rings when there is something.
  std::vector<Done> take_done();

 private:
  void run();
  const store::OriginState& store_;
  net::Wake& bell_;
  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::vector<Job> jobs_;
  std::vector<Done> done_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace tiercast::node
