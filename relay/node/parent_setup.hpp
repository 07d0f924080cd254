// A parent as an agent is told of it; where it is found is its sockets' affair.
#pragma once

#include "crypto/keys.hpp"

namespace tiercast::node {

struct ParentSetup {
  crypto::PublicKey key{};
  bool multicast = false;  // its frames may come that way, too
};

}  // namespace tiercast::node
