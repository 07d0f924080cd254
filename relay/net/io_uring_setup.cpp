#include "relay/net/io_uring_setup.hpp"

#include <sys/utsname.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

namespace tiercast::net {
namespace {

int disabled_sysctl() {
  int value = -1;
  std::ifstream{"/proc/sys/kernel/io_uring_disabled"} >> value;
  return value;
}

std::string kernel_release() {
  utsname name{};
  return uname(&name) == 0 ? name.release : "unknown";
}

}  // namespace

std::string io_uring_refusal(int error, int sysctl) {
  const std::string what = std::string{"io_uring is refused ("} + std::strerror(error) + "): ";
  switch (error) {
    case EPERM:
    case EACCES:
      if (sysctl == 2) return what + "set sysctl kernel.io_uring_disabled=0 (it is 2: off for everybody)";
      if (sysctl == 1)
        return what +
               "set sysctl kernel.io_uring_disabled=0, or add this user to the group of sysctl kernel.io_uring_group";
      return what +
             "a seccomp filter or security module forbids it; allow io_uring_setup, io_uring_enter and "
             "io_uring_register (systemd: SystemCallFilter=@aio; Docker and Podman: --security-opt seccomp=PROFILE)";
    case ENOSYS:
      return what +
             "the kernel has none (CONFIG_IO_URING), or a container's seccomp filter hides it; allow io_uring_setup, "
             "io_uring_enter and io_uring_register in its profile";
    case EINVAL: return what + "Linux 6.0 or newer is needed, this is " + kernel_release();
    case ENOMEM: return what + "raise the memory limits of this process (systemd: LimitMEMLOCK=, MemoryMax=)";
    case EMFILE:
    case ENFILE: return what + "raise the limit of open files (systemd: LimitNOFILE=)";
    default: return what + "see io_uring_setup(2)";
  }
}

tl::expected<Uring, Error> Uring::create(unsigned submissions, unsigned completions) {
  // Work is done in our own turn, not in interrupts of it: DEFER_TASKRUN (6.1). SINGLE_ISSUER came with multishot
  // recvmsg (6.0), without which nothing here works: who refuses it is too old.
  constexpr std::array<unsigned, 2> kFlags{
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN,
  };
  int result = 0;
  for (const unsigned flags : kFlags) {
    Uring made;
    io_uring_params params{};
    params.flags =
        flags | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    params.cq_entries = completions;
    result = io_uring_queue_init_params(submissions, &made.ring_, &params);
    if (result == 0) {
      made.live_ = true;
      return made;
    }
    if (result != -EINVAL) break;
  }
  return tl::unexpected(Error{io_uring_refusal(-result, disabled_sysctl()), 71});
}

}  // namespace tiercast::net
