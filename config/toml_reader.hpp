// Typed access to one table of the file: reports what is wrong with a value at its place, remembers which keys were
// asked for, and reports the rest as unknown. Knows the form of values, not what they are for.
#pragma once

#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/config.hpp"
#include "config/document.hpp"

namespace tiercast::config {

/// Collects problems in any order.
class Problems {
 public:
  void add(Position at, std::string text) { found_.push_back({at, std::move(text)}); }
  /// All of them in the file's order, "FILE:LINE:COLUMN: text" each.
  std::vector<Problem> take(const std::string& file);

 private:
  std::vector<std::pair<Position, std::string>> found_;
};

/// A value that a key may have, and its meaning. What is designed but not built yet is refused as such.
template <class T>
struct Choice {
  std::string_view text;
  T value;
  bool available = true;
};

/// Reads one table. Each reading function gives nothing where the key is absent or its value is wrong; the latter has
/// then been reported. The document and the problems outlive it.
class Table {
 public:
  /// `name` is how messages call it: "listen", "group.source"; the root is "".
  Table(const Value& table, std::string name, Problems& problems);

  bool has(std::string_view key) const { return find(key) != nullptr; }
  /// The key's value, or the table itself where it is absent.
  Position at(std::string_view key) const;
  Position at() const { return table_->at; }

  /// Not empty. `example` is what messages suggest.
  std::optional<std::string> text(std::string_view key, std::string_view example);
  /// One text, or a list of 1 to `most`. Those that are wrong are reported and left out.
  struct Item {
    std::string text;
    const Value* value;
  };
  std::vector<Item> texts(std::string_view key, std::string_view example, std::size_t most);
  /// `why` explains the bounds ("this machine has 2 CPUs; "), or is empty.
  std::optional<std::int64_t> integer(std::string_view key, std::int64_t least, std::int64_t most,
                                      std::string_view why = {});
  /// A list of integers. `example` is what messages suggest: "[2, 3]".
  struct Number {
    std::int64_t number;
    const Value* value;
  };
  std::vector<Number> integers(std::string_view key, std::string_view example);
  std::optional<std::int64_t> one_of(std::string_view key, std::initializer_list<std::int64_t> numbers);
  std::optional<bool> boolean(std::string_view key);
  template <class T, std::size_t N>
  std::optional<T> choice(std::string_view key, const Choice<T> (&choices)[N]) {
    std::vector<std::string_view> available, unavailable;
    for (const auto& choice : choices) (choice.available ? available : unavailable).push_back(choice.text);
    const auto text = choose(key, available, unavailable);
    for (const auto& choice : choices) {
      if (text == choice.text) return choice.value;
    }
    return std::nullopt;
  }
  /// The value as it stands, for keys that take several kinds.
  const Value* value(std::string_view key);
  std::optional<Table> table(std::string_view key, std::string_view example);
  /// [[key]], or key = [{…}, …].
  std::vector<Table> tables(std::string_view key, std::string_view example);

  /// The key is designed but not built: refuses it, with what to do instead.
  void not_available(std::string_view key, std::string_view instead);
  /// Reports the key as missing unless it is there.
  void demand(std::string_view key, std::string_view example);
  /// "listen.workers = 99: why", at the value.
  void refuse(std::string_view key, std::string_view why);
  /// The same of one value in the key's list.
  void refuse(std::string_view key, const Value& value, std::string_view why);
  /// The same without the value: it may be a secret, or is not there.
  void refuse_hidden(std::string_view key, std::string_view why);
  /// "downstream: why", at the table.
  void refuse_all(std::string_view why) { problems_->add(at(), name_ + ": " + std::string{why}); }
  /// Reports every key that was not asked for.
  void report_unknown();

 private:
  const Value* find(std::string_view key) const;
  std::optional<std::string> text_of(std::string_view key, const Value& value, std::string_view wanted);
  std::optional<std::string_view> choose(std::string_view key, std::span<const std::string_view> available,
                                         std::span<const std::string_view> unavailable);
  void refuse_kind(std::string_view key, const Value& value, std::string_view wanted);
  std::string path(std::string_view key) const;

  const Value* table_;
  std::string name_;
  Problems* problems_;
  std::vector<std::string> known_;
  std::vector<std::string> unavailable_;
};

/// Of `known` the one most like `word`, if any is like it at all.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> known);

/// "a, b or c".
std::string join_alternatives(std::span<const std::string_view> words);

}  // namespace tiercast::config
