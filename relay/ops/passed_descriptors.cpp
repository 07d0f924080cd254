#include "relay/ops/passed_descriptors.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <optional>

namespace tiercast::ops {
namespace {

constexpr int kFirst = 3;    // SD_LISTEN_FDS_START: behind standard input, output and error
constexpr int kMost = 4096;  // far more than any unit hands over

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view{} : std::string_view{value};
}

}  // namespace

tl::expected<std::vector<PassedDescriptor>, std::string> passed_descriptors(std::string_view listen_pid,
                                                                            std::string_view listen_fds,
                                                                            std::string_view names, int pid) {
  std::vector<PassedDescriptor> out;
  if (listen_pid.empty() || listen_fds.empty()) return out;
  const auto whose = number(listen_pid);
  if (!whose) return tl::unexpected("LISTEN_PID=" + std::string{listen_pid} + " is no process id");
  if (*whose != pid) return out;
  const auto count = number(listen_fds);
  if (!count || *count > kMost)
    return tl::unexpected("LISTEN_FDS=" + std::string{listen_fds} + " is no number of descriptors");
  for (int i = 0; i < *count; ++i) {
    const std::size_t colon = names.find(':');
    out.push_back({kFirst + i, std::string{names.substr(0, colon)}});
    names = colon == std::string_view::npos ? std::string_view{} : names.substr(colon + 1);
  }
  return out;
}

tl::expected<std::vector<PassedDescriptor>, std::string> take_passed_descriptors() {
  auto out =
      passed_descriptors(environment("LISTEN_PID"), environment("LISTEN_FDS"), environment("LISTEN_FDNAMES"), getpid());
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name);
  if (!out) return out;
  for (const PassedDescriptor& passed : *out) {
    const int flags = ::fcntl(passed.fd, F_GETFD);
    if (flags < 0 || ::fcntl(passed.fd, F_SETFD, flags | FD_CLOEXEC) < 0)
      return tl::unexpected("LISTEN_FDS counts descriptor " + std::to_string(passed.fd) + ", which is not open");
  }
  return out;
}

}  // namespace tiercast::ops
