#include "relay/measure/child_process.hpp"

#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <memory>
#include <utility>

namespace tiercast::measure {
namespace {

constexpr int kFirstTurn = 200;  // of 10 ms: by then a process has been on a processor, however busy these are

net::Error refused(const char* what) { return {std::string{what} + ": " + std::strerror(errno)}; }

void wait_10_ms() {
  const timespec pause{0, 10'000'000};
  ::nanosleep(&pause, nullptr);
}

tl::expected<CpuTime, net::Error> read_cpu_time(const std::string& tasks, pid_t pid) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder{::opendir(tasks.c_str()), ::closedir};
  if (!folder) return tl::unexpected(refused(tasks.c_str()));
  CpuTime out;
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string thread = entry->d_name;
    if (thread.front() == '.') continue;
    std::int64_t ns = 0;
    std::string name;
    std::ifstream{tasks + "/" + thread + "/schedstat"} >> ns;
    std::ifstream{tasks + "/" + thread + "/comm"} >> name;
    (thread == std::to_string(pid) ? out.main_ns : name == "worker" ? out.workers_ns : out.others_ns) += ns;
  }
  return out;
}

constexpr int kEnds[] = {SIGTERM, SIGINT, SIGHUP};

}  // namespace

tl::expected<ChildProcess, net::Error> ChildProcess::start(const std::function<int()>& body) {
  const pid_t parent = ::getpid();
  // This process's handlers are not the child's, not even for a moment.
  sigset_t ours{}, before{};
  ::sigemptyset(&ours);
  for (const int each : kEnds) ::sigaddset(&ours, each);
  ::pthread_sigmask(SIG_BLOCK, &ours, &before);
  const pid_t pid = ::fork();
  const int error = errno;
  if (pid != 0) ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  if (pid < 0) return tl::unexpected(refused("fork"));
  if (pid == 0) {
    for (const int each : kEnds) ::signal(each, SIG_DFL);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) ::_exit(0);
    ::_exit(body());
  }
  return ChildProcess{pid};
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), exit_status_(other.exit_status_) {}

ChildProcess::~ChildProcess() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGTERM);
  for (int tries = 0; alive(); ++tries) {
    if (tries == 300) ::kill(pid_, SIGKILL);
    wait_10_ms();
  }
}

bool ChildProcess::alive() {
  if (pid_ <= 0) return false;
  int status = 0;
  const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
  if (ended == 0 || (ended < 0 && errno == EINTR)) return true;
  exit_status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  pid_ = -1;
  return false;
}

tl::expected<CpuTime, net::Error> ChildProcess::cpu_time() const {
  const std::string tasks = "/proc/" + std::to_string(pid_) + "/task";
  for (int tries = 0;; ++tries) {
    const auto out = read_cpu_time(tasks, pid_);
    if (!out || out->main_ns > 0) return out;
    if (tries == kFirstTurn)
      return tl::unexpected(net::Error{tasks + ": no CPU time; the kernel needs CONFIG_SCHED_INFO", 71});
    wait_10_ms();
  }
}

}  // namespace tiercast::measure
