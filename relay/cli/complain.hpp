// How a command ends that cannot do what it was asked to.
#pragma once

#include <cstdio>

#include "relay/net/error.hpp"

namespace tiercast::cli {

/// Says it on standard error; its exit status.
inline int complain(const net::Error& error) {
  std::fprintf(stderr, "tiercast: %s\n", error.text.c_str());
  return error.exit_code;
}

}  // namespace tiercast::cli
