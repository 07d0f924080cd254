// tiercast end, rotate: one command to a running node over its admin socket.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "relay/base/exit_code.hpp"
#include "relay/cli/admin_answer.hpp"
#include "relay/cli/commands.hpp"
#include "relay/cli/complain.hpp"

namespace tiercast::cli {
namespace {

int command(const std::string& socket, const std::string& request) {
  const auto answer = ask_node(socket, request);
  if (!answer) return complain(answer.error());
  std::printf("%s\n", answer->value("ok", std::string{}).c_str());
  return ExitCode::ok;
}

}  // namespace

int run(const EndOptions& options) { return command(options.socket, "end " + options.group); }
int run(const RotateOptions& options) { return command(options.socket, "rotate " + options.group); }

}  // namespace tiercast::cli
