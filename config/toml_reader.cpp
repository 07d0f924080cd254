#include "config/toml_reader.hpp"

#include <algorithm>
#include <tuple>

namespace tiercast::config {
namespace {

std::string_view kind_name(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::text: return "text";
    case Value::Kind::integer: return "an integer";
    case Value::Kind::boolean: return "true or false";
    case Value::Kind::floating: return "a number with a fraction";
    case Value::Kind::time: return "a date or time";
    case Value::Kind::array: return "a list";
    case Value::Kind::table: return "a table";
  }
  return "";
}

/// Edits (insert, delete, replace, swap neighbours) from one word to the other.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

}  // namespace

std::vector<Problem> Problems::take(const std::string& file) {
  std::stable_sort(found_.begin(), found_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Problem> out;
  for (const auto& [at, text] : found_) {
    std::string line = file;
    line += ":" + std::to_string(at.line) + ":" + std::to_string(at.column) + ": " + text;
    out.push_back({std::move(line)});
  }
  found_.clear();
  return out;
}

std::optional<std::string> nearest(std::string_view word, std::span<const std::string> known) {
  constexpr std::size_t kLongest = 64;  // no key is: bounds the work on a nonsense one
  if (word.size() > kLongest) return std::nullopt;
  std::optional<std::string> best;
  std::size_t best_distance = word.size() <= 3 ? 2 : 3;  // alike is less than this
  for (const std::string& candidate : known) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance && distance < candidate.size()) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string join_alternatives(std::span<const std::string_view> words) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += i + 1 == words.size() ? " or " : ", ";
    out += words[i];
  }
  return out;
}

Table::Table(const Value& table, std::string name, Problems& problems)
    : table_(&table), name_(std::move(name)), problems_(&problems) {}

const Value* Table::find(std::string_view key) const {
  for (const Member& member : table_->members) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

std::string Table::path(std::string_view key) const {
  return name_.empty() ? printable(key) : name_ + "." + printable(key);
}

Position Table::at(std::string_view key) const {
  const Value* value = find(key);
  return value ? value->at : table_->at;
}

const Value* Table::value(std::string_view key) {
  known_.emplace_back(key);
  return find(key);
}

void Table::refuse(std::string_view key, std::string_view why) {
  if (const Value* value = find(key)) return refuse(key, *value, why);
  refuse_hidden(key, why);
}

void Table::refuse(std::string_view key, const Value& value, std::string_view why) {
  const std::string shown = value.source.empty() ? "" : " = " + value.source;
  problems_->add(value.at, path(key) + shown + ": " + std::string{why});
}

void Table::refuse_hidden(std::string_view key, std::string_view why) {
  problems_->add(at(key), path(key) + ": " + std::string{why});
}

void Table::refuse_kind(std::string_view key, const Value& value, std::string_view wanted) {
  refuse(key, value, std::string{kind_name(value.kind)} + "; use " + std::string{wanted});
}

std::optional<std::string> Table::text(std::string_view key, std::string_view example) {
  const Value* value = this->value(key);
  if (!value) return std::nullopt;
  return text_of(key, *value, std::string{key} + " = \"" + std::string{example} + "\"");
}

std::optional<std::string> Table::text_of(std::string_view key, const Value& value, std::string_view wanted) {
  if (value.kind != Value::Kind::text) {
    refuse_kind(key, value, "text in quotes, as in " + std::string{wanted});
  } else if (value.text.empty()) {
    refuse(key, value, "empty; write it as in " + std::string{wanted});
  } else if (value.text.find('\0') != std::string::npos) {
    refuse(key, value, "has a zero byte in it; leave that out");
  } else {
    return value.text;
  }
  return std::nullopt;
}

std::vector<Table::Item> Table::texts(std::string_view key, std::string_view example, std::size_t most) {
  std::vector<Item> out;
  const Value* value = this->value(key);
  if (!value) return out;
  const bool list = value->kind == Value::Kind::array;
  const std::string one = std::string{key} + " = \"" + std::string{example} + "\"";
  const std::string several = std::string{key} + " = [\"" + std::string{example} + "\"]";
  const std::span<const Value> values = list ? std::span{value->items} : std::span{value, 1};
  if (values.empty()) refuse(key, "an empty list; write it as in " + several);
  if (values.size() > most) {
    refuse(key, std::to_string(values.size()) + " in a list; use up to " + std::to_string(most));
    return out;
  }
  for (const Value& item : values)
    if (auto text = text_of(key, item, list ? several : one)) out.push_back({std::move(*text), &item});
  return out;
}

std::optional<std::int64_t> Table::integer(std::string_view key, std::int64_t least, std::int64_t most,
                                           std::string_view why) {
  const Value* value = this->value(key);
  if (!value) return std::nullopt;
  const std::string range =
      least == most ? std::to_string(least) : std::to_string(least) + " to " + std::to_string(most);
  if (value->kind != Value::Kind::integer) {
    refuse_kind(key, *value, "an integer, " + range);
    return std::nullopt;
  }
  if (value->integer < least || value->integer > most) {
    refuse(key, std::string{why} + "use " + range);
    return std::nullopt;
  }
  return value->integer;
}

std::vector<Table::Number> Table::integers(std::string_view key, std::string_view example) {
  const Value* value = this->value(key);
  if (!value) return {};
  const std::string wanted = "a list of integers, as in " + std::string{key} + " = " + std::string{example};
  if (value->kind != Value::Kind::array) {
    refuse_kind(key, *value, wanted);
    return {};
  }
  if (value->items.empty()) refuse(key, "an empty list; use " + wanted);
  std::vector<Number> out;
  for (const Value& item : value->items) {
    if (item.kind != Value::Kind::integer) {
      refuse_kind(key, item, wanted);
      return {};
    }
    out.push_back({item.integer, &item});
  }
  return out;
}

std::optional<bool> Table::boolean(std::string_view key) {
  const Value* value = this->value(key);
  if (!value) return std::nullopt;
  if (value->kind != Value::Kind::boolean) {
    refuse_kind(key, *value, "true or false, without quotes");
    return std::nullopt;
  }
  return value->boolean;
}

std::optional<std::int64_t> Table::one_of(std::string_view key, std::initializer_list<std::int64_t> numbers) {
  const Value* value = this->value(key);
  if (!value) return std::nullopt;
  std::vector<std::string> texts;
  for (const std::int64_t number : numbers) texts.push_back(std::to_string(number));
  const std::string wanted = join_alternatives(std::vector<std::string_view>{texts.begin(), texts.end()});
  if (value->kind != Value::Kind::integer) {
    refuse_kind(key, *value, "an integer, " + wanted);
    return std::nullopt;
  }
  if (std::find(numbers.begin(), numbers.end(), value->integer) == numbers.end()) {
    refuse(key, "use " + wanted);
    return std::nullopt;
  }
  return value->integer;
}

std::optional<std::string_view> Table::choose(std::string_view key, std::span<const std::string_view> available,
                                              std::span<const std::string_view> unavailable) {
  const Value* value = this->value(key);
  if (!value) return std::nullopt;
  std::vector<std::string> quoted;
  for (const std::string_view choice : available) quoted.push_back("\"" + std::string{choice} + "\"");
  const std::string wanted = join_alternatives(std::vector<std::string_view>{quoted.begin(), quoted.end()});
  if (value->kind != Value::Kind::text) {
    refuse_kind(key, *value, wanted);
    return std::nullopt;
  }
  if (std::find(available.begin(), available.end(), value->text) != available.end()) return value->text;
  const bool designed = std::find(unavailable.begin(), unavailable.end(), value->text) != unavailable.end();
  refuse(key, (designed ? "not available in this version; use " : "use ") + wanted);
  return std::nullopt;
}

std::optional<Table> Table::table(std::string_view key, std::string_view example) {
  const Value* value = this->value(key);
  if (!value) return std::nullopt;
  if (value->kind != Value::Kind::table) {
    refuse_kind(key, *value, example);
    return std::nullopt;
  }
  return Table{*value, path(key), *problems_};
}

std::vector<Table> Table::tables(std::string_view key, std::string_view example) {
  std::vector<Table> out;
  const Value* value = this->value(key);
  if (!value) return out;
  if (value->kind != Value::Kind::array) {
    refuse_kind(key, *value, example);
    return out;
  }
  if (value->items.empty()) refuse(key, "empty; use " + std::string{example});
  for (const Value& item : value->items) {
    if (item.kind != Value::Kind::table) {
      problems_->add(item.at,
                     path(key) + ": holds " + std::string{kind_name(item.kind)} + "; use " + std::string{example});
      return {};
    }
    out.emplace_back(item, path(key), *problems_);
  }
  return out;
}

void Table::not_available(std::string_view key, std::string_view instead) {
  unavailable_.emplace_back(key);
  if (has(key)) refuse_hidden(key, "not available in this version; " + std::string{instead});
}

void Table::demand(std::string_view key, std::string_view example) {
  if (!has(key))
    problems_->add(at(), path(key) + " is missing; add " + std::string{key} + " = " + std::string{example});
}

void Table::report_unknown() {
  for (const Member& member : table_->members) {
    if (std::find(known_.begin(), known_.end(), member.key) != known_.end()) continue;
    if (std::find(unavailable_.begin(), unavailable_.end(), member.key) != unavailable_.end()) continue;
    std::string text = path(member.key) + ": unknown key; ";
    if (const auto hint = nearest(member.key, known_)) {
      text += "did you mean " + *hint + "?";
    } else {
      const std::vector<std::string_view> words{known_.begin(), known_.end()};
      text += "known here: " + join_alternatives(words);
    }
    problems_->add(member.at, text);
  }
}

}  // namespace tiercast::config
