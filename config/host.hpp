// What may be the host of another node's HOST:PORT.
#pragma once

#include <string_view>

namespace tiercast::config {

/// A name or an address by its characters: a resolver says more.
bool is_host(std::string_view host);

}  // namespace tiercast::config
