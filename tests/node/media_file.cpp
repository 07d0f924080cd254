#include "relay/node/media_file.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/cli/temporary_directory.hpp"
#include "tests/publish/wav_file.hpp"

namespace tiercast::media_file_test {

using namespace tiercast::node;
using namespace tiercast::test;

namespace {

config::SourceInput input(config::InputKind kind, const std::string& file) {
  config::SourceInput out;
  out.kind = kind;
  out.file = file;
  return out;
}

std::string text(const std::vector<std::uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

net::Error refused(const config::SourceInput& from) {
  const auto file = MediaFile::open(from, 20);
  REQUIRE_FALSE(file);
  return file.error();
}

bool readable(int fd) {
  pollfd wanted{fd, POLLIN, 0};
  return ::poll(&wanted, 1, 0) == 1;
}

}  // namespace

TEST_CASE("a file is looked at when it is opened, and no packet is lost by that") {
  const TemporaryDirectory directory;
  const std::string path = directory / "talk.wav";
  write_file(path, text(WavFile{}.form().format(1, 1, 48000, 16).data(sample_bytes(96000)).bytes));
  const auto file = MediaFile::open(input(config::InputKind::wav, path), 20);
  REQUIRE(file);
  CHECK_FALSE((*file)->is_pipe());
  CHECK((*file)->name() == path);
  int packets = 0;
  while (true) {
    if ((*file)->next()) {
      ++packets;
    } else if ((*file)->ended()) {
      break;
    } else {
      REQUIRE((*file)->read() == 0);
    }
  }
  CHECK(packets == 51);  // a second, and what the encoder holds back
  CHECK((*file)->reader().problem() == "");
}

TEST_CASE("what cannot be opened or is not what it should be has its name, its reason and its exit status") {
  const TemporaryDirectory directory;
  const std::string path = directory / "talk.wav";
  net::Error error = refused(input(config::InputKind::wav, path));
  CHECK(error.text == path + ": cannot open it: No such file or directory");
  CHECK(error.exit_code == 66);
  error = refused(input(config::InputKind::ogg, directory / ""));
  CHECK(error.text == (directory / "") + ": a directory, not a file");
  CHECK(error.exit_code == 66);
  write_file(path, "words");
  error = refused(input(config::InputKind::wav, path));
  CHECK(error.text == path + ": not a WAV file, or cut short before its samples");
  CHECK(error.exit_code == 65);
  error = refused(input(config::InputKind::ogg, path));
  CHECK(error.text == path + ": not an Ogg file");
  CHECK(error.exit_code == 65);
  write_file(path, "");
  CHECK(refused(input(config::InputKind::pcm, path)).text == path + ": empty");
  CHECK(refused(input(config::InputKind::pcm, path)).exit_code == 65);
}

TEST_CASE("a file that may not be read is a matter of permission") {
  const TemporaryDirectory directory;
  const std::string path = directory / "talk.wav";
  write_file(path, "words");
  REQUIRE(::chmod((directory / "").c_str(), 0755) == 0);
  REQUIRE(::chmod(path.c_str(), 0200) == 0);
  const bool root = ::geteuid() == 0;  // who may read everything
  if (root) REQUIRE(::seteuid(65534) == 0);
  const auto file = MediaFile::open(input(config::InputKind::wav, path), 20);
  if (root) REQUIRE(::seteuid(0) == 0);
  REQUIRE_FALSE(file);
  CHECK(file.error().text == path + ": cannot open it: Permission denied");
  CHECK(file.error().exit_code == 77);
}

TEST_CASE("a named pipe opens without its writer, and ends with it") {
  const TemporaryDirectory directory;
  const std::string path = directory / "pipe";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const auto file = MediaFile::open(input(config::InputKind::pcm, path), 20);
  REQUIRE(file);
  CHECK((*file)->is_pipe());
  CHECK_FALSE(readable((*file)->fd()));
  const int writer = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  REQUIRE(writer >= 0);
  CHECK_FALSE(readable((*file)->fd()));
  const auto bytes = sample_bytes(1920);
  REQUIRE(::write(writer, bytes.data(), bytes.size()) == 1920);
  CHECK(readable((*file)->fd()));
  REQUIRE((*file)->read() == 0);
  CHECK((*file)->next());
  CHECK_FALSE((*file)->next());
  CHECK_FALSE((*file)->ended());
  REQUIRE((*file)->read() == 0);  // nothing is there: no end, no error
  CHECK_FALSE((*file)->ended());
  ::close(writer);
  CHECK(readable((*file)->fd()));
  REQUIRE((*file)->read() == 0);
  CHECK((*file)->ended());
  CHECK((*file)->next());  // what the encoder held back
  CHECK_FALSE((*file)->next());
}

}  // namespace tiercast::media_file_test
