#include "relay/node/output_file.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <thread>

#include "relay/base/exit_code.hpp"
#include "tests/cli/temporary_directory.hpp"

namespace tiercast::output_file_test {

using namespace tiercast::test;
using node::OutputFile;
using State = node::OutputStatus::State;

namespace {

OutputFile create(const std::string& path) {
  auto file = OutputFile::create(path);
  if (!file) FAIL(file.error().text);
  return std::move(*file);
}

/// A named pipe in a directory of its own, with its reading end, which never waits.
class Pipe {
 public:
  Pipe() {
    ::signal(SIGPIPE, SIG_IGN);
    REQUIRE(::mkfifo(path().c_str(), 0600) == 0);
    reader_ = net::Descriptor{::open(path().c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
    REQUIRE(reader_);
    REQUIRE(::fcntl(reader_.get(), F_SETPIPE_SZ, 4096) == 4096);
  }
  std::string path() const { return directory_ / "pipe"; }
  /// Up to so many bytes, as far as there are any.
  std::string read(std::size_t most = 1 << 20) {
    std::string out;
    char buffer[4096];
    while (out.size() < most) {
      const ssize_t got = ::read(reader_.get(), buffer, std::min(sizeof buffer, most - out.size()));
      if (got <= 0) break;
      out.append(buffer, static_cast<std::size_t>(got));
    }
    return out;
  }
  void close() { reader_.reset(); }

 private:
  TemporaryDirectory directory_;
  net::Descriptor reader_;
};

/// A piece of so many bytes that tells its number.
std::string piece(int number, std::size_t size = 1000) {
  std::string out = std::to_string(number) + ":";
  out.resize(size, static_cast<char>('a' + number % 26));
  return out;
}

}  // namespace

TEST_CASE("output file: a regular file has every piece at once") {
  const TemporaryDirectory directory;
  OutputFile file = create(directory / "out");
  CHECK(file.regular());
  CHECK_FALSE(file.terminal());
  file.write(std::string{"hello "});
  file.write(std::string{"world"});
  CHECK(read_file(directory / "out") == "hello world");
  CHECK(file.bytes() == 11);
  const std::uint8_t j[] = {'J'};
  file.overwrite(j, 0);
  file.write(std::string{"!"});
  CHECK(read_file(directory / "out") == "Jello world!");
  file.finish(0s);
  CHECK(file.status().state == State::open);
  CHECK(file.status().name == directory / "out");
}

TEST_CASE("output file: one that cannot be made says why") {
  const auto file = OutputFile::create("/nonexistent/out");
  REQUIRE_FALSE(file);
  CHECK(file.error().exit_code == ExitCode::cannot_create);
  CHECK(file.error().text == "cannot write /nonexistent/out: No such file or directory");
}

TEST_CASE("output file: a full disk is told, and nothing is written after it") {
  OutputFile file = create("/dev/full");
  CHECK_FALSE(file.regular());
  file.write(std::string{"hello"});
  CHECK(file.status().state == State::failed);
  CHECK(file.status().why == "No space left on device");
  file.write(std::string{"hello"});
  CHECK(file.bytes() == 0);
}

TEST_CASE("output file: where a write fails in the middle, the file ends with the last whole piece") {
  const TemporaryDirectory directory;
  struct rlimit before {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  ::signal(SIGXFSZ, SIG_IGN);
  OutputFile file = create(directory / "out");
  const rlimit limited{2500, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limited) == 0);
  for (int i = 0; i < 4; ++i) file.write(piece(i));
  const State state = file.status().state;
  const std::uint8_t x[] = {'X'};
  file.overwrite(x, 0);
  ::setrlimit(RLIMIT_FSIZE, &before);
  CHECK(state == State::failed);
  CHECK(file.status().why == "File too large");
  CHECK(file.bytes() == 2000);
  const std::string written = read_file(directory / "out");
  CHECK(written.size() == 2000);
  CHECK(written == "X" + (piece(0) + piece(1)).substr(1));  // a header can still be put right
}

TEST_CASE("output file: a pipe whose reader keeps up gets everything, also pieces greater than the pipe") {
  Pipe pipe;
  OutputFile file = create(pipe.path());
  CHECK_FALSE(file.regular());
  std::string sent, got;
  for (int i = 0; i < 50; ++i) {
    sent += piece(i, 9000);
    file.write(piece(i, 9000));
    for (int turn = 0; turn < 4; ++turn) {
      got += pipe.read();
      file.pump();
    }
  }
  got += pipe.read();
  CHECK(got == sent);
  CHECK(file.bytes() == sent.size());
  CHECK(file.status().dropped == 0);
}

TEST_CASE("output file: a reader that sleeps never makes the writer wait, and finds what came last, in whole pieces") {
  Pipe pipe;
  OutputFile file = create(pipe.path());
  file.set_bound(10);
  file.write(std::string{"header"}, true);
  for (int i = 0; i < 1000; ++i) file.write(piece(i));  // would wait for ever if it waited
  CHECK(file.status().state == State::open);
  const std::uint64_t dropped = file.status().dropped;
  std::string got = pipe.read();
  for (int turn = 0; turn < 10; ++turn) {
    file.pump();
    got += pipe.read();
  }
  CHECK(file.status().dropped == dropped);
  REQUIRE(got.starts_with("header"));
  got.erase(0, 6);
  REQUIRE(got.size() % 1000 == 0);
  CHECK(dropped == 1000 - got.size() / 1000);
  int last = -1;
  for (std::size_t at = 0; at < got.size(); at += 1000) {
    const int number = std::stoi(got.substr(at));
    CHECK(got.substr(at, 1000) == piece(number));
    CHECK(number > last);
    last = number;
  }
  CHECK(last == 999);
}

TEST_CASE("output file: a header waits for a reader that is not there yet, however full the queue is") {
  Pipe pipe;
  OutputFile file = create(pipe.path());
  file.set_bound(3);
  file.write(std::string(4096, 'x'));  // the pipe is full
  file.write(std::string{"header"}, true);
  for (int i = 0; i < 10; ++i) file.write(piece(i));
  CHECK(file.status().dropped == 8);
  CHECK(pipe.read() == std::string(4096, 'x'));
  std::string got;
  for (int turn = 0; turn < 3; ++turn) {
    file.pump();
    got += pipe.read();
  }
  CHECK(got == "header" + piece(8) + piece(9));
}

TEST_CASE("output file: a reader that goes away is noticed at once, and is no failure") {
  Pipe pipe;
  OutputFile file = create(pipe.path());
  SUBCASE("while nothing is written") {
    file.pump();
    CHECK(file.status().state == State::open);
    pipe.close();
    file.pump();
  }
  SUBCASE("with the next piece") {
    file.write(std::string{"heard"});
    pipe.close();
    file.write(std::string{"unheard"});
  }
  SUBCASE("while much waits for it") {
    for (int i = 0; i < 20; ++i) file.write(piece(i));
    pipe.close();
    file.finish(1h);
  }
  CHECK(file.status().state == State::reader_gone);
  CHECK(file.status().why.empty());
  CHECK(file.status().dropped == 0);
  file.write(std::string{"more"});
  file.finish(1h);
  CHECK(file.status().state == State::reader_gone);
}

TEST_CASE("output file: at the end a reader gets the rest, if it takes it") {
  Pipe pipe;
  OutputFile file = create(pipe.path());
  std::string sent;
  for (int i = 0; i < 20; ++i) {
    sent += piece(i);
    file.write(piece(i));
  }
  SUBCASE("it does") {
    std::string got;
    std::thread reader{[&] {
      while (got.size() < 20'000) got += pipe.read();
    }};
    file.finish(1h);
    reader.join();
    CHECK(got == sent);
    CHECK(file.status().dropped == 0);
  }
  SUBCASE("it does not") {
    file.finish(1ms);
    CHECK(file.status().dropped >= 15);  // of 20,000 bytes the pipe holds 4,096 at most
    CHECK(file.status().dropped == 20 - file.bytes() / 1000);
  }
  CHECK(file.status().state == State::open);
}

TEST_CASE("output file: a socket is never waited for either") {
  const TemporaryDirectory directory;
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  const net::Descriptor reader{ends[0]};
  net::Descriptor writer{ends[1]};
  const int saved = ::dup(STDOUT_FILENO);
  std::fflush(stdout);
  ::dup2(writer.get(), STDOUT_FILENO);
  writer.reset();
  {
    OutputFile file = create("-");
    file.set_bound(4);
    for (int i = 0; i < 5000; ++i) file.write(piece(i));
    ::dup2(saved, STDOUT_FILENO);
    CHECK(file.status().name == "standard output");
    CHECK(file.status().dropped > 0);
  }
  ::close(saved);
}

TEST_CASE("output file: standard output that is closed is told before it is used") {
  const int saved = ::dup(STDOUT_FILENO);
  std::fflush(stdout);
  ::close(STDOUT_FILENO);
  const auto file = OutputFile::create("-");
  ::dup2(saved, STDOUT_FILENO);
  ::close(saved);
  REQUIRE_FALSE(file);
  CHECK(file.error().exit_code == ExitCode::cannot_create);
}

}  // namespace tiercast::output_file_test
