#include "relay/store/text_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace tiercast::store {

tl::expected<std::string, int> read_text_file(const std::string& path, std::size_t most) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (file < 0) return tl::unexpected(errno);
  std::string text;
  std::array<char, 16384> buffer;
  int error = 0;
  while (text.size() < most) {
    const ssize_t got = ::read(file, buffer.data(), std::min(buffer.size(), most - text.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) error = errno;
    if (got <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  ::close(file);
  if (error != 0) return tl::unexpected(error);
  return text;
}

}  // namespace tiercast::store
