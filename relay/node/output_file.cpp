#include "relay/node/output_file.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "relay/base/exit_code.hpp"
#include "relay/net/loop.hpp"

namespace tiercast::node {
namespace {

// A pipe that poll(2) calls writable has a free page: so much is taken without waiting. Setting O_NONBLOCK instead
// would set it for all who share the description, such as our own standard error.
constexpr std::size_t kAtOnce = 4096;

}  // namespace

tl::expected<OutputFile, net::Error> OutputFile::create(const std::string& path) {
  if (path == "-") {
    if (::fcntl(STDOUT_FILENO, F_GETFD) < 0)
      return tl::unexpected{net::Error{"cannot write to standard output: it is closed", ExitCode::cannot_create}};
    return OutputFile{"standard output", STDOUT_FILENO, false};
  }
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0)
    return tl::unexpected{net::Error{"cannot write " + path + ": " + std::strerror(errno), ExitCode::cannot_create}};
  return OutputFile{path, fd, true};
}

OutputFile::OutputFile(std::string name, int fd, bool owned) : fd_(fd), owned_(owned ? fd : -1) {
  status_.name = std::move(name);
  struct stat of {};
  if (::fstat(fd, &of) != 0) return;
  if (S_ISREG(of.st_mode)) {
    kind_ = Kind::regular;
  } else if (S_ISSOCK(of.st_mode)) {
    kind_ = Kind::socket;
  } else if (S_ISFIFO(of.st_mode) || terminal()) {
    kind_ = Kind::stream;
  }
}

bool OutputFile::terminal() const { return ::isatty(fd_) == 1; }

std::size_t OutputFile::backlog() const {
  int unread = 0;  // FIONREAD tells it at either end of a pipe
  if (kind_ != Kind::stream || ::ioctl(fd_, FIONREAD, &unread) != 0) unread = 0;
  return queue_.bytes() + static_cast<std::size_t>(std::max(unread, 0));
}

void OutputFile::write(Bytes piece, bool keep) {
  if (status_.state != OutputStatus::State::open || piece.empty()) return;
  if (kind_ == Kind::regular || kind_ == Kind::device) return write_now(piece);
  queue_.push(piece, keep);
  pump();
}

void OutputFile::write_now(Bytes piece) {
  std::size_t done = 0;
  while (done < piece.size()) {
    const ssize_t written = ::write(fd_, piece.data() + done, piece.size() - done);
    if (written >= 0) {
      done += static_cast<std::size_t>(written);
    } else if (errno != EINTR) {
      end(errno);
      return cut_off(done);
    }
  }
  bytes_ += piece.size();
}

/// The last bytes, which are half a piece. Where they cannot be, a player stops in front of them too.
void OutputFile::cut_off(std::size_t bytes) {
  const auto size = static_cast<off_t>(bytes);
  const off_t at = kind_ == Kind::regular ? ::lseek(fd_, 0, SEEK_CUR) : -1;
  if (size == 0 || at < size || ::ftruncate(fd_, at - size) != 0) return;
  ::lseek(fd_, -size, SEEK_CUR);
}

long OutputFile::offer(Bytes bytes) const {
  pollfd one{fd_, POLLOUT, 0};
  if (::poll(&one, 1, 0) < 0) return errno == EINTR ? -EAGAIN : -errno;
  if ((one.revents & (POLLERR | POLLNVAL)) != 0) return -EPIPE;
  if ((one.revents & POLLHUP) != 0 && (one.revents & POLLOUT) == 0) return -EPIPE;
  if ((one.revents & POLLOUT) == 0 || bytes.empty()) return -EAGAIN;
  const std::size_t size = std::min(bytes.size(), kAtOnce);
  const ssize_t written = kind_ == Kind::socket ? ::send(fd_, bytes.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL)
                                                : ::write(fd_, bytes.data(), size);
  if (written >= 0) return static_cast<long>(written);
  return errno == EINTR ? -EAGAIN : -errno;
}

void OutputFile::pump() {
  if (status_.state != OutputStatus::State::open || kind_ == Kind::regular || kind_ == Kind::device) return;
  while (true) {
    const Bytes piece = queue_.empty() ? Bytes{} : queue_.front();
    const long taken = offer(piece);
    if (taken < 0) {
      if (taken != -EAGAIN) end(static_cast<int>(-taken));
      break;
    }
    bytes_ += static_cast<std::uint64_t>(taken);
    queue_.take(static_cast<std::size_t>(taken));
  }
  status_.dropped = queue_.dropped();
}

void OutputFile::finish(Duration patience) {
  const Time until = net::read_clocks().mono + patience;
  pump();
  while (status_.state == OutputStatus::State::open && !queue_.empty()) {
    const Duration left = until - net::read_clocks().mono;
    if (left <= Duration{0}) break;
    pollfd one{fd_, POLLOUT, 0};
    ::poll(&one, 1, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count()));
    pump();
  }
  if (status_.state != OutputStatus::State::open) return;
  queue_.drop_all();
  status_.dropped = queue_.dropped();
}

void OutputFile::overwrite(Bytes bytes, std::uint64_t offset) {
  if (kind_ != Kind::regular) return;
  if (::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset)) != static_cast<ssize_t>(bytes.size()) &&
      status_.state == OutputStatus::State::open)
    end(errno);
}

void OutputFile::end(int error) {
  if (error == EPIPE || error == ECONNRESET) {
    status_.state = OutputStatus::State::reader_gone;
    return;
  }
  status_.state = OutputStatus::State::failed;
  status_.why = std::strerror(error);
}

}  // namespace tiercast::node
