#include "config/host.hpp"

namespace tiercast::config {

bool is_host(std::string_view host) {
  constexpr std::string_view kCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:%";
  return !host.empty() && host.find_first_not_of(kCharacters) == std::string_view::npos;
}

}  // namespace tiercast::config
