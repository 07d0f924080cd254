// The table of subcommands: a command line becomes one struct of options (relay/cli/options.hpp), and each struct has
// its function (relay/cli/commands.hpp), one file a subcommand.
#include <cstdio>
#include <span>
#include <variant>

#include "crypto/secret.hpp"
#include "relay/base/exit_code.hpp"
#include "relay/cli/command_line.hpp"
#include "relay/cli/commands.hpp"

int main(int argc, char** argv) {
  using namespace tiercast;
  const std::span<const char* const> words{argv, static_cast<std::size_t>(argc)};
  const auto parsed = cli::parse_command_line(words.subspan(words.empty() ? 0 : 1));
  if (!parsed) {
    std::FILE* out = parsed.error().exit_code == ExitCode::ok ? stdout : stderr;
    std::fputs(parsed.error().text.c_str(), out);
    if (std::fflush(out) != 0) return ExitCode::cannot_create;
    return parsed.error().exit_code;
  }
  if (!crypto::initialise()) {
    std::fputs("tiercast: libsodium cannot start: no source of randomness\n", stderr);
    return ExitCode::os;
  }
  return std::visit([](const auto& options) { return cli::run(options); }, *parsed);
}
