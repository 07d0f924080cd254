#include "relay/ops/sd_notify.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <string>

namespace tiercast::sd_notify_test {

using ops::Notifier;

namespace {

/// The service manager's side: a real socket, at a path or in the abstract namespace.
class Manager {
 public:
  explicit Manager(bool abstract) {
    std::string directory = "/tmp/tiercast-notify-XXXXXX";
    REQUIRE(mkdtemp(directory.data()) != nullptr);
    directory_ = directory;
    name_ = (abstract ? "@" : "") + directory + "/notify";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name_.copy(address.sun_path, sizeof address.sun_path - 1);
    if (abstract) address.sun_path[0] = '\0';
    fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    REQUIRE(bind(fd_, reinterpret_cast<const sockaddr*>(&address),
                 static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size())) == 0);
  }
  ~Manager() {
    close(fd_);
    unlink(name_.c_str());
    rmdir(directory_.c_str());
  }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  const std::string& name() const { return name_; }
  std::string heard() const {
    std::array<char, 4096> buffer{};
    const ssize_t size = recv(fd_, buffer.data(), buffer.size(), 0);
    return size < 0 ? "nothing" : std::string{buffer.data(), static_cast<std::size_t>(size)};
  }

 private:
  std::string directory_;
  std::string name_;
  int fd_ = -1;
};

}  // namespace

TEST_CASE("each message is one datagram of the documented form, at a path and at an abstract name") {
  for (const bool abstract : {false, true}) {
    CAPTURE(abstract);
    const Manager manager{abstract};
    Notifier notifier{manager.name(), "", "", 1};
    CHECK(notifier.active());
    CHECK(notifier.ready());
    CHECK(manager.heard() == "READY=1");
    CHECK(notifier.ready("serving 3 groups"));
    CHECK(manager.heard() == "READY=1\nSTATUS=serving 3 groups");
    CHECK(notifier.status("12 listeners"));
    CHECK(manager.heard() == "STATUS=12 listeners");
    CHECK(notifier.watchdog());
    CHECK(manager.heard() == "WATCHDOG=1");
    CHECK(notifier.reloading(Time{1234567890ns}));
    CHECK(manager.heard() == "RELOADING=1\nMONOTONIC_USEC=1234567");
    CHECK(notifier.stopping(1500ms));
    CHECK(manager.heard() == "STOPPING=1\nEXTEND_TIMEOUT_USEC=1500000");
    CHECK(manager.heard() == "nothing");
  }
}

TEST_CASE("a status cannot smuggle in another assignment, and has a bound") {
  const Manager manager{false};
  Notifier notifier{manager.name(), "", "", 1};
  CHECK(notifier.status("a\nMAINPID=1\nb"));
  CHECK(manager.heard() == "STATUS=a MAINPID=1 b");
  CHECK(notifier.status(std::string(100000, 'x')));
  CHECK(manager.heard().size() < 1000);
}

TEST_CASE("without a manager nothing is said, and that succeeds") {
  for (const char* socket : {"", "/", "@", "relative", "vsock:2:1234"}) {
    Notifier notifier{socket, "1000000", "", 1};
    CHECK_FALSE(notifier.active());
    CHECK(notifier.ready());
    CHECK_FALSE(notifier.watchdog_interval());
  }
  Notifier longer{"/" + std::string(200, 'x'), "", "", 1};
  CHECK_FALSE(longer.active());
}

TEST_CASE("a manager that is gone is told as a failure") {
  std::string name;
  {
    const Manager manager{false};
    name = manager.name();
  }
  Notifier notifier{name, "", "", 1};
  CHECK_FALSE(notifier.ready());
}

TEST_CASE("a manager that does not read never blocks us") {
  const Manager manager{false};
  Notifier notifier{manager.name(), "", "", 1};
  bool refused = false;
  for (int i = 0; i < 100000 && !refused; ++i) refused = !notifier.watchdog();
  CHECK(refused);
}

TEST_CASE("the watchdog's interval is taken only where it is meant for this process") {
  const auto interval = [](const char* usec, const char* pid) {
    return Notifier{"/run/x", usec, pid, 42}.watchdog_interval();
  };
  CHECK(interval("3000000", "42") == Duration{3s});
  CHECK(interval("3000000", "") == Duration{3s});
  CHECK_FALSE(interval("3000000", "43"));
  CHECK_FALSE(interval("3000000", "x"));
  CHECK_FALSE(interval("0", ""));
  CHECK_FALSE(interval("", ""));
  CHECK_FALSE(interval("-1", ""));
  CHECK_FALSE(interval("3s", ""));
  CHECK(interval("18446744073709551615", "") > Duration{1h});  // no overflow
}

}  // namespace tiercast::sd_notify_test
