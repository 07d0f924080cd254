// systemd's notification protocol (sd_notify(3), "Standalone Implementations"): one datagram to $NOTIFY_SOCKET.
// libsystemd would bring five libraries for this.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "relay/base/types.hpp"

namespace tiercast::ops {

/// Says nothing, and that successfully, where no service manager asked for it. Never blocks.
class Notifier {
 public:
  /// The values of $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID; empty: not set. `pid`: this process.
  Notifier(std::string_view socket, std::string_view watchdog_usec, std::string_view watchdog_pid, int pid);
  ~Notifier();
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;
  static Notifier from_environment();

  // All return false when the message could not be handed over.

  bool ready(std::string_view status = {});
  bool status(std::string_view text);
  /// The manager kills a process that stops for longer than the unit's TimeoutStopSec=, or than this from now on.
  bool stopping(Duration takes);
  /// Before a reload; ready() ends it. `now` is CLOCK_MONOTONIC.
  bool reloading(Time now);
  bool watchdog();

  /// The manager kills the process after so long without watchdog(): send one every half of it. nullopt: it does not.
  std::optional<Duration> watchdog_interval() const { return watchdog_; }
  bool active() const { return fd_ >= 0; }

 private:
  bool send(std::string_view message);
  std::string path_;  // of the socket; an abstract one begins with a zero byte
  int fd_ = -1;
  std::optional<Duration> watchdog_;
};

}  // namespace tiercast::ops
