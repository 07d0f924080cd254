// The edges of a broadcast by number, as their operator has signed them: an edge that sends its listeners elsewhere
// names numbers of this list, so that it cannot point them at anybody else. Knows no file and no socket.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "crypto/signature.hpp"
#include "relay/base/endpoint.hpp"

namespace tiercast::config {

struct Edge {
  HostPort address;  // name or number
  crypto::PublicKey public_key{};
  bool operator==(const Edge&) const = default;
};

struct EdgeList {
  std::uint64_t serial = 0;  // when it was signed, unix seconds: of two lists the newer one has the higher
  std::vector<std::optional<Edge>> edges;  // by index; nullopt: one that is no more. No address and no key twice
  std::size_t count() const;               // of those that are
  bool operator==(const EdgeList&) const = default;
};

inline constexpr std::size_t kMaxEdges = 4096;                     // lines
inline constexpr std::size_t kMaxEdgeList = std::size_t{1} << 20;  // bytes, signed

/// What a person writes: "HOST:PORT KEY" a line, or "-" in the place of an edge that is no more; blank lines and what
/// follows # say nothing. `file`, here and below, is for messages: "FILE:LINE: what, and what would be right".
tl::expected<std::vector<std::optional<Edge>>, std::string> parse_edges(std::string_view text, const std::string& file);

/// The signed text; see PROTOCOL §7. The signature is Ed25519 over "tiercast edges v1" ‖ BLAKE2b-512 of the lines
/// above. An error where that would be longer than kMaxEdgeList.
tl::expected<std::string, std::string> sign_edge_list(const EdgeList& list, const crypto::SourceSigner& with,
                                                      const std::string& file);

/// What sign_edge_list() has made with the operator's key: all of it, or nothing.
tl::expected<EdgeList, std::string> parse_edge_list(std::string_view text, const std::string& file,
                                                    const crypto::PublicKey& operator_key);

}  // namespace tiercast::config
