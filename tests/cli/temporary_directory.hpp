// A directory of a test's own, gone with it; and what a function prints.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace tiercast::test {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string path = (std::filesystem::temp_directory_path() / "tiercast-XXXXXX").string();
    REQUIRE(::mkdtemp(path.data()) != nullptr);
    path_ = path;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline std::string write_file(const std::string& path, const std::string& text, mode_t mode = 0600) {
  std::ofstream(path, std::ios::binary) << text;
  REQUIRE(::chmod(path.c_str(), mode) == 0);
  return path;
}

/// While it lives, a descriptor leads to a file.
class Redirected {
 public:
  Redirected(int descriptor, const std::string& file, int flags) : descriptor_(descriptor), saved_(::dup(descriptor)) {
    std::fflush(nullptr);
    const int opened = ::open(file.c_str(), flags | O_CLOEXEC, 0600);
    REQUIRE(opened >= 0);
    ::dup2(opened, descriptor_);
    ::close(opened);
  }
  ~Redirected() {
    std::fflush(nullptr);
    ::dup2(saved_, descriptor_);
    ::close(saved_);
  }
  Redirected(const Redirected&) = delete;
  Redirected& operator=(const Redirected&) = delete;

 private:
  int descriptor_;
  int saved_;
};

struct Ran {
  int exit_code = 0;
  std::string out, err;
};

/// Runs `command` with stdin from `input` and stdout and stderr caught.
template <class Command>
Ran run_caught(Command command, const std::string& input = "") {
  const TemporaryDirectory directory;
  write_file(directory / "in", input);
  Ran ran;
  {
    const Redirected in(STDIN_FILENO, directory / "in", O_RDONLY);
    const Redirected out(STDOUT_FILENO, directory / "out", O_WRONLY | O_CREAT);
    const Redirected err(STDERR_FILENO, directory / "err", O_WRONLY | O_CREAT);
    ran.exit_code = command();
  }
  ran.out = read_file(directory / "out");
  ran.err = read_file(directory / "err");
  return ran;
}

}  // namespace tiercast::test
