// TOML text as a plain tree with positions, so that nothing else needs to know which library read it.
// Knows nothing of what the keys mean.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace tiercast::config {

/// Both from 1; columns count bytes.
struct Position {
  std::uint32_t line = 1;
  std::uint32_t column = 1;
  bool operator==(const Position&) const = default;
  bool operator<(const Position& other) const { return line != other.line ? line < other.line : column < other.column; }
};

struct Member;

struct Value {
  enum class Kind { text, integer, boolean, floating, time, array, table };
  Kind kind = Kind::table;
  Position at;                  // where it starts; of [a.b]: the bracket
  std::string source;           // as written, shortened, on one line: for messages. Empty for arrays and tables
  std::string text;             // of Kind::text
  std::int64_t integer = 0;     // of Kind::integer; saturated where the file has more than 64 bits
  bool boolean = false;         // of Kind::boolean
  std::vector<Value> items;     // of Kind::array
  std::vector<Member> members;  // of Kind::table, in the file's order
};

struct Member {
  std::string key;
  Position at;  // of the key
  Value value;
};

struct SyntaxError {
  Position at;
  std::string text;
};

/// A file is refused beyond these: neither the parser's stack nor its memory is at anybody's mercy.
inline constexpr std::size_t kMaxDocument = std::size_t{1} << 20;  // bytes
inline constexpr int kMaxNesting = 16;                             // brackets in brackets, dots in a key

/// Parses TOML 1.0. The root is a table.
tl::expected<Value, SyntaxError> parse_document(const std::string& text);

/// `text` fit for a message of one line: control characters become '?', and beyond `limit` bytes it ends in "…".
std::string printable(std::string_view text, std::size_t limit = 72);

}  // namespace tiercast::config
