// Why something of the kernel's could not be had at start-up: a text for a person, and the exit status it ends in.
#pragma once

#include <string>

namespace tiercast::net {

struct Error {
  std::string text;    // one line, without newline; says what to do
  int exit_code = 71;  // sysexits: 71 EX_OSERR, 69 EX_UNAVAILABLE
};

}  // namespace tiercast::net
