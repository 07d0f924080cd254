// What toml11 cannot bear, found before it reads: it descends once per bracket and per dot of a key without a bound,
// and reads outside its buffer where a text is not UTF-8. Knows of TOML only what text and comments look like.
#pragma once

#include <optional>
#include <string_view>

#include "config/document.hpp"

namespace tiercast::config {

/// The first thing in `text` that keeps it from being parsed: too long, not UTF-8, nested too deeply.
std::optional<SyntaxError> find_unbearable(std::string_view text);

}  // namespace tiercast::config
