#include "config/prescan.hpp"

#include <algorithm>
#include <cstdint>

namespace tiercast::config {
namespace {

/// Length of the UTF-8 sequence that `text` begins with (RFC 3629 §4), 0: it begins with none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<std::uint8_t>(text[i]) : std::uint8_t{0};
  };
  const auto follows = [&](std::size_t i, std::uint8_t least = 0x80, std::uint8_t most = 0xbf) {
    return byte(i) >= least && byte(i) <= most;
  };
  const std::uint8_t first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const std::uint8_t least = first == 0xe0 ? 0xa0 : 0x80;  // no overlong form
    const std::uint8_t most = first == 0xed ? 0x9f : 0xbf;   // no surrogate
    return follows(1, least, most) && follows(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const std::uint8_t least = first == 0xf0 ? 0x90 : 0x80;
    const std::uint8_t most = first == 0xf4 ? 0x8f : 0xbf;  // up to U+10FFFF
    return follows(1, least, most) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

std::optional<Position> find_not_utf8(std::string_view text) {
  Position at;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) return at;
    if (text.front() == '\n') {
      at = {at.line + 1, 1};
    } else {
      at.column += static_cast<std::uint32_t>(length);
    }
    text.remove_prefix(length);
  }
  return std::nullopt;
}

/// Follows brackets and the dots of keys, outside text and comments.
class NestingScan {
 public:
  /// Where it goes too deep, if it does.
  std::optional<Position> run(std::string_view text) {
    while (!text.empty()) {
      if (const std::size_t skipped = skip_string_or_comment(text); skipped > 0) {
        advance(text, skipped);
        continue;
      }
      const char c = text.front();
      if (c == '[' || c == '{') ++depth_;
      if ((c == ']' || c == '}') && depth_ > 0) --depth_;
      dots_ = c == '.' ? dots_ + 1 : c == ' ' || c == '\t' || is_key_character(c) ? dots_ : 0;
      if (depth_ > kMaxNesting || dots_ > kMaxNesting) return at_;
      advance(text, 1);
    }
    return std::nullopt;
  }

 private:
  static bool is_key_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  }

  static std::size_t skip_string_or_comment(std::string_view text) {
    if (text.front() == '#') return std::min(text.find('\n'), text.size());
    if (text.front() != '"' && text.front() != '\'') return 0;
    const std::string_view one = text.substr(0, 1);
    const bool multiline = text.size() >= 3 && text[1] == text[0] && text[2] == text[0];
    const std::string_view quote = multiline ? text.substr(0, 3) : one;
    for (std::size_t i = quote.size(); i < text.size(); ++i) {
      if (text[i] == '\\' && text.front() == '"') {
        ++i;
      } else if (text.substr(i).starts_with(quote)) {
        return i + quote.size();
      } else if (text[i] == '\n' && !multiline) {
        return i;  // unterminated: the parser will say so
      }
    }
    return text.size();
  }

  void advance(std::string_view& text, std::size_t n) {
    for (const char c : text.substr(0, n)) {
      if (c == '\n') {
        at_ = {at_.line + 1, 1};
      } else {
        ++at_.column;
      }
    }
    text.remove_prefix(n);
  }

  Position at_;
  int depth_ = 0;
  int dots_ = 0;
};

}  // namespace

std::optional<SyntaxError> find_unbearable(std::string_view text) {
  if (text.size() > kMaxDocument) return SyntaxError{{}, "larger than 1 MiB: not a node's configuration"};
  if (const auto at = find_not_utf8(text)) return SyntaxError{*at, "not UTF-8; save the file in that encoding"};
  if (const auto at = NestingScan{}.run(text)) {
    return SyntaxError{*at, "nested too deeply: no key of a node's configuration is"};
  }
  return std::nullopt;
}

}  // namespace tiercast::config
