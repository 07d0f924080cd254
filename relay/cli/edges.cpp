// tiercast edges: the list of edges that listeners may be sent to, signed by its operator and looked at.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "config/edge_list.hpp"
#include "relay/base/exit_code.hpp"
#include "relay/cli/commands.hpp"
#include "relay/cli/endings.hpp"
#include "relay/store/edge_list_file.hpp"
#include "relay/store/key_file.hpp"
#include "relay/store/text_file.hpp"

namespace tiercast::cli {
namespace {

int fail(const char* command, const std::string& text, int exit_code) {
  std::fprintf(stderr, "tiercast edges %s: %s\n", command, text.c_str());
  return exit_code;
}

/// "2026-12-01 09:30:00 UTC".
std::string time_text(std::uint64_t serial) {
  const auto seconds = static_cast<std::time_t>(serial);
  std::tm parts{};
  std::array<char, 64> text{};
  if (::gmtime_r(&seconds, &parts) == nullptr) return "no time";
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &parts)};
}

}  // namespace

int run(const EdgesSignOptions& options) {
  const auto key = store::read_private_key(options.key);
  if (!key) return fail("sign", key.error().text, key.error().exit_code);
  const auto text = store::read_text_file(options.list, config::kMaxEdgeList + 1);
  if (!text) return fail("sign", options.list + ": cannot read it: " + std::strerror(text.error()), ExitCode::no_input);
  auto edges = config::parse_edges(*text, options.list);
  if (!edges) return fail("sign", edges.error(), ExitCode::data);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const config::EdgeList list{static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count()),
                              std::move(*edges)};
  const auto out = config::sign_edge_list(list, crypto::SourceSigner{*key}, options.list);
  return out ? print(*out) : fail("sign", out.error(), ExitCode::data);
}

int run(const EdgesCheckOptions& options) {
  const auto list = store::read_edge_list(options.file, options.operator_key);
  if (!list) return fail("check", list.error().text, list.error().exit_code);
  const std::size_t count = list->count(), retired = list->edges.size() - count;
  return print(options.file + ": ok: " + std::to_string(count) + (count == 1 ? " edge" : " edges") +
               (retired > 0 ? ", " + std::to_string(retired) + " no more" : "") + "; serial " +
               std::to_string(list->serial) + ", " + time_text(list->serial) + "\n");
}

}  // namespace tiercast::cli
