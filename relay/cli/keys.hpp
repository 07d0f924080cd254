// What keygen and pubkey share.
#pragma once

#include "relay/cli/options.hpp"

namespace tiercast::cli {

/// Prints the public key that belongs to `key` as one line on stdout; the exit status.
int print_public_key(KeyKind kind, const crypto::PrivateKey& key);

}  // namespace tiercast::cli
