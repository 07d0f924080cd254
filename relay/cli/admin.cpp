// tiercast status, end, rotate, reload: one request over a running node's admin socket.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "relay/base/exit_code.hpp"
#include "relay/cli/commands.hpp"
#include "relay/cli/status_text.hpp"
#include "relay/ops/admin_server.hpp"

namespace tiercast::cli {
namespace {

using Json = nlohmann::ordered_json;

// The answer as JSON, or the exit status after the error was said.
tl::expected<Json, int> ask(const std::string& socket, const std::string& request) {
  const auto answer = ops::admin_request(socket, request);
  if (!answer) {
    std::fprintf(stderr, "tiercast: %s\n", answer.error().text.c_str());
    return tl::unexpected{answer.error().exit_code};
  }
  Json json = Json::parse(*answer, nullptr, false);
  if (json.is_discarded()) {
    std::fprintf(stderr, "tiercast: %s: the answer is not complete\n", socket.c_str());
    return tl::unexpected{int{ExitCode::unavailable}};
  }
  if (json.contains("error")) {
    std::fprintf(stderr, "tiercast: %s\n", json["error"].get<std::string>().c_str());
    return tl::unexpected{int{ExitCode::data}};
  }
  return json;
}

int command(const std::string& socket, const std::string& request) {
  const auto answer = ask(socket, request);
  if (!answer) return answer.error();
  std::printf("%s\n", answer->value("ok", std::string{}).c_str());
  return ExitCode::ok;
}

}  // namespace

int run(const StatusOptions& options) {
  const auto answer = ask(options.socket, "status");
  if (!answer) return answer.error();
  const std::string text = options.json ? answer->dump(2) + "\n" : status_text(*answer);
  std::fputs(text.c_str(), stdout);
  return ExitCode::ok;
}

int run(const EndOptions& options) { return command(options.socket, "end " + options.group); }
int run(const RotateOptions& options) { return command(options.socket, "rotate " + options.group); }

int run(const ReloadOptions& options) {
  const auto answer = ask(options.socket, "reload");
  if (!answer) return answer.error();
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

}  // namespace tiercast::cli
