#include "relay/measure/child_process.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>

namespace tiercast::child_process_test {

using namespace tiercast::measure;

TEST_CASE("a child's CPU time grows while it computes, and it is gone with its owner") {
  pid_t pid = 0;
  {
    auto child = ChildProcess::start([] {
      while (true) {
      }
      return 0;
    });
    REQUIRE(child);
    pid = child->pid();
    CHECK(child->alive());
    std::int64_t ns = 0;
    while (ns < 5'000'000)  // 5 ms
      if (const auto now = child->cpu_time()) ns = now->all_ns();
    const auto now = child->cpu_time();
    REQUIRE(now);
    CHECK(now->main_ns >= ns);
    CHECK(now->workers_ns == 0);
    CHECK((*now - *now).all_ns() == 0);
  }
  CHECK(::kill(pid, 0) == -1);
  CHECK(errno == ESRCH);
}

TEST_CASE("a child that has only just been started, and waits, has CPU time") {
  for (int i = 0; i < 20; ++i) {
    const auto child = ChildProcess::start([] {
      while (true) ::pause();
      return 0;
    });
    REQUIRE(child);
    const auto now = child->cpu_time();
    REQUIRE_MESSAGE(now, (now ? "" : now.error().text));
    CHECK(now->main_ns > 0);
  }
}

TEST_CASE("a child that ended by itself says how") {
  auto child = ChildProcess::start([] { return 7; });
  REQUIRE(child);
  while (child->alive()) ::usleep(1000);
  CHECK(child->exit_status() == 7);
  CHECK_FALSE(child->cpu_time());
}

}  // namespace tiercast::child_process_test
