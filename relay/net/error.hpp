// Why something of the kernel's could not be had at start-up: a text for a person, and the exit status it ends in.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace tiercast::net {

struct Error {
  std::string text;    // one line, without newline; says what to do
  int exit_code = 71;  // sysexits: 71 EX_OSERR, 69 EX_UNAVAILABLE
};

inline tl::unexpected<Error> fail(std::string text, int exit_code) {
  return tl::unexpected{Error{std::move(text), exit_code}};
}

}  // namespace tiercast::net
