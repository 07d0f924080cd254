#include "relay/cli/admin_answer.hpp"

#include <nlohmann/json.hpp>

#include "relay/base/exit_code.hpp"
#include "relay/ops/admin_server.hpp"

namespace tiercast::cli {

using Json = nlohmann::ordered_json;

tl::expected<Json, net::Error> ask_node(const std::string& socket, const std::string& request) {
  const auto answer = ops::admin_request(socket, request);
  if (!answer) return tl::unexpected{answer.error()};
  Json json = Json::parse(*answer, nullptr, false);
  if (!json.is_object()) {
    const std::string text = "admin socket " + socket + ": the answer is not complete: the node ended meanwhile";
    return tl::unexpected{net::Error{text, ExitCode::unavailable}};
  }
  if (json.contains("error")) return tl::unexpected{net::Error{json.value("error", std::string{}), ExitCode::data}};
  return json;
}

}  // namespace tiercast::cli
