#include "crypto/random.hpp"

#include <sodium.h>

namespace tiercast::crypto {

void SystemRandom::fill(MutableBytes out) {
  if (!out.empty()) randombytes_buf(out.data(), out.size());
}

}  // namespace tiercast::crypto
