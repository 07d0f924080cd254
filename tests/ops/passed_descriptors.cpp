#include "relay/ops/passed_descriptors.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

namespace tiercast::passed_descriptors_test {

using namespace tiercast::ops;

namespace {

std::string told(std::string_view pid, std::string_view fds, std::string_view names) {
  const auto passed = passed_descriptors(pid, fds, names, 77);
  if (!passed) return passed.error();
  std::string out;
  for (const auto& one : *passed) out += std::to_string(one.fd) + "=" + one.name + " ";
  return out;
}

}  // namespace

TEST_CASE("descriptors are those from 3 on, with their names") {
  CHECK(told("77", "3", "a:b:c") == "3=a 4=b 5=c ");
  CHECK(told("77", "3", "") == "3= 4= 5= ");
  CHECK(told("77", "3", "a::") == "3=a 4= 5= ");
  CHECK(told("77", "1", "a:b") == "3=a ");
  CHECK(told("77", "0", "").empty());
}

TEST_CASE("what is not set, or meant for another process, passes nothing") {
  CHECK(told("", "", "").empty());
  CHECK(told("", "2", "a:b").empty());
  CHECK(told("77", "", "").empty());
  CHECK(told("78", "2", "a:b").empty());
  CHECK(told("78", "nonsense", "").empty());
}

TEST_CASE("nonsense is told, not guessed at") {
  for (const char* pid : {"x", "-77", "77 ", "99999999999"})
    CHECK(told(pid, "1", "") == "LISTEN_PID=" + std::string{pid} + " is no process id");
  for (const char* fds : {"x", "-1", "1x", "4097", "99999999999"})
    CHECK(told("77", fds, "") == "LISTEN_FDS=" + std::string{fds} + " is no number of descriptors");
}

TEST_CASE("the environment is taken once, and its descriptors are not for children") {
  const auto pretend = [](const char* fds) {
    setenv("LISTEN_PID", std::to_string(getpid()).c_str(), 1);
    setenv("LISTEN_FDS", fds, 1);
    setenv("LISTEN_FDNAMES", "a", 1);
  };
  // Descriptor 3 may be something else's here: what it is does not matter, but that it is left as it was found.
  const int before = fcntl(3, F_GETFD);
  if (before < 0) REQUIRE(fcntl(open("/dev/null", O_RDONLY | O_CLOEXEC), F_DUPFD, 3) >= 3);
  REQUIRE(fcntl(3, F_SETFD, 0) == 0);
  pretend("1");
  const auto passed = take_passed_descriptors();
  REQUIRE(passed);
  REQUIRE(passed->size() == 1);
  CHECK((*passed)[0].fd == 3);
  CHECK((*passed)[0].name == "a");
  CHECK((fcntl(3, F_GETFD) & FD_CLOEXEC) != 0);
  CHECK(std::getenv("LISTEN_FDS") == nullptr);
  CHECK(std::getenv("LISTEN_PID") == nullptr);
  CHECK(std::getenv("LISTEN_FDNAMES") == nullptr);
  const auto again = take_passed_descriptors();
  REQUIRE(again);
  CHECK(again->empty());
  if (before >= 0) fcntl(3, F_SETFD, before);

  pretend("4000");
  const auto closed = take_passed_descriptors();
  REQUIRE_FALSE(closed);
  CHECK(closed.error().find("which is not open") != std::string::npos);
  CHECK(std::getenv("LISTEN_FDS") == nullptr);
}

}  // namespace tiercast::passed_descriptors_test
