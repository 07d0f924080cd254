#include "relay/ops/sd_notify.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "relay/base/decimal.hpp"
#include "relay/ops/environment.hpp"

namespace tiercast::ops {
namespace {

/// A line break would begin another assignment.
std::string status_line(std::string_view text) {
  std::string line = "STATUS=" + std::string{text.substr(0, 512)};
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\0'; }, ' ');
  return line;
}

}  // namespace

Notifier::Notifier(std::string_view socket, std::string_view watchdog_usec, std::string_view watchdog_pid, int pid) {
  // '/' a path, '@' the abstract namespace; "vsock:" and whatever comes after it are not for us.
  if (socket.size() < 2 || (socket[0] != '/' && socket[0] != '@') || socket.size() >= sizeof(sockaddr_un::sun_path))
    return;
  path_ = socket;
  if (path_[0] == '@') path_[0] = '\0';
  fd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const auto usec = from_decimal<std::uint64_t>(watchdog_usec);
  const bool ours =
      watchdog_pid.empty() || from_decimal<std::uint64_t>(watchdog_pid) == static_cast<std::uint64_t>(pid);
  constexpr std::uint64_t kMost = 1'000'000'000'000;  // 11 days, far from overflow
  if (usec && *usec > 0 && ours) watchdog_ = std::chrono::microseconds{std::min(*usec, kMost)};
}

Notifier::~Notifier() {
  if (fd_ >= 0) ::close(fd_);
}

Notifier Notifier::from_environment() {
  return Notifier{environment("NOTIFY_SOCKET"), environment("WATCHDOG_USEC"), environment("WATCHDOG_PID"), getpid()};
}

bool Notifier::ready(std::string_view status) {
  return send(status.empty() ? std::string{"READY=1"} : "READY=1\n" + status_line(status));
}
bool Notifier::status(std::string_view text) { return send(status_line(text)); }
bool Notifier::stopping(Duration takes) {
  const auto usec = std::chrono::duration_cast<std::chrono::microseconds>(takes).count();
  return send("STOPPING=1\nEXTEND_TIMEOUT_USEC=" + std::to_string(usec));
}
bool Notifier::watchdog() { return send("WATCHDOG=1"); }
bool Notifier::reloading(Time now) {
  const auto usec = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count();
  return send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(usec));
}

bool Notifier::send(std::string_view message) {
  if (path_.empty()) return true;
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, path_.data(), path_.size());
  // An abstract name's length counts exactly; a path's may leave out the final zero.
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_.size());
  return ::sendto(fd_, message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                  reinterpret_cast<const sockaddr*>(&to), size) == static_cast<ssize_t>(message.size());
}

}  // namespace tiercast::ops
