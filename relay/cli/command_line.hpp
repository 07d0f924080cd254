// argv -> options. The only place that knows CLI11 is command_line.cpp.
#pragma once

#include <span>
#include <string>
#include <tl/expected.hpp>

#include "relay/cli/options.hpp"

namespace tiercast::cli {

/// Nothing to run: help or a version was asked for (exit status 0, text for stdout), or the command line is wrong
/// (64, text for stderr). `text` ends with a newline.
struct Stop {
  int exit_code = 0;
  std::string text;
};

/// `arguments` without the program's name.
tl::expected<Options, Stop> parse_command_line(std::span<const char* const> arguments);

}  // namespace tiercast::cli
