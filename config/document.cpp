// The only translation unit that knows toml11.
#include "config/document.hpp"

#include <algorithm>
#include <optional>
#include <sstream>
#include <toml.hpp>

#include "config/prescan.hpp"

namespace tiercast::config {
namespace {

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (true) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return lines;
    text.remove_prefix(end + 1);
  }
}

bool is_space(char c) { return c == ' ' || c == '\t'; }

std::string_view trim_right(std::string_view text) {
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::string_view trim_left(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  return text;
}

/// toml11's values, which know their own places but neither their keys' nor their order, as ours.
class Conversion {
 public:
  explicit Conversion(const std::string& text) : lines_(split_lines(text)) {
    for (const std::string_view line : lines_) starts_.push_back(static_cast<std::size_t>(line.data() - text.data()));
  }

  Value convert(const toml::value& from) const {
    Value out;
    // Not from.location(): it counts the file's lines anew for each value, seconds for thousands of relays.
    const auto* region = dynamic_cast<const toml::detail::region*>(toml::detail::get_region(from));
    if (region) out.at = position_of(static_cast<std::size_t>(region->first() - region->begin()));
    switch (from.type()) {
      case toml::value_t::string:
        out.kind = Value::Kind::text;
        out.text = from.as_string().str;
        break;
      case toml::value_t::integer:
        out.kind = Value::Kind::integer;
        out.integer = from.as_integer();
        break;
      case toml::value_t::boolean:
        out.kind = Value::Kind::boolean;
        out.boolean = from.as_boolean();
        break;
      case toml::value_t::floating: out.kind = Value::Kind::floating; break;
      case toml::value_t::array:
        out.kind = Value::Kind::array;
        for (const toml::value& item : from.as_array()) out.items.push_back(convert(item));
        break;
      case toml::value_t::table:
        out.kind = Value::Kind::table;
        for (const auto& [key, value] : from.as_table()) {
          Value converted = convert(value);
          const Position key_at = find_key(key, converted.at);
          out.members.push_back({key, key_at, std::move(converted)});
        }
        std::sort(out.members.begin(), out.members.end(),
                  [](const Member& a, const Member& b) { return std::tie(a.at, a.key) < std::tie(b.at, b.key); });
        break;
      default: out.kind = Value::Kind::time; break;
    }
    if (out.kind != Value::Kind::array && out.kind != Value::Kind::table) {
      out.source = printable(line(out.at).substr(0, region ? region->size() : 0));
    }
    return out;
  }

 private:
  Position position_of(std::size_t offset) const {
    const auto after = std::upper_bound(starts_.begin(), starts_.end(), offset);
    const auto line = static_cast<std::size_t>(after - starts_.begin());  // starts_[0] is 0: at least 1
    return {static_cast<std::uint32_t>(line), static_cast<std::uint32_t>(offset - starts_[line - 1] + 1)};
  }

  /// The line from `at` on.
  std::string_view line(Position at) const {
    const std::string_view whole = at.line <= lines_.size() ? lines_[at.line - 1] : std::string_view{};
    return whole.substr(std::min<std::size_t>(at.column - 1, whole.size()));
  }

  /// The key stands before its value on the same line, but for [key]: there the value is where the key is.
  Position find_key(std::string_view key, Position value) const {
    const std::string_view before = line({value.line, 1}).substr(0, value.column - 1);
    std::string_view rest = trim_right(before);
    if (!rest.ends_with('=')) return value;
    rest = trim_right(rest.substr(0, rest.size() - 1));
    const bool quoted = rest.ends_with('"') || rest.ends_with('\'');
    if (quoted) rest.remove_suffix(1);
    if (!rest.ends_with(key)) return value;  // written with escapes
    return {value.line, static_cast<std::uint32_t>(rest.size() - key.size() + (quoted ? 0 : 1))};
  }

  std::vector<std::string_view> lines_;
  std::vector<std::size_t> starts_;  // each line's offset
};

/// The last place that toml11's many-lined message points at, and what stands there.
struct Pointed {
  Position at;
  std::string_view comment;
};

/// " 12 | name = x" and below it "    |        ^--- comment" (or ~~~~).
std::optional<Pointed> last_pointed(const std::vector<std::string_view>& lines) {
  std::optional<Pointed> out;
  for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
    const std::string_view numbered = trim_left(lines[i]);
    const std::size_t digits = std::min(numbered.find_first_not_of("0123456789"), numbered.size());
    if (digits == 0 || digits > 9 || !numbered.substr(digits).starts_with(" | ")) continue;
    std::string_view below = trim_left(lines[i + 1]);
    if (!below.starts_with("| ")) continue;
    below.remove_prefix(2);
    const std::size_t mark = below.find_first_not_of(' ');
    if (mark == std::string_view::npos) continue;
    const std::size_t after = std::min(below.find_first_not_of("^~-", mark), below.size());
    std::uint32_t number = 0;
    for (const char c : numbered.substr(0, digits)) number = number * 10 + static_cast<std::uint32_t>(c - '0');
    out = Pointed{{number, static_cast<std::uint32_t>(mark + 1)}, trim_left(below.substr(after))};
    ++i;
  }
  return out;
}

std::string_view without_end_mark(std::string_view text) {
  while (!text.empty() && (is_space(text.back()) || text.back() == '.' || text.back() == ':')) text.remove_suffix(1);
  return text;
}

/// toml11's message in one line.
SyntaxError explain(std::string_view what, Position fallback) {
  const std::vector<std::string_view> lines = split_lines(what);
  std::string_view message = lines.front();
  if (message.starts_with("[error] ")) message.remove_prefix(8);
  if (message.starts_with("toml::")) {
    const std::size_t colon = message.find(": ");
    message = colon == std::string_view::npos ? std::string_view{} : message.substr(colon + 2);
  }
  message = without_end_mark(message);
  SyntaxError out{fallback, "not valid TOML: "};
  std::string_view comment;
  if (const auto pointed = last_pointed(lines)) {
    out.at = pointed->at;
    comment = without_end_mark(pointed->comment);
  }
  if (message == "bad format: unknown value appeared" || comment == "the next token is not a boolean") {
    out.text += R"(not a value; text is written in quotes, as in name = "edge-fra-1")";
  } else if (message.starts_with("the next token is not a valid")) {
    out.text += "not a text; is its closing quote missing, or is there a \\ that should be \\\\?";
  } else {
    out.text += printable(message, 200);
    if (!message.empty() && !comment.empty() && comment != "here") out.text += ": ";
    if (comment != "here") out.text += printable(comment, 200);
  }
  return out;
}

}  // namespace

std::string printable(std::string_view text, std::size_t limit) {
  std::string out;
  const bool cut = text.size() > limit;
  if (cut) {
    while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xc0) == 0x80) --limit;  // not within a character
    text = text.substr(0, limit);
  }
  for (const char c : text) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return cut ? out + "…" : out;
}

tl::expected<Value, SyntaxError> parse_document(const std::string& text) {
  if (auto error = find_unbearable(text)) return tl::unexpected(std::move(*error));
  try {
    std::istringstream stream{text.ends_with('\n') ? text : text + "\n"};
    Value root = Conversion{text}.convert(toml::parse(stream, "file"));
    root.at = {};
    return root;
  } catch (const toml::exception& error) {
    return tl::unexpected(explain(error.what(), {error.location().line(), error.location().column()}));
  } catch (const std::exception& error) {
    return tl::unexpected(SyntaxError{{}, "not valid TOML: " + printable(error.what(), 200)});
  }
}

}  // namespace tiercast::config
