// Descriptors that a service manager opened before it started this process: systemd's socket activation
// (sd_listen_fds(3)), by its documented protocol. libsystemd would bring five libraries for this. Knows not what they
// are.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace tiercast::ops {

struct PassedDescriptor {
  int fd = -1;
  std::string name;  // FileDescriptorName= of its unit, or the unit's name; may be empty
};

/// What $LISTEN_PID, $LISTEN_FDS and $LISTEN_FDNAMES say to process `pid`; empty: not set. None where they are meant
/// for another process. The error says what is wrong with them.
tl::expected<std::vector<PassedDescriptor>, std::string> passed_descriptors(std::string_view listen_pid,
                                                                            std::string_view listen_fds,
                                                                            std::string_view names, int pid);

/// The same of this process's environment, which then says nothing of them any more; they are the caller's now, and
/// close-on-exec. To be called once, at start.
tl::expected<std::vector<PassedDescriptor>, std::string> take_passed_descriptors();

}  // namespace tiercast::ops
