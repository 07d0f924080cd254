#include "crypto/base64.hpp"

#include <sodium.h>

namespace tiercast::crypto {

bool from_base64(std::string_view text, MutableBytes out) {
  // libsodium 1.0.18 takes some bytes from 0x80 on for characters of the alphabet.
  unsigned high = 0;
  for (const char c : text) high |= static_cast<unsigned char>(c);
  if (text.size() != (out.size() + 2) / 3 * 4 || (high & 0x80U) != 0) return false;
  std::size_t length = 0;
  const char* end = nullptr;
  // Refuses other characters, missing padding and stray bits behind the last byte.
  return sodium_base642bin(out.data(), out.size(), text.data(), text.size(), nullptr, &length, &end,
                           sodium_base64_VARIANT_ORIGINAL) == 0 &&
         length == out.size() && end == text.data() + text.size();
}

}  // namespace tiercast::crypto
