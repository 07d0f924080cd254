#include "relay/store/key_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>

#include "relay/base/exit_code.hpp"
#include "relay/store/write_all.hpp"

namespace tiercast::store {
namespace {

constexpr std::size_t kMostRead = 64;  // 44 characters and a generous end of line

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

std::string error_text(int error) { return std::strerror(error); }

tl::unexpected<KeyFileError> fail(const std::string& name, const std::string& reason, int exit_code) {
  return tl::unexpected(KeyFileError{name + ": " + reason, exit_code});
}

int exit_code_of(int error, int otherwise) {
  return error == EACCES || error == EPERM ? static_cast<int>(ExitCode::permission) : otherwise;
}

/// Nothing, or why this file may not hold a key.
std::optional<std::string> untrusted(const struct stat& status, const std::string& path) {
  if (status.st_uid != ::geteuid() && status.st_uid != 0) {
    return "belongs to user " + std::to_string(status.st_uid) + ", who could change it; chown " +
           std::to_string(::geteuid()) + " " + path;
  }
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    std::array<char, 8> mode{};
    std::snprintf(mode.data(), mode.size(), "%04o", static_cast<unsigned>(status.st_mode & 07777));
    return "mode " + std::string{mode.data()} + " lets others at a private key; chmod 600 " + path;
  }
  return std::nullopt;
}

/// A new name in a directory is on the disk only when the directory is.
bool sync_directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const File opened{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  // A directory that may be written but not read, and file systems without it, leave nothing more to do.
  if (opened.get() < 0) return errno == EACCES;
  return ::fsync(opened.get()) == 0 || errno == EINVAL;
}

}  // namespace

tl::expected<crypto::PrivateKey, KeyFileError> read_private_key(int file, const std::string& name) {
  crypto::Scratch<kMostRead> buffer;
  std::size_t size = 0;
  while (size < kMostRead) {
    const ssize_t got = ::read(file, buffer.bytes().data() + size, kMostRead - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(name, "cannot read it: " + error_text(errno), ExitCode::no_input);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  std::string_view text{reinterpret_cast<const char*>(buffer.view().data()), size};
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
  // A full buffer: more may follow that nobody looked at.
  auto key = size < kMostRead ? crypto::private_key_from_base64(text) : std::nullopt;
  if (!key) {
    const std::string found = size == 0 ? "empty" : "not a private key";
    return fail(name, found + "; it holds 44 characters on one line, as `tiercast keygen` prints them", ExitCode::data);
  }
  return std::move(*key);
}

tl::expected<crypto::PrivateKey, KeyFileError> read_private_key(const config::KeyRef& key) {
  // O_NONBLOCK: a pipe in its place must not hold the start up; it means nothing to a regular file.
  const File file{::open(key.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
  if (file.get() < 0) {
    const int error = errno;
    std::string remedy;
    if (error == ENOENT && key.credential) remedy = "; the unit needs LoadCredential= for it";
    if (error == ENOENT && !key.credential) remedy = "; make one with: tiercast keygen -o " + key.path;
    return fail(key.path, "cannot open it: " + error_text(error) + remedy, exit_code_of(error, ExitCode::no_input));
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return fail(key.path, "cannot look at it: " + error_text(errno), ExitCode::os);
  if (!S_ISREG(status.st_mode)) return fail(key.path, "not a regular file; name the key file itself", ExitCode::data);
  if (!key.credential) {
    if (const auto reason = untrusted(status, key.path)) return fail(key.path, *reason, ExitCode::permission);
  }
  return read_private_key(file.get(), key.path);
}

tl::expected<void, KeyFileError> write_private_key(int file, const std::string& name, const crypto::PrivateKey& key) {
  std::string text = crypto::to_base64(key.view());
  const MutableBytes bytes{reinterpret_cast<std::uint8_t*>(text.data()), text.size()};
  const std::uint8_t newline = '\n';
  const bool written = write_all(file, bytes) && write_all(file, {&newline, 1});
  const int error = errno;
  crypto::wipe(bytes);
  if (!written) return fail(name, "cannot write to it: " + error_text(error), ExitCode::cannot_create);
  return {};
}

tl::expected<void, KeyFileError> create_private_key(const std::string& path, const crypto::PrivateKey& key) {
  const File file{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0600)};
  if (file.get() < 0) {
    const int error = errno;
    if (error == EEXIST) {
      return fail(path, "is there already, and keys are never overwritten; move it away, or name another file",
                  ExitCode::cannot_create);
    }
    return fail(path, "cannot create it: " + error_text(error), ExitCode::cannot_create);
  }
  auto written = write_private_key(file.get(), path, key);
  if (written && (::fsync(file.get()) != 0 || !sync_directory_of(path))) {
    written = fail(path, "cannot bring it to the disk: " + error_text(errno), ExitCode::cannot_create);
  }
  if (!written) ::unlink(path.c_str());  // it is ours: O_EXCL
  return written;
}

}  // namespace tiercast::store
