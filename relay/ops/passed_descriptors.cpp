#include "relay/ops/passed_descriptors.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>

#include "relay/base/decimal.hpp"
#include "relay/ops/environment.hpp"

namespace tiercast::ops {
namespace {

constexpr int kFirst = 3;    // SD_LISTEN_FDS_START: behind standard input, output and error
constexpr int kMost = 4096;  // far more than any unit hands over

}  // namespace

tl::expected<std::vector<PassedDescriptor>, std::string> passed_descriptors(std::string_view listen_pid,
                                                                            std::string_view listen_fds,
                                                                            std::string_view names, int pid) {
  std::vector<PassedDescriptor> out;
  if (listen_pid.empty() || listen_fds.empty()) return out;
  const auto whose = from_decimal<int>(listen_pid);
  if (!whose || *whose < 0) return tl::unexpected("LISTEN_PID=" + std::string{listen_pid} + " is no process id");
  if (*whose != pid) return out;
  const auto count = from_decimal<int>(listen_fds);
  if (!count || *count < 0 || *count > kMost)
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
