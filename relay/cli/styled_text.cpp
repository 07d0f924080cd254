#include "relay/cli/styled_text.hpp"

#include <algorithm>

namespace tiercast::cli {
namespace {

constexpr std::string_view kGap = "..";
constexpr std::string_view kReset = "\033[0m", kClear = "\033[K";

std::string_view code(Style style) {
  switch (style) {
    case Style::good: return "\033[32m";
    case Style::bad: return "\033[1;31m";
    case Style::warn: return "\033[33m";
    case Style::dim: return "\033[2m";
    case Style::plain: break;
  }
  return "";
}

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xc0) == 0x80 && !out.empty() && out.back() == '?') continue;  // the rest of a character
    out += byte >= 0x20 && byte < 0x7f ? c : '?';
  }
  return out;
}

}  // namespace

std::size_t columns(const Line& line) {
  std::size_t sum = 0;
  for (const Piece& piece : line) sum += piece.text.size();
  return sum;
}

std::string shortened(std::string_view text, std::size_t columns) {
  std::string out = printable(text);
  if (out.size() <= columns) return out;
  if (columns <= kGap.size()) return out.substr(0, columns);
  const std::size_t kept = columns - kGap.size();
  const std::size_t tail = kept / 2;
  return out.substr(0, kept - tail) + std::string{kGap} + out.substr(out.size() - tail);
}

std::vector<std::string> wrapped(std::string_view text, std::size_t columns) {
  std::vector<std::string> out;
  std::string rest = printable(text);
  while (rest.size() > columns) {
    std::size_t at = rest.rfind(' ', columns);
    if (at == std::string::npos || at == 0) at = columns;
    out.push_back(rest.substr(0, at));
    rest.erase(0, rest[at] == ' ' ? at + 1 : at);
  }
  out.push_back(rest);
  return out;
}

std::string left(std::string_view text, std::size_t columns) {
  std::string out = shortened(text, columns);
  out.resize(columns, ' ');
  return out;
}

std::string right(std::string_view text, std::size_t columns) {
  const std::string out = shortened(text, columns);
  return std::string(columns - out.size(), ' ') + out;
}

std::string paint(std::span<const Line> lines, const Canvas& canvas) {
  std::string out;
  const auto write = [&](const Line& line) {
    if (canvas.clears) out += kClear;  // before: behind a full row it would clear that row's last column
    std::size_t left = canvas.columns;
    for (const Piece& piece : line) {
      const std::string_view text = std::string_view{piece.text}.substr(0, left);
      left -= text.size();
      const bool styled = canvas.colour && piece.style != Style::plain && !text.empty();
      if (styled) out += code(piece.style);
      out += text;
      if (styled) out += kReset;
    }
    out += '\n';
  };
  const std::size_t shown =
      lines.size() <= canvas.rows ? lines.size() : canvas.rows - std::min<std::size_t>(1, canvas.rows);
  for (const Line& line : lines.first(shown)) write(line);
  if (shown < lines.size() && canvas.rows > 0)
    write({{"... and " + std::to_string(lines.size() - shown) + " more lines", Style::dim}});
  return out;
}

}  // namespace tiercast::cli
