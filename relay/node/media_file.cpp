#include "relay/node/media_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "relay/base/exit_code.hpp"

namespace tiercast::node {
namespace {

publish::MediaKind kind_of(config::InputKind kind) {
  switch (kind) {
    case config::InputKind::pcm: return publish::MediaKind::pcm;
    case config::InputKind::ogg: return publish::MediaKind::ogg;
    case config::InputKind::rtp:  // the caller's mistake
    case config::InputKind::wav: break;
  }
  return publish::MediaKind::wav;
}

int exit_code_of(int error) { return error == EACCES || error == EPERM ? ExitCode::permission : ExitCode::no_input; }

}  // namespace

MediaFile::MediaFile(const publish::MediaReader::Setup& setup, std::string name, net::Descriptor fd, bool regular)
    : reader_(setup),
      name_(std::move(name)),
      fd_(std::move(fd)),
      regular_(regular),
      buffer_(publish::MediaReader::kMaxFeed) {}

tl::expected<std::unique_ptr<MediaFile>, net::Error> MediaFile::open(const config::SourceInput& input,
                                                                     std::uint8_t frame_ms) {
  const bool standard = input.reads_standard_input();
  const std::string name = standard ? "standard input" : input.file;
  const auto failed = [&](const std::string& why, int exit_code) {
    return tl::unexpected{net::Error{name + ": " + why, exit_code}};
  };
  // Not blocking, so that a named pipe opens without its writer. Standard input is somebody else's too, and stays as
  // it is: it is read only when there is something.
  const int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  net::Descriptor fd{standard ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : ::open(input.file.c_str(), flags)};
  if (!fd && standard) return failed("closed: pipe audio into tiercast", ExitCode::no_input);
  if (!fd) return failed(std::string{"cannot open it: "} + std::strerror(errno), exit_code_of(errno));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return failed(std::strerror(errno), exit_code_of(errno));
  if (S_ISDIR(status.st_mode)) return failed("a directory, not a file", ExitCode::no_input);
  if (::isatty(fd.get()) == 1)
    return failed("a terminal; pipe audio into it, as in arecord … | tiercast run -c FILE", ExitCode::no_input);
  const publish::MediaReader::Setup setup{kind_of(input.kind), frame_ms, input.pcm, input.encoding};
  std::unique_ptr<MediaFile> file{new MediaFile{setup, name, std::move(fd), S_ISREG(status.st_mode)}};
  if (const auto seen = file->look(); !seen) return tl::unexpected{seen.error()};
  return file;
}

/// Up to the first packet of a regular file.
tl::expected<void, net::Error> MediaFile::look() {
  while (regular_ && !first_) {
    first_ = reader_.next();
    if (first_) break;
    if (!reader_.problem().empty()) return tl::unexpected{net::Error{name_ + ": " + reader_.problem(), ExitCode::data}};
    if (ended_) break;
    if (const int error = read(); error != 0)
      return tl::unexpected{net::Error{name_ + ": cannot read it: " + std::strerror(error), exit_code_of(error)}};
  }
  return {};
}

std::optional<publish::MediaPacket> MediaFile::next() {
  if (first_) return std::exchange(first_, std::nullopt);
  return reader_.next();
}

int MediaFile::read() {
  if (ended_) return 0;
  const ssize_t got = ::read(fd_.get(), buffer_.data(), buffer_.size());
  if (got < 0) return errno == EINTR || errno == EAGAIN ? 0 : errno;
  if (got == 0) {
    ended_ = true;
    reader_.finish();
  } else {
    reader_.feed(Bytes{buffer_}.first(static_cast<std::size_t>(got)));
  }
  return 0;
}

}  // namespace tiercast::node
