// A network of its own for one test: what loopback alone cannot show (full queues, small MTUs, missing routes).
#pragma once

#include <doctest/doctest.h>
#include <sched.h>

#include <cstdlib>
#include <exception>
#include <initializer_list>
#include <thread>

namespace tiercast::test {

/// Runs `body` in a new network namespace with loopback up, after `commands` (of iproute2), on a thread of its own;
/// the namespace goes with it. Sockets must not outlive `body`. Where that is not permitted, or iproute2 is not
/// installed, the test says that it was left out; where a command fails, it fails.
template <class Body>
void in_network_namespace(std::initializer_list<const char*> commands, Body body) {
  bool possible = false;
  std::exception_ptr thrown;  // by a REQUIRE
  std::thread{[&] {
    if (unshare(CLONE_NEWNET) != 0 || std::system("ip link set lo up") != 0) return;
    possible = true;
    try {
      for (const char* command : commands) REQUIRE_MESSAGE(std::system(command) == 0, command);
      body();
    } catch (...) {
      thrown = std::current_exception();
    }
  }}.join();
  if (thrown) std::rethrow_exception(thrown);
  if (!possible) MESSAGE("left out: needs root and iproute2");
}

}  // namespace tiercast::test
