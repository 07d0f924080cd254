#include "relay/net/wake.hpp"

#include <sys/eventfd.h>

#include <cerrno>
#include <cstring>

namespace tiercast::net {

tl::expected<std::unique_ptr<Wake>, Error> Wake::create() {
  Descriptor event{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!event) return tl::unexpected(Error{std::string{"cannot make an eventfd: "} + std::strerror(errno)});
  return std::unique_ptr<Wake>{new Wake{std::move(event)}};
}

void Wake::signal() {
  if (rung_.exchange(true, std::memory_order_acq_rel)) return;
  const std::uint64_t one = 1;
  // Cannot fail: the counter is at most 1.
  static_cast<void>(::write(event_.get(), &one, sizeof one) == sizeof one);
}

int Wake::listen(Loop& loop, std::function<void()> heard) {
  return loop.poll(event_.get(), [this, heard = std::move(heard)](int events) {
    if (events < 0) return;
    // In this order: read first, or the read would swallow a signal given after the flag was cleared, and no later one
    // would ring again.
    std::uint64_t count = 0;
    static_cast<void>(::read(event_.get(), &count, sizeof count) == sizeof count);
    rung_.exchange(false, std::memory_order_acq_rel);
    heard();
  });
}

}  // namespace tiercast::net
