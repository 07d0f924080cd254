// tiercast end, rotate, reload, drain: one command to a running node over its admin socket.
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "relay/base/exit_code.hpp"
#include "relay/cli/admin_answer.hpp"
#include "relay/cli/commands.hpp"
#include "relay/cli/endings.hpp"

namespace tiercast::cli {
namespace {

constexpr int kLeftBehind = ExitCode::restart_needed;  // EX_TEMPFAIL too: not wholly done

int command(const std::string& socket, const std::string& request) {
  const auto answer = ask_node(socket, request);
  if (!answer) return complain(answer.error());
  std::printf("%s\n", answer->value("ok", std::string{}).c_str());
  return ExitCode::ok;
}

}  // namespace

int run(const EndOptions& options) { return command(options.socket, "end " + options.group); }
int run(const RotateOptions& options) { return command(options.socket, "rotate " + options.group); }

int run(const ReloadOptions& options) {
  const auto answer = ask_node(options.socket, "reload");
  if (!answer) return complain(answer.error());
  if (answer->contains("refused")) {
    for (const auto& problem : (*answer)["refused"]) std::fprintf(stderr, "%s\n", problem.get<std::string>().c_str());
    std::fprintf(stderr, "tiercast: refused as a whole; what ran goes on\n");
    return ExitCode::config;
  }
  const auto lines = [&](const char* of, const char* before) {
    for (const auto& line : (*answer)[of]) std::printf("%s%s\n", before, line.get<std::string>().c_str());
    return (*answer)[of].size();
  };
  const auto changed = lines("changed", "");
  const auto waiting = lines("needs_restart", "needs a restart: ");
  if (changed + waiting == 0) std::printf("nothing has changed\n");
  return waiting == 0 ? ExitCode::ok : ExitCode::restart_needed;
}

// Each answer tells what is left; the last one comes when the node stops. Asked anew after each.
int run(const DrainOptions& options) {
  std::string request = "drain";
  if (options.timeout) request += " " + std::to_string(*options.timeout);
  std::size_t told = SIZE_MAX;
  while (true) {
    const auto answer = ask_node(options.socket, request);
    if (!answer) return complain(answer.error());
    const auto leases = answer->value("leases", std::size_t{0}), staying = answer->value("staying", std::size_t{0});
    if (answer->value("over", true)) {
      if (leases == 0) {
        std::printf("drained: nobody is left; the node stops\n");
        return ExitCode::ok;
      }
      std::printf("the node stops with %zu left, of which %zu have no other parent\n", leases, staying);
      return kLeftBehind;
    }
    if (std::exchange(told, leases) != leases)
      std::fprintf(stderr, "%zu left, for up to %.0f s more\n", leases, answer->value("seconds_left", 0.0));
  }
}

}  // namespace tiercast::cli
