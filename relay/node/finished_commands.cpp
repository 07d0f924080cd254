#include "relay/node/finished_commands.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "relay/base/exit_code.hpp"
#include "relay/net/loop.hpp"
#include "relay/ops/log.hpp"

namespace tiercast::node {
namespace {

/// 0 or an errno.
int spawn(const FinishedCommands::Job& job, pid_t& pid) {
  std::vector<std::string> environment{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                       "LANG=C.UTF-8", "TIERCAST_GROUP=" + job.group, "TIERCAST_NODE=" + job.node,
                                       "TIERCAST_WHY=" + job.why};
  std::vector<char*> arguments, variables;
  for (const std::string& word : job.command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(const_cast<char*>(job.file.c_str()));
  arguments.push_back(nullptr);
  for (std::string& variable : environment) variables.push_back(variable.data());
  variables.push_back(nullptr);

  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
  const int error =
      ::posix_spawn(&pid, job.command.front().c_str(), &files, &attributes, arguments.data(), variables.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return error;
}

}  // namespace

tl::expected<std::unique_ptr<FinishedCommands>, net::Error> FinishedCommands::create() {
  net::Descriptor bell{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!bell) return tl::unexpected{net::Error{std::string{"no eventfd: "} + std::strerror(errno), ExitCode::os}};
  return std::unique_ptr<FinishedCommands>{new FinishedCommands{std::move(bell)}};
}

FinishedCommands::FinishedCommands(net::Descriptor bell) : bell_(std::move(bell)), thread_([this] { work(); }) {}

FinishedCommands::~FinishedCommands() {
  {
    const std::lock_guard lock{mutex_};
    stop_ = true;
  }
  ::eventfd_write(bell_.get(), 1);
  thread_.join();
}

void FinishedCommands::run(Job job) {
  {
    const std::lock_guard lock{mutex_};
    if (waiting_.size() >= kMostWaiting) {
      counters_.drop_queue_full.add();
      ops::log::error("finished_command_dropped",
                      {{"group", job.group}, {"file", job.file}, {"waiting", kMostWaiting}});
      return;
    }
    waiting_.push_back(std::move(job));
  }
  ::eventfd_write(bell_.get(), 1);
}

/// False: none waits, or enough run.
bool FinishedCommands::start_next() {
  Running next;
  {
    const std::lock_guard lock{mutex_};
    if (waiting_.empty() || running_.size() >= kAtOnce) return false;
    next.job = std::move(waiting_.front());
    waiting_.pop_front();
  }
  next.since = net::read_clocks().mono;
  int error = spawn(next.job, next.pid);
  if (error == 0) {
    next.process = net::Descriptor{static_cast<int>(::syscall(SYS_pidfd_open, next.pid, 0))};
    if (!next.process) error = errno;  // it runs, and nobody will know how it ended
  }
  if (error != 0) {
    counters_.failed.add();
    ops::log::error("finished_command_failed", {{"group", next.job.group},
                                                {"file", next.job.file},
                                                {"command", next.job.command.front()},
                                                {"reason", std::strerror(error)}});
    return true;
  }
  counters_.started.add();
  running_.push_back(std::move(next));
  return true;
}

void FinishedCommands::reap(Running& running) {
  int status = 0;
  while (::waitpid(running.pid, &status, 0) < 0 && errno == EINTR) {
  }
  const bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (!ok) counters_.failed.add();
  const double seconds = std::chrono::duration<double>(net::read_clocks().mono - running.since).count();
  const ops::log::Fields fields{
      {"group", running.job.group},
      {"file", running.job.file},
      {"command", running.job.command.front()},
      {WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)},
      {"seconds", seconds}};
  ok ? ops::log::info("finished_command_ended", fields) : ops::log::warning("finished_command_ended", fields);
}

void FinishedCommands::work() {
  pthread_setname_np(pthread_self(), "finished");
  Time until = kNever;
  while (true) {
    while (start_next()) {
    }
    std::vector<pollfd> watched{{bell_.get(), POLLIN, 0}};
    for (const Running& running : running_) watched.push_back({running.process.get(), POLLIN, 0});
    {
      const std::lock_guard lock{mutex_};
      if (stop_ && until == kNever) until = net::read_clocks().mono + kGoodbye;
    }
    int wait = -1;
    if (until != kNever) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - net::read_clocks().mono).count();
      if (left <= 0 || running_.empty()) break;
      wait = static_cast<int>(left);
    }
    ::poll(watched.data(), watched.size(), wait);
    eventfd_t rung = 0;
    ::eventfd_read(bell_.get(), &rung);
    for (std::size_t i = running_.size(); i-- > 0;) {
      if (watched[i + 1].revents == 0) continue;
      reap(running_[i]);
      running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  const std::lock_guard lock{mutex_};
  for (const Running& running : running_)
    ops::log::warning("finished_command_left", {{"group", running.job.group},
                                                {"file", running.job.file},
                                                {"pid", running.pid},
                                                {"hint", "this node stops; the command goes on where that is let"}});
  for (const Job& job : waiting_)
    ops::log::error("finished_command_failed", {{"group", job.group},
                                                {"file", job.file},
                                                {"command", job.command.front()},
                                                {"reason", "the node stops, and others are at work"}});
}

}  // namespace tiercast::node
