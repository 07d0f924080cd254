// A bell between threads (eventfd): any thread rings it, one loop hears it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <tl/expected.hpp>

#include "relay/net/descriptor.hpp"
#include "relay/net/loop.hpp"

namespace tiercast::net {

/// Outlives the loop's use of it. Ringing several times before it is heard is heard once: the hearer empties its ring.
class Wake {
 public:
  static tl::expected<std::unique_ptr<Wake>, Error> create();
  Wake(const Wake&) = delete;
  Wake& operator=(const Wake&) = delete;

  /// From any thread. A system call only when the last ring has been heard. What was written before it is visible to
  /// the handler.
  void signal();

  /// `heard` is called in turns of `loop`. 0 or an errno. Once.
  [[nodiscard]] int listen(Loop& loop, std::function<void()> heard);
  /// For Loop::cancel().
  int fd() const { return event_.get(); }

 private:
  explicit Wake(Descriptor event) : event_(std::move(event)) {}
  Descriptor event_;
  std::atomic<bool> rung_{false};
};

}  // namespace tiercast::net
