// Numbers as digits.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>

namespace tiercast {

/// All of `text`, decimal digits only (of a signed type also a minus); nullopt: it is not that, or more than T holds.
template <class T>
std::optional<T> from_decimal(std::string_view text) {
  T out{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return out;
}

}  // namespace tiercast
