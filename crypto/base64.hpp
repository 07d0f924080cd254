// Base64 (RFC 4648 §4) of keys and signatures.
#pragma once

#include <string>
#include <string_view>

#include "relay/base/types.hpp"

namespace tiercast::crypto {

/// Strict: exactly the characters of so many bytes, and their padding. False otherwise. Constant time in the contents.
bool from_base64(std::string_view text, MutableBytes out);

}  // namespace tiercast::crypto
