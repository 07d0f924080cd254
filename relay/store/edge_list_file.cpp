#include "relay/store/edge_list_file.hpp"

#include <cstring>

#include "relay/base/exit_code.hpp"
#include "relay/store/text_file.hpp"

namespace tiercast::store {

tl::expected<config::EdgeList, net::Error> read_edge_list(const std::string& path,
                                                          const crypto::PublicKey& operator_key) {
  const auto text = read_text_file(path, config::kMaxEdgeList + 1);
  if (!text) {
    const std::string reason = std::strerror(text.error());
    return tl::unexpected(net::Error{path + ": cannot read the list of edges: " + reason, ExitCode::no_input});
  }
  auto list = config::parse_edge_list(*text, path, operator_key);
  if (!list) return tl::unexpected(net::Error{std::move(list.error()), ExitCode::data});
  return std::move(*list);
}

}  // namespace tiercast::store
