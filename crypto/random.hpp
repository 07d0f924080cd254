// The system's randomness as the core's argument.
#pragma once

#include "relay/base/random.hpp"

namespace tiercast::crypto {

class SystemRandom final : public Random {
 public:
  void fill(MutableBytes out) override;
};

}  // namespace tiercast::crypto
