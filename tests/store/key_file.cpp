#include "relay/store/key_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include "relay/base/exit_code.hpp"
#include "tests/cli/temporary_directory.hpp"
#include "tests/support/seeded_random.hpp"

namespace tiercast::key_file_test {

using namespace tiercast::store;
using test::TemporaryDirectory;
using test::write_file;

namespace {

const std::string kText = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";

bool is_the_key(const crypto::PrivateKey& key) { return crypto::to_base64(key.view()) == kText; }

tl::expected<crypto::PrivateKey, KeyFileError> read(const std::string& path) {
  return read_private_key(config::KeyRef{path, false});
}

void must_fail(const tl::expected<crypto::PrivateKey, KeyFileError>& result, const std::string& text, int exit_code) {
  REQUIRE_FALSE(result);
  CHECK(result.error().text == text);
  CHECK(result.error().exit_code == exit_code);
}

}  // namespace

TEST_CASE("a key file of one line, mode 0600 or less, is read") {
  const TemporaryDirectory directory;
  for (const char* end : {"", "\n", "\r\n", "\n\n", " \n"}) {
    const auto key = read(write_file(directory / "key", kText + end));
    REQUIRE(key);
    CHECK(is_the_key(*key));
  }
  REQUIRE(::chmod((directory / "key").c_str(), 0400) == 0);
  CHECK(read(directory / "key"));
}

TEST_CASE("a key file that others can touch is refused, with the command that mends it") {
  const TemporaryDirectory directory;
  const std::string path = directory / "key";
  for (const mode_t bit : {0040, 0020, 0010, 0004, 0002, 0001}) {
    write_file(path, kText, 0600 | bit);
    const std::string mode = "06" + std::to_string(bit >= 8 ? bit / 8 : 0) + std::to_string(bit % 8);
    must_fail(read(path), path + ": mode " + mode + " lets others at a private key; chmod 600 " + path,
              ExitCode::permission);
  }
  write_file(path, kText, 0644);
  REQUIRE(::symlink(path.c_str(), (directory / "link").c_str()) == 0);
  const std::string link = directory / "link";
  must_fail(read(link), link + ": mode 0644 lets others at a private key; chmod 600 " + link, ExitCode::permission);
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
  CHECK(read(link));
}

TEST_CASE("a credential's mode is systemd's affair") {
  const TemporaryDirectory directory;
  const std::string path = write_file(directory / "key", kText, 0444);
  const auto key = read_private_key(config::KeyRef{path, true});
  REQUIRE(key);
  CHECK(is_the_key(*key));
}

TEST_CASE("a key file of another user is refused" * doctest::skip(::geteuid() != 0)) {
  const TemporaryDirectory directory;
  const std::string path = write_file(directory / "key", kText);
  REQUIRE(::chown(path.c_str(), 12345, 0) == 0);
  must_fail(read(path), path + ": belongs to user 12345, who could change it; chown 0 " + path, ExitCode::permission);
  CHECK(read_private_key(config::KeyRef{path, true}));
}

TEST_CASE("what is not a key is refused without being repeated") {
  const TemporaryDirectory directory;
  const std::string path = directory / "key";
  const std::string remedy = "; it holds 44 characters on one line, as `tiercast keygen` prints them";
  must_fail(read(write_file(path, "")), path + ": empty" + remedy, ExitCode::data);
  for (const std::string& bad :
       {std::string{"\n"}, kText.substr(1), kText + "A", "\n" + kText, kText + "\n" + kText + "\n", kText + "\n#",
        kText + std::string(30, '\n'), std::string(44, '='), kText.substr(0, 43) + "A", std::string(100'000, 'A')}) {
    CAPTURE(bad);
    must_fail(read(write_file(path, bad)), path + ": not a private key" + remedy, ExitCode::data);
  }
}

TEST_CASE("a key file that cannot be opened says why, and what makes one") {
  const TemporaryDirectory directory;
  const std::string path = directory / "none";
  must_fail(read(path), path + ": cannot open it: No such file or directory; make one with: tiercast keygen -o " + path,
            ExitCode::no_input);
  must_fail(read_private_key(config::KeyRef{path, true}),
            path + ": cannot open it: No such file or directory; the unit needs LoadCredential= for it",
            ExitCode::no_input);
  const std::string folder = directory / "";
  must_fail(read(folder), folder + ": not a regular file; name the key file itself", ExitCode::data);
  const std::string pipe = directory / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  must_fail(read(pipe), pipe + ": not a regular file; name the key file itself", ExitCode::data);  // and does not wait
}

TEST_CASE("a key comes through a pipe in pieces") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const std::string text = kText + "\n";
  for (const char c : text) REQUIRE(::write(ends[1], &c, 1) == 1);
  ::close(ends[1]);
  const auto key = read_private_key(ends[0], "standard input");
  ::close(ends[0]);
  REQUIRE(key);
  CHECK(is_the_key(*key));
  must_fail(read_private_key(-1, "standard input"), "standard input: cannot read it: Bad file descriptor",
            ExitCode::no_input);
}

TEST_CASE("a created key file holds the key, is ours alone, and is never overwritten") {
  const TemporaryDirectory directory;
  const std::string path = directory / "key";
  test::SeededRandom random{7};
  const crypto::PrivateKey key = crypto::generate_private_key(random);
  const mode_t mask = ::umask(0);
  const auto created = create_private_key(path, key);
  ::umask(mask);
  REQUIRE(created);
  CHECK(test::read_file(path) == crypto::to_base64(key.view()) + "\n");
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
  const auto read_back = read(path);
  REQUIRE(read_back);
  CHECK(crypto::equal(read_back->view(), key.view()));

  const crypto::PrivateKey other = crypto::generate_private_key(random);
  const auto again = create_private_key(path, other);
  REQUIRE_FALSE(again);
  CHECK(again.error().text ==
        path + ": is there already, and keys are never overwritten; move it away, or name another file");
  CHECK(again.error().exit_code == ExitCode::cannot_create);
  CHECK(test::read_file(path) == crypto::to_base64(key.view()) + "\n");

  // A dangling link is not followed to where it leads.
  REQUIRE(::symlink((directory / "elsewhere").c_str(), (directory / "link").c_str()) == 0);
  CHECK_FALSE(create_private_key(directory / "link", key));
  CHECK_FALSE(std::filesystem::exists(directory / "elsewhere"));
}

TEST_CASE("a key file that cannot be created or written says why and leaves nothing behind") {
  const TemporaryDirectory directory;
  test::SeededRandom random;
  const crypto::PrivateKey key = crypto::generate_private_key(random);
  const std::string path = directory / "none/key";
  const auto created = create_private_key(path, key);
  REQUIRE_FALSE(created);
  CHECK(created.error().text == path + ": cannot create it: No such file or directory");
  CHECK(created.error().exit_code == ExitCode::cannot_create);

  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  REQUIRE(full >= 0);
  const auto written = write_private_key(full, "standard output", key);
  ::close(full);
  REQUIRE_FALSE(written);
  CHECK(written.error().text == "standard output: cannot write to it: No space left on device");
  CHECK(written.error().exit_code == ExitCode::cannot_create);
}

}  // namespace tiercast::key_file_test
