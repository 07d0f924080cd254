// How a command ends: with what it was asked for, or saying that it cannot.
#pragma once

#include <cstdio>
#include <string>

#include "relay/base/exit_code.hpp"
#include "relay/net/error.hpp"

namespace tiercast::cli {

/// Says it on standard error; its exit status.
inline int complain(const net::Error& error) {
  std::fprintf(stderr, "tiercast: %s\n", error.text.c_str());
  return error.exit_code;
}

/// To standard output, all of it; the exit status.
inline int print(const std::string& text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  return written && std::fflush(stdout) == 0 ? ExitCode::ok : ExitCode::cannot_create;
}

}  // namespace tiercast::cli
