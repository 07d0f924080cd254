#include "relay/ops/log.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>
#include <thread>
#include <vector>

#include "tests/support/counting_allocator.hpp"

namespace tiercast::log_test {

namespace log_ = tiercast::ops::log;

namespace {

/// Takes the log's lines for a test, and gives standard error back.
class Captured {
 public:
  explicit Captured(log_::Prefix prefix = log_::Prefix::priority) {
    REQUIRE(pipe2(ends_.data(), O_CLOEXEC | O_NONBLOCK) == 0);
    log_::set_output(ends_[1], prefix);
  }
  ~Captured() {
    log_::set_output(STDERR_FILENO, log_::Prefix::time);
    log_::set_level(log_::Level::info);
    close(ends_[0]);
    close(ends_[1]);
  }
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;
  std::string text() const {
    std::string out;
    std::array<char, 4096> buffer{};
    for (ssize_t size = 0; (size = read(ends_[0], buffer.data(), buffer.size())) > 0;)
      out.append(buffer.data(), static_cast<std::size_t>(size));
    return out;
  }
  int fd() const { return ends_[1]; }

 private:
  std::array<int, 2> ends_{-1, -1};
};

}  // namespace

TEST_CASE("a line is an event and its fields, with the level as systemd's priority") {
  const Captured captured;
  log_::set_level(log_::Level::debug);
  log_::debug("a");
  log_::info("lease_expired", {{"peer", "192.0.2.1:4800"}, {"lane", std::uint8_t{2}}, {"ok", true}});
  log_::warning("b", {{"n", -3}, {"big", std::numeric_limits<std::uint64_t>::max()}, {"share", 0.5}});
  log_::error("c", {{"after", Duration{1500us}}, {"six", "[::1]:4800"}});
  CHECK(captured.text() ==
        "<7>a\n"
        "<6>lease_expired peer=192.0.2.1:4800 lane=2 ok=true\n"
        "<4>b n=-3 big=18446744073709551615 share=0.500\n"
        "<3>c after=1.500 six=[::1]:4800\n");
}

TEST_CASE("outside systemd a line begins with the time and the level's name") {
  const Captured captured{log_::Prefix::time};
  log_::warning("b", {{"n", 1}});
  std::string text = captured.text();
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; }, 'N');
  CHECK(text == "NNNN-NN-NNTNN:NN:NN.NNNZ warning b n=N\n");
}

TEST_CASE("what is below the level is not written") {
  const Captured captured;
  log_::debug("no");
  log_::set_level(log_::Level::error);
  log_::warning("no");
  log_::error("yes");
  CHECK(captured.text() == "<3>yes\n");
}

TEST_CASE("a hostile value stays one value on one line") {
  const Captured captured;
  log_::info("e", {{"a", ""}, {"b", "two words"}, {"c", "x\n<0>forged k=v"}, {"d", "q\"uo\\te"}, {"f", "a=b"}});
  log_::info("e", {{"g", std::string_view{"\0\x1b[31m\x7f\xff", 8}}});
  CHECK(captured.text() ==
        "<6>e a=\"\" b=\"two words\" c=\"x\\n<0>forged k=v\" d=\"q\\\"uo\\\\te\" f=\"a=b\"\n"
        "<6>e g=\"\\x00\\x1b[31m\\x7f\\xff\"\n");
}

TEST_CASE("a line that is too long is cut, says so, and still ends") {
  for (std::size_t length = log_::kLongestLine - 40; length < log_::kLongestLine + 5; ++length) {
    const Captured captured;
    log_::info("e", {{"long", std::string(length, 'x')}, {"next", 1}});
    const std::string text = captured.text();
    CHECK(text.size() <= log_::kLongestLine);
    CHECK(text.ends_with('\n'));
    CHECK((text.ends_with(" next=1\n") || text.ends_with(" ...\n")));
  }
  const Captured captured;
  log_::info("e", {{"long", std::string(100000, '\x01')}});
  const std::string text = captured.text();
  CHECK(text.size() <= log_::kLongestLine);
  // Whole escapes only.
  const std::string_view begin = "<6>e long=\"";
  const std::string_view end = " ...\n";
  REQUIRE(text.starts_with(begin));
  REQUIRE(text.ends_with(end));
  const std::string escapes = text.substr(begin.size(), text.size() - begin.size() - end.size());
  CHECK(escapes.size() % 4 == 0);
  for (std::size_t i = 0; i < escapes.size(); i += 4) CHECK(escapes.substr(i, 4) == "\\x01");
}

TEST_CASE("lines of several threads do not mix") {
  const Captured captured;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      for (int i = 0; i < 50; ++i)
        log_::info("e", {{"thread", t}, {"text", std::string(100, static_cast<char>('a' + t))}});
    });
  for (auto& thread : threads) thread.join();
  const std::string text = captured.text();
  std::size_t lines = 0;
  for (std::size_t at = 0; at < text.size(); ++lines) {
    const std::size_t end = text.find('\n', at);
    REQUIRE(end != std::string::npos);
    const std::string line = text.substr(at, end - at);
    bool whole = false;
    for (int t = 0; t < 4; ++t)
      whole =
          whole || line == "<6>e thread=" + std::to_string(t) + " text=" + std::string(100, static_cast<char>('a' + t));
    CHECK_MESSAGE(whole, line);
    at = end + 1;
  }
  CHECK(lines == 200);
}

TEST_CASE("a reader that is stuck loses lines and counts them, and nobody waits") {
  std::array<int, 2> pair{};
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0);  // as the journal's: blocking
  log_::set_output(pair[0], log_::Prefix::priority);
  const std::uint64_t before = log_::lost();
  for (int i = 0; i < 100000 && log_::lost() == before; ++i) log_::info("e", {{"text", std::string(500, 'x')}});
  CHECK(log_::lost() > before);
  log_::set_output(STDERR_FILENO, log_::Prefix::time);
  close(pair[0]);
  close(pair[1]);
}

TEST_CASE("logging allocates nothing") {
  const Captured captured;
  const std::string value(300, '\n');
  log_::info("warm");
  const test::AllocationCount allocations;
  log_::info("e", {{"text", value}, {"n", 12345678901}, {"real", 1.25}, {"plain", "word"}});
  const std::uint64_t counted = allocations.count();
  CHECK(counted == 0);
}

TEST_CASE("priorities are used only where the stream is the journal's own") {
  const Captured captured;
  struct stat status {};
  REQUIRE(fstat(captured.fd(), &status) == 0);
  const std::string own = std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
  CHECK(log_::prefix_for(captured.fd(), own) == log_::Prefix::priority);
  CHECK(log_::prefix_for(captured.fd(), own + "1") == log_::Prefix::time);
  CHECK(log_::prefix_for(captured.fd(), "") == log_::Prefix::time);
  CHECK(log_::prefix_for(-1, own) == log_::Prefix::time);
}

TEST_CASE("once a second a place may speak, and it says how often it was silent") {
  log_::RateLimit limit;
  const Time start{5s};
  CHECK(limit.allow(start) == 0U);
  for (int i = 1; i < 1000; i += 100) CHECK_FALSE(limit.allow(start + Duration{1ms} * i));
  CHECK_FALSE(limit.allow(start + 1s - 1ns));
  CHECK(limit.allow(start + 1s) == 11U);
  CHECK_FALSE(limit.allow(start + 1s));
  CHECK(limit.allow(start + 5s) == 1U);
}

TEST_CASE("of many threads at one moment one may speak, and all others are counted") {
  log_::RateLimit limit;
  std::atomic<int> allowed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i)
        if (limit.allow(Time{7s})) ++allowed;
    });
  for (auto& thread : threads) thread.join();
  CHECK(allowed == 1);
  CHECK(limit.allow(Time{9s}) == 3999U);
}

}  // namespace tiercast::log_test
